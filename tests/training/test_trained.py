"""Trained networks on disk: what is saved is what is loaded, whole or not at all, and what is wrong is one line."""

import json
import subprocess
import sys
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from pipeline.errors import UserError
from pipeline.training.trained import (
    ABOUT,
    WEIGHTS,
    fields_of,
    load_network,
    read_trained,
    reason_skipped,
    save_network,
    save_reason,
    stage_of,
)
from tests.made_up_corpus import ROOT


@dataclass(frozen=True)
class Settings:
    units: int
    rates: list[float]


class Network(nn.Module):
    def __init__(self, s: Settings):
        super().__init__()
        self.settings = s
        self.convolution = nn.Conv2d(3, s.units, 3).to(memory_format=torch.channels_last)
        self.normalisation = nn.BatchNorm2d(s.units)


class Other(nn.Module):
    def __init__(self, s: Settings):
        super().__init__()
        self.linear = nn.Linear(s.units, 1)


SETTINGS = Settings(4, [0.5, 0.25])


@pytest.fixture
def network():
    torch.manual_seed(0)
    made = Network(SETTINGS)
    made.normalisation.running_mean.fill_(3.0)
    return made


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data" / "trained" / "paper" / "blink"


def save(folder, network, **about):
    save_network(folder, network.state_dict(), {"settings": fields_of(network.settings), **about})


def test_a_network_comes_back_as_it_was(folder, network):
    save(folder, network, preprocessing={"fps": 25.0}, key="k")
    loaded, about = load_network(folder, Network, Settings)
    assert loaded.settings == SETTINGS and not loaded.training
    assert loaded.state_dict().keys() == network.state_dict().keys()
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
    assert about == {"settings": {"units": 4, "rates": [0.5, 0.25]}, "preprocessing": {"fps": 25.0}, "key": "k"}
    assert read_trained(folder) == about and reason_skipped(folder) is None
    assert {path.name for path in folder.iterdir()} == {WEIGHTS, ABOUT}


def test_the_same_network_is_the_same_bytes(folder, network):
    """However its weights lie in memory, and in whatever order they are given: DVC knows an output by its bytes."""
    save(folder, network)
    before = (folder / WEIGHTS).read_bytes()
    weights = {name: value.clone().contiguous() for name, value in reversed(network.state_dict().items())}
    save_network(folder, weights, {})
    assert (folder / WEIGHTS).read_bytes() == before


def test_a_network_replaces_all_that_was_there(folder, network):
    save_reason(folder, "nothing to learn")
    (folder / "left.over").touch()
    save(folder, network)
    assert {path.name for path in folder.iterdir()} == {WEIGHTS, ABOUT}
    assert reason_skipped(folder) is None


def test_a_folder_appears_whole(folder, network):
    """What breaks off before the end leaves the folder as it was, and the next try is not disturbed by it."""
    with pytest.raises(TypeError):
        save(folder, network, unspeakable=object())
    assert not folder.exists()
    save(folder, network, try_=1)
    with pytest.raises(TypeError):
        save(folder, network, unspeakable=object())
    assert load_network(folder, Network, Settings)[1]["try_"] == 1
    (folder.with_name("blink.partial") / "left.over").touch()
    save(folder, network, try_=2)
    assert load_network(folder, Network, Settings)[1]["try_"] == 2
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert {path.name for path in folder.iterdir()} == {WEIGHTS, ABOUT}


def one_line(folder, kind=Network):
    with pytest.raises(UserError) as error:
        load_network(folder, kind, Settings)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_missing_names_the_stage_that_makes_it(folder, network):
    assert one_line(folder) == f"{folder} holds no trained network; make it with `dvc repro paper_blink`"
    save(folder, network)
    (folder / WEIGHTS).unlink()
    assert one_line(folder).startswith(f"{folder / WEIGHTS} does not hold this system's network (FileNotFoundError")


@pytest.mark.parametrize("size", [0, 5, 200, -1])
def test_truncated_weights_are_named(folder, network, size):
    save(folder, network)
    path = folder / WEIGHTS
    path.write_bytes(path.read_bytes()[:size])
    assert one_line(folder).startswith(f"{path} does not hold this system's network")


@pytest.mark.parametrize("size", [0, 30])
def test_a_truncated_description_is_named(folder, network, size):
    save(folder, network)
    path = folder / ABOUT
    path.write_text(path.read_text()[:size])
    line = one_line(folder)
    assert line.startswith(f"{path} cannot be read") and line.endswith("`dvc repro paper_blink`")


def test_another_network_is_named(folder, network):
    save(folder, network)
    assert one_line(folder, Other).startswith(f"{folder / WEIGHTS} does not hold this system's network")
    # As many layers of the same names, of another size.
    save_network(folder, Network(Settings(5, [])).state_dict(), {"settings": fields_of(SETTINGS)})
    assert "size mismatch" in one_line(folder)
    # Settings of another class.
    save_network(folder, network.state_dict(), {"settings": {"width": 1.0}})
    assert "unexpected keyword argument" in one_line(folder)


def test_a_file_of_pickled_code_is_not_run(folder, network, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "was run"), "w"))

    save(folder, network)
    torch.save({"weights": Evil()}, folder / WEIGHTS)
    one_line(folder)
    assert not (tmp_path / "was run").exists()


def test_a_reason_stands_in_the_place_of_a_network(folder, network):
    save(folder, network)
    save_reason(folder, "no clip is labelled")
    assert reason_skipped(folder) == "no clip is labelled"
    assert [path.name for path in folder.iterdir()] == ["skipped.txt"]
    assert one_line(folder) == f"{folder} could not be trained on this corpus: no clip is labelled"


def test_the_stage_of_a_folder(folder, tmp_path):
    assert stage_of(folder) == "paper_blink"
    assert stage_of(tmp_path / "data" / "trained" / "emotion_classifier@small") == "emotion_classifier@small"
    assert stage_of(tmp_path / "somewhere") == "somewhere"


def test_settings_are_as_json_gives_them_back():
    @dataclass
    class Nested:
        inner: Settings
        sizes: tuple[int, ...]

    fields = fields_of(Nested(SETTINGS, (1, 2)))
    assert fields == {"inner": {"units": 4, "rates": [0.5, 0.25]}, "sizes": [1, 2]}
    assert json.loads(json.dumps(fields)) == fields


def test_what_a_network_says_is_read_without_torch(folder, network):
    """Which takes seconds to load."""
    save(folder, network, key="k")
    read = f"""
import sys
from pathlib import Path
from pipeline.training.trained import read_trained
assert read_trained(Path({str(folder)!r}))["key"] == "k"
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", read], check=True, cwd=ROOT)
