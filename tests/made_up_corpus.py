"""What the stages before training leave, for made-up clips, and trainings on them: fixtures for all tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
import yaml

from benchmarks.made_up import write_data
from pipeline.parameters import Parameters
from pipeline.training import runner
from pipeline.training.trained import read_trained, reason_skipped
from stages import training as training_stage

ROOT = Path(__file__).parents[1]


# Frames of the six made-up clips.
LENGTHS = range(14, 20)


@pytest.fixture
def data(tmp_path):
    """What the stages before training leave, for six made-up clips."""
    write_data(tmp_path, LENGTHS)
    return tmp_path


@pytest.fixture
def parameters():
    """The committed parameters, small, with changes however deep: parameters(sinha={"blink": {"epochs": 3}})."""

    def make(**changes):
        values = yaml.safe_load((ROOT / "params.yaml").read_text())
        for change in (yaml.safe_load((ROOT / "profiles" / "smoke.yaml").read_text()), changes):
            values = merged(values, change)
        return Parameters.model_validate(values)

    return make


def merged(values, changes):
    """`values` with `changes` in it, group by group."""
    if not isinstance(changes, dict):
        return changes
    return values | {key: merged(values.get(key), change) for key, change in changes.items()}


class Trained(NamedTuple):
    """What a training left."""

    folder: Path
    about: dict
    losses: pd.DataFrame


@pytest.fixture
def train_on(data):
    """Run a training of a paper on the made-up clips: train_on("sinha", "blink", parameters(...))."""

    def run(paper: str, training: str, p: Parameters) -> Trained:
        training_stage.run(paper, training, p, data, data / "metrics")
        folder = data / "trained" / paper / training
        about = read_trained(folder) if not reason_skipped(folder) else {}
        return Trained(folder, about, pd.read_csv(data / "metrics" / "losses" / f"{paper}_{training}.csv"))

    return run


@pytest.fixture
def keys_of(monkeypatch):
    """What the phases of a training are kept by, in order: keys_of(lambda: train(…)). Nothing is trained."""

    def found(train: Callable[[], Any]) -> list[str]:
        keys = []

        def fit(*args):
            keys.extend(path.stem for path in args if isinstance(path, Path))
            return {"losses": [], "epoch": 1, "best": {"epoch": 1, "generator": {}}, "networks": {"generator": {}}}

        monkeypatch.setattr(runner, "fit", fit)
        train()
        return keys

    return found


@pytest.fixture
def begun(monkeypatch):
    """Each phase's networks with their optimisers, and the weights that its training begins with."""
    phases, make = [], runner.Networks.__init__

    def remember(self, *args):
        make(self, *args)
        phases.append((self, {name: self.weights(name) for name in self.trained}))

    monkeypatch.setattr(runner.Networks, "__init__", remember)
    return phases
