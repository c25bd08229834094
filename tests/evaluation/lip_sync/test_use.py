from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.errors import UserError
from pipeline.evaluation.lip_sync import published
from pipeline.evaluation.lip_sync.network import Embedded, Settings, SyncNetwork, mouths, standardised
from pipeline.evaluation.lip_sync.use import lip_sync, load, synchrony
from pipeline.evaluation.sync import LEAST_FRAMES


@pytest.mark.parametrize("late", [-3, 0, 3])
def test_offset_and_confidence_of_orthogonal_windows(late):
    """60 windows, each near its own speech only: 1.3589775 = √2 − 8 (√2 − 1) / 60 less the 1e-6 of the distance, for of
    zeros beyond an end any window is 1 away; at a lag of 3, three windows have lost their partner."""
    moments = torch.eye(66, dtype=torch.float64)
    found = synchrony(moments[3 - late : 63 - late, :], moments[3:63])
    lost = abs(late)
    assert found["sync_offset"] == late
    assert found["sync_distance"] == pytest.approx((lost * 1 + (60 - lost) * 66**0.5 * 1e-6) / 60, abs=1e-6)
    median = 2**0.5 - 8 * (2**0.5 - 1) / 60
    assert found["sync_confidence"] == pytest.approx(median - found["sync_distance"], abs=1e-5)


def test_published_figures_of_one_hot_embeddings():
    moments = torch.eye(60, dtype=torch.float64)
    found = synchrony(moments, moments)
    assert found["sync_distance"] == pytest.approx(7.746e-6, rel=1e-4)
    assert found["sync_confidence"] == pytest.approx(1.3589775, abs=1e-7)


def test_a_still_mouth_has_no_confidence():
    """All windows look the same: but for the zeros beyond the ends no lag is nearer than another."""
    rng = torch.Generator().manual_seed(0)
    heard = torch.nn.functional.normalize(torch.randn(200, 64, generator=rng))
    still = torch.nn.functional.normalize(torch.ones(1, 64)).expand(200, 64)
    assert synchrony(still, heard)["sync_confidence"] < 0.03


def test_a_short_clip_has_none():
    def judge(frames, speech):
        raise AssertionError("it is not to be asked")

    frames = np.zeros((LEAST_FRAMES - 1, 64, 64, 3), np.uint8)
    assert np.isnan(list(lip_sync(judge, frames, np.zeros(20_000), 16_000, 25).values())).all()


def test_who_speaks_and_how_loud_says_nothing():
    rng = torch.Generator().manual_seed(0)
    frames, speech = torch.rand(1, 9, 3, 64, 64, generator=rng) - 0.5, 10 + torch.randn(1, 9, 13, 20, generator=rng)
    somebody = torch.rand(1, 1, 3, 64, 64, generator=rng)
    assert torch.allclose(mouths(frames + somebody), mouths(frames), atol=1e-5)
    assert not mouths(frames[:, :1].expand(frames.shape)).abs().max() > 1e-4
    voice = torch.randn(1, 1, 13, 1, generator=rng).abs()
    assert torch.allclose(standardised(speech + voice), standardised(speech), atol=1e-4)


def test_crops_of_any_size_are_seen():
    network = SyncNetwork(Settings(width=0.25, dropout=0)).eval()
    for size in (64, 112):
        seen, heard = network(torch.rand(2, 9, 3, size, size), torch.randn(2, 9, 13, 20))
        assert seen.shape == heard.shape == (2, 5, 64)
        assert torch.allclose(seen.norm(dim=-1), torch.ones(2, 5)) and torch.allclose(
            heard.norm(dim=-1), torch.ones(2, 5)
        )


# Layers of syncnet_v2.model by their names, and the shapes of their weights (Chung & Zisserman 2016, Fig. 1 and 2).
PUBLISHED = {
    "netcnnaud": {0: (64, 1, 3, 3), 4: (192, 64, 3, 3), 8: (384, 192, 3, 3), 11: (256, 384, 3, 3), 14: (256, 256, 3, 3)}
    | {18: (512, 256, 5, 4)},
    "netcnnlip": {0: (96, 3, 5, 7, 7), 4: (256, 96, 1, 5, 5), 8: (256, 256, 1, 3, 3), 11: (256, 256, 1, 3, 3)}
    | {14: (256, 256, 1, 3, 3), 18: (512, 256, 1, 6, 6)},
    "netfcaud": {0: (512, 512), 3: (1024, 512)},
    "netfclip": {0: (512, 512), 3: (1024, 512)},
}


@pytest.fixture(scope="module")
def weights():
    """Random ones, under the names and in the shapes of the published file."""
    rng, found = torch.Generator().manual_seed(0), {}
    for part, layers in PUBLISHED.items():
        for k, shape in layers.items():
            scale = (2 / np.prod(shape[1:])) ** 0.5
            found[f"{part}.{k}.weight"] = scale * torch.randn(shape, generator=rng)
            found[f"{part}.{k}.bias"] = torch.zeros(shape[0])
            if (part, k) not in {("netfcaud", 3), ("netfclip", 3)}:
                values = {"weight": 1, "bias": 0, "running_mean": 0, "running_var": 1}
                found |= {f"{part}.{k + 1}.{name}": torch.full(shape[:1], float(v)) for name, v in values.items()}
                found[f"{part}.{k + 1}.num_batches_tracked"] = torch.tensor(1)
    return found


def test_the_published_network_takes_its_file(weights, tmp_path):
    """All of it, and nothing is left over. A window of frames sees those five, and nothing else."""
    torch.save(weights, tmp_path / "syncnet_v2.model")
    judge, rng = load(tmp_path / "syncnet_v2.model", 25), np.random.default_rng(0)
    frames, speech = rng.integers(0, 255, (7, 64, 64, 3), np.uint8), rng.normal(0, 5, (7, 13, 20)).astype(np.float32)
    with torch.inference_mode():
        whole = judge(frames, speech)
        assert isinstance(whole, Embedded) and whole.seen.shape == whole.heard.shape == (3, 1024)
        alone = judge(frames[1:6], speech[1:6])
    assert torch.allclose(whole.seen[1], alone.seen[0], atol=1e-4)
    assert torch.allclose(whole.heard[1], alone.heard[0], atol=1e-4)


def test_clips_of_another_rate_and_a_judge_that_is_not_there_are_one_line(weights, tmp_path):
    torch.save(weights, tmp_path / "syncnet_v2.model")
    with pytest.raises(UserError, match=r"syncnet_v2\.model judges the sync of 25 frames a second, and these are 30$"):
        load(tmp_path / "syncnet_v2.model", 30)
    with pytest.raises(UserError, match=r"^nowhere does not exist; it is to judge sync"):
        load(Path("nowhere"), 25)


def test_another_file_is_one_line(weights, tmp_path):
    path = tmp_path / "other.model"
    for content in (b"no weights", None):
        if content:
            path.write_bytes(content)
        else:
            torch.save({name: w for name, w in weights.items() if "lip" not in name}, path)
        with pytest.raises(UserError, match=r"other\.model holds no weights of SyncNet .*syncnet_v2\.model$"):
            published.load(path)
