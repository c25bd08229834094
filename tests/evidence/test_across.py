"""A run's system on another run's clips: where that is its own twin, it draws the same."""

import shutil

import pytest
import yaml

from pipeline.errors import UserError
from pipeline.evidence.across import FIGURES, across, how_trained
from pipeline.report.run import read_run


@pytest.fixture
def twin(run_folder, tmp_path):
    """The same run in another folder."""
    folder = tmp_path / "twin"
    shutil.copytree(run_folder, folder, symlinks=True)
    return folder


def test_on_its_own_clips_a_system_is_what_it_is_there(run, twin, tmp_path):
    """The fixture's truth is what the system draws, so that it is all but perfect, and nothing tells the two rows apart."""
    made = across(run, [read_run(twin)], "sinha", tmp_path / "out", "fig.png")
    assert not made.notes and (tmp_path / "out" / "fig.png").exists()
    for rows in made.tables.values():
        strange, own = rows
        assert strange["system"].endswith("as it is") and own["system"].startswith("`sinha`, trained there")
        # Without marks: figures are kept to some digits, and even that tells a difference where it is all there is.
        figures = [[text.rstrip(" ▲▼") for key, text in row.items() if key != "system"] for row in rows]
        # AU F1 has no column where no unit occurs.
        assert figures[0] == figures[1] and len(figures[0]) >= len(FIGURES) - 1


def test_what_cannot_be_compared_is_refused(run, twin, tmp_path):
    values = yaml.safe_load((twin / "params.yaml").read_text())
    values["faces"]["small"]["image_size"] = 96
    (twin / "params.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match="96 px there, and of 128 px here"):
        across(run, [read_run(twin)], "sinha", tmp_path, "fig.png")
    with pytest.raises(UserError, match="chen_s holds no trained system"):
        across(run, [read_run(twin)], "chen_s", tmp_path, "fig.png")


def test_a_card_tells_who_went_on_from_another_corpus(run):
    run.cards["sinha"]["networks"]["blink"].pop("initial", None)
    began = [network.get("initial") for network in run.cards["sinha"]["networks"].values()]
    assert any(began) and how_trained(run, "sinha") == "trained there, going on from a system of GRID"
    for network in run.cards["sinha"]["networks"].values():
        network.pop("initial", None)
    assert how_trained(run, "sinha") == "trained there alone"
