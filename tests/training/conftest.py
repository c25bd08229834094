import json
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline.corpus.shards import in_shards, shard_of, write_shards
from pipeline.corpus.tables import frames_table, write_table_shard
from pipeline.parameters import Parameters

ROOT = Path(__file__).parents[2]


@pytest.fixture
def data(tmp_path):
    """What the stages before training leave, for six made-up clips."""
    rng = np.random.default_rng(0)
    clips = [f"clip{k}" for k in range(6)]
    splits = ["train", "train", "train", "validation", "test_sentences", "test"]
    (tmp_path / "clips").mkdir()
    subjects = ["1001", "1001", "1002", "1002", "1001", "1003"]
    pd.DataFrame({"clip": clips, "subject": subjects, "split": splits}).to_parquet(tmp_path / "clips" / "clips.parquet")
    shards = {"alignment/crops": {}, "heatmaps/images": {}, "audio_features/mel": {}}
    for k, clip in enumerate(clips):
        n = 14 + k
        shards["alignment/crops"][clip] = rng.integers(0, 255, (n, 64, 64, 3)).astype(np.uint8)
        shards["heatmaps/images"][clip] = rng.integers(0, 255, (n, 64, 64)).astype(np.uint8)
        shards["audio_features/mel"][clip] = rng.normal(0, 0.3, (round(n * 2.42), 60)).astype(np.float32)
    for folder, arrays in shards.items():
        write_shards(tmp_path / folder, ((clip, arrays[clip]) for clip in in_shards(arrays)))
    np.save(tmp_path / "alignment" / "template.npy", rng.normal(32, 10, (68, 2)))
    write_faces(tmp_path, clips)
    return tmp_path


def write_faces(data, clips):
    """Landmarks of made-up people whose lower lip goes up and down, their neutral faces, and audio features that say so."""
    rng = np.random.default_rng(1)
    mean = np.load(data / "alignment" / "template.npy")
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
    write_shards(data / "alignment" / "neutral", ((clip, neutral[clip]) for clip in in_shards(clips)))
    write_shards(data / "character_features" / "windows", ((clip, characters[clip]) for clip in in_shards(clips)))
    write_shards(data / "audio_features" / "mfcc", ((clip, mfcc[clip]) for clip in in_shards(clips)))
    about = {"backend": "ctc", "model": None, "symbols": [*" abcdefghijklmnopqrstuvwxyz'", ""], "steps": 16}
    (data / "character_features" / "about.json").write_text(json.dumps(about))
    for name, members in groupby(in_shards(clips), key=shard_of):
        tables = [(clip, frames_table(clip, {"points": landmarks[clip]}), k) for k, clip in enumerate(members)]
        write_table_shard(data / "alignment" / "landmarks", name, tables)


@pytest.fixture
def parameters():
    """The committed parameters with changes: parameters(kesim_erzin={"epochs": 3})."""

    def make(**groups):
        values = yaml.safe_load((ROOT / "params.yaml").read_text())
        values["kesim_erzin"] |= {"width": 0.0625, "excerpt_frames": 8, "epochs": 2}
        for group, changes in groups.items():
            values[group] |= changes
        return Parameters.model_validate(values)

    return make
