from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline.corpus.shards import in_shards, write_shards
from pipeline.parameters import Parameters

ROOT = Path(__file__).parents[2]


@pytest.fixture
def data(tmp_path):
    """What the stages before training leave, for six made-up clips."""
    rng = np.random.default_rng(0)
    clips = [f"clip{k}" for k in range(6)]
    splits = ["train", "train", "train", "validation", "test_sentences", "test"]
    (tmp_path / "clips").mkdir()
    pd.DataFrame({"clip": clips, "split": splits}).to_parquet(tmp_path / "clips" / "clips.parquet")
    shards = {"alignment/crops": {}, "heatmaps/images": {}, "audio_features/mel": {}}
    for k, clip in enumerate(clips):
        n = 14 + k
        shards["alignment/crops"][clip] = rng.integers(0, 255, (n, 64, 64, 3)).astype(np.uint8)
        shards["heatmaps/images"][clip] = rng.integers(0, 255, (n, 64, 64)).astype(np.uint8)
        shards["audio_features/mel"][clip] = rng.normal(0, 0.3, (round(n * 2.42), 60)).astype(np.float32)
    for folder, arrays in shards.items():
        write_shards(tmp_path / folder, ((clip, arrays[clip]) for clip in in_shards(arrays)))
    np.save(tmp_path / "alignment" / "template.npy", rng.normal(32, 10, (68, 2)))
    return tmp_path


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
