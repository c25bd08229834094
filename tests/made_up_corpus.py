"""What the stages before training leave, for made-up clips, and trainings on them: fixtures for all tests."""

from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline.corpus.about import write_about
from pipeline.corpus.shards import in_shards, shard_of, write_shards
from pipeline.corpus.tables import frames_table, write_table_shard
from pipeline.parameters import Parameters
from pipeline.training import runner
from pipeline.training.trained import read_trained, reason_skipped
from stages import training as training_stage

ROOT = Path(__file__).parents[1]


@pytest.fixture
def data(tmp_path):
    """What the stages before training leave, for six made-up clips."""
    rng = np.random.default_rng(0)
    clips = [f"clip{k}" for k in range(6)]
    splits = ["train", "train", "train", "validation", "test_sentences", "test"]
    (tmp_path / "clips").mkdir()
    subjects = ["1001", "1001", "1002", "1002", "1001", "1003"]
    pd.DataFrame({"clip": clips, "subject": subjects, "split": splits}).to_parquet(tmp_path / "clips" / "clips.parquet")
    shards = {"alignment/small/crops": {}, "heatmaps/images": {}, "audio_features/mel": {}}
    for k, clip in enumerate(clips):
        n = 14 + k
        shards["alignment/small/crops"][clip] = rng.integers(0, 255, (n, 64, 64, 3)).astype(np.uint8)
        shards["heatmaps/images"][clip] = rng.integers(0, 255, (n, 64, 64)).astype(np.uint8)
        shards["audio_features/mel"][clip] = rng.normal(0, 0.3, (round(n * 2.42), 60)).astype(np.float32)
    for folder, arrays in shards.items():
        write_shards(tmp_path / folder, ((clip, arrays[clip]) for clip in in_shards(arrays)))
    np.save(tmp_path / "alignment" / "small" / "template.npy", rng.normal(32, 10, (68, 2)))
    write_faces(tmp_path, clips)
    write_abouts(tmp_path)
    return tmp_path


def write_abouts(data):
    """What the stages say of how they made it."""
    template = np.load(data / "alignment" / "small" / "template.npy").tolist()
    landmarks = {"backend": "dlib", "redetect_every": 25, "max_missing": 0.1}
    faces = {"transform": "per_frame", "image_size": 64, "face_parsing": None, "template": template}
    write_about(data / "alignment" / "small", fps=25.0, landmarks=landmarks, **faces)
    write_about(data / "heatmaps", sigma=1.0)
    write_about(data / "action_units", labels={"action_units": "landmarks"})
    speech = {"sample_rate": 22050, "mel_bands": 60, "window_ms": 33.0}
    write_about(data / "audio_features", sample_rate=22050, mel=speech)
    characters = {"backend": "ctc", "model": None, "symbols": [*" abcdefghijklmnopqrstuvwxyz'", ""]}
    write_about(data / "character_features", characters=characters, steps=16)


def write_faces(data, clips):
    """Landmarks of made-up people whose lower lip goes up and down, their neutral faces, and audio features that say so."""
    rng = np.random.default_rng(1)
    mean = np.load(data / "alignment" / "small" / "template.npy")
    mean[[67, 66, 65]] = mean[[61, 62, 63]] + [0, 0.5]
    # Level eyes, the person's right one on the left.
    mean[36:42] += [20, 25] - mean[36:42].mean(axis=0)
    mean[42:48] += [44, 25] - mean[42:48].mean(axis=0)
    landmarks, neutral, characters, mfcc = {}, {}, {}, {}
    for k, clip in enumerate(clips):
        n = 14 + k
        opening = 2 * np.sin(np.arange(n)) ** 2
        neutral[clip] = (mean + rng.normal(0, 0.05, (68, 2))).astype(np.float32)
        track = np.repeat(neutral[clip][None], n, axis=0)
        track[:, [*range(55, 60), *range(65, 68)], 1] += opening[:, None]
        landmarks[clip] = track + rng.normal(0, 0.02, track.shape).astype(np.float32)
        characters[clip] = rng.uniform(-1, 0, (n, 16, 29)).astype(np.float32)
        characters[clip][:, :, 0] = -10 * opening[:, None]
        mfcc[clip] = rng.normal(0, 1, (4 * n, 12)).astype(np.float32)
        mfcc[clip][:, 0] = 10 * np.repeat(opening, 4)
    write_shards(data / "alignment" / "small" / "neutral", ((clip, neutral[clip]) for clip in in_shards(clips)))
    write_shards(data / "character_features" / "windows", ((clip, characters[clip]) for clip in in_shards(clips)))
    write_shards(data / "audio_features" / "mfcc", ((clip, mfcc[clip]) for clip in in_shards(clips)))
    for name, members in groupby(in_shards(clips), key=shard_of):
        tables = [(clip, frames_table(clip, {"points": landmarks[clip]}), k) for k, clip in enumerate(members)]
        write_table_shard(data / "alignment" / "small" / "landmarks", name, tables)


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
