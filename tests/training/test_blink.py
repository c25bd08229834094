import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.corpus.shards import in_shards, write_shards
from pipeline.corpus.tables import frames_table, write_table_shard
from pipeline.errors import UserError
from pipeline.evaluation.blinks import compare_blinks
from pipeline.features.blinks import blink_events
from pipeline.features.canonical import neutral_face
from pipeline.features.landmarks import eye_aspect_ratio
from pipeline.models.blink import EYE_REGION, BlinkNet, Settings
from pipeline.training.blink import EyeWindows, blink_displacements, load, train, untrained_network, with_blinks
from tests.features.test_jitter import face_with_eyes

N_FRAMES, BLINK = 40, slice(18, 23)
SCHEDULE = {"units": 16, "steps": 12, "batch": 32, "steps_per_epoch": 20, "epochs": 2}


@pytest.fixture
def data(tmp_path):
    """Eight clips of a face that trembles a little, every other with a blink in its middle; two are for validation."""
    rng = np.random.default_rng(0)
    clips = [f"clip{k}" for k in range(8)]
    (tmp_path / "clips").mkdir()
    splits = ["train"] * 6 + ["validation"] * 2
    pd.DataFrame({"clip": clips, "split": splits}).to_parquet(tmp_path / "clips" / "clips.parquet")
    opening = np.full((8, N_FRAMES), 0.3)
    opening[1::2, BLINK] = 0.08
    faces = face_with_eyes(opening.ravel()).reshape(8, N_FRAMES, 68, 2)
    trembling = faces + rng.normal(0, 0.02, faces.shape)
    landmarks = dict(zip(clips, trembling.astype(np.float32), strict=True))
    write_shards(
        tmp_path / "alignment" / "neutral", ((clip, neutral_face(landmarks[clip])) for clip in in_shards(landmarks))
    )
    tables = [(clip, frames_table(clip, {"points": landmarks[clip]}), 0) for clip in clips]
    write_table_shard(tmp_path / "alignment" / "landmarks", "shard-00", tables)
    return tmp_path


@pytest.fixture
def p(parameters):
    return parameters(blink=SCHEDULE, training={"device": "cpu"})


def test_windows_are_cut_from_the_clips_in_eye_distances(data, p):
    windows = EyeWindows(p, data)
    batch = next(windows.epoch(0))
    assert batch.real.shape == (32, 12, 44) and batch.noise.shape[::2] == (32, 10)
    # Lids fall from ± 3 to ± 0.8 px, and the eyes' centres are 60 px apart.
    upper_lid = 2 * EYE_REGION.index(37) + 1
    assert batch.high[upper_lid].item() == pytest.approx(2.2 / 60, abs=0.003)
    assert batch.low[upper_lid].item() == pytest.approx(0, abs=0.003)
    clips = np.stack(windows.train)
    for window in batch.real[:5].numpy():
        assert any((clips[:, t : t + 12] == window).all(axis=(1, 2)).any() for t in range(N_FRAMES - 11))


def test_what_an_epoch_draws_depends_on_its_number_only(data, p):
    one, other = EyeWindows(p, data), EyeWindows(p, data)
    list(one.epoch(0))
    for a, b in zip(one.epoch(3), other.epoch(3), strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert not torch.equal(next(one.epoch(3)).real, next(one.epoch(4)).real)
    assert all(torch.equal(x, y) for x, y in zip(*(next(w.validation()) for w in (one, other)), strict=True))


def test_the_network_begins_with_the_principal_components(data, p):
    windows = EyeWindows(p, data)
    network = untrained_network(p, windows)
    frames = np.concatenate(windows.train)
    weight, bias = network.displacements.weight.detach().numpy(), network.displacements.bias.detach().numpy()
    np.testing.assert_allclose(bias, frames.mean(axis=0), atol=1e-6)
    # Columns at right angles, as long as the data spreads along them, that together hold 99 % of the variance.
    products = weight.T @ weight
    np.testing.assert_allclose(products, np.diag(np.diag(products)), atol=1e-6)
    share = np.diag(products).sum() / frames.var(axis=0).sum()
    assert 0.99 <= share <= 1.0001


def test_training_leaves_a_network_that_is_loaded_and_compared(data, p, tmp_path):
    train(p, data, tmp_path / "losses.csv")
    assert list(pd.read_csv(tmp_path / "losses.csv")) == [
        "epoch",
        "generator_mmd",
        "generator_range",
        "validation_error",
    ]
    _, description = load(data / "blink")
    assert description["system"] == "blink" and description["preprocessing"]["fps"] == p.corpus.fps
    statistics, found = compare_blinks(p, data)
    # Three blinks in six clips of 40 frames, of five frames each.
    assert statistics["ground_truth"]["rate"] == pytest.approx(3 / (6 * N_FRAMES / p.corpus.fps), rel=1e-3)
    assert statistics["ground_truth"]["duration"] == pytest.approx(5 / p.corpus.fps)
    assert statistics["mmd"]["trained"] > 0
    assert found["ground_truth"].counts.sum() == 3 and len(found["generated"].counts) == 10 * len(
        found["ground_truth"].counts
    )


def test_training_can_be_resumed(data, p, parameters, tmp_path):
    train(p, data, tmp_path / "losses.csv")
    whole = load(data / "blink")[0].state_dict()
    for path in (data / "blink").glob("*.pt"):
        path.unlink()
    train(parameters(blink=SCHEDULE | {"epochs": 1}, training={"device": "cpu"}), data, tmp_path / "losses.csv")
    train(p, data, tmp_path / "losses.csv")
    assert all(torch.equal(whole[name], value) for name, value in load(data / "blink")[0].state_dict().items())


def test_generated_motion_moves_eyes_and_brows_only():
    torch.manual_seed(0)
    network = BlinkNet(Settings(units=8, components=3)).eval()
    blinks = blink_displacements(network, 50, seed=1)
    others = [point for point in range(68) if point not in EYE_REGION]
    assert blinks.shape == (50, 68, 2)
    assert not blinks[:, others].any() and blinks[:, EYE_REGION].std(axis=0).all()
    assert np.array_equal(blinks, blink_displacements(network, 50, seed=1))
    assert not np.array_equal(blinks, blink_displacements(network, 50, seed=2))
    spoken = np.random.default_rng(0).normal(size=(50, 68, 2))
    moved = with_blinks(spoken, blinks)
    assert np.array_equal(moved[:, others], spoken[:, others])
    np.testing.assert_allclose(moved[:, EYE_REGION] - spoken[:, EYE_REGION], blinks[:, EYE_REGION])


def test_mistakes_are_named(data, p, parameters, tmp_path):
    with pytest.raises(UserError, match="no training clip has 41 frames"):
        train(parameters(blink=SCHEDULE | {"steps": 41}), data, tmp_path / "losses.csv")
    with pytest.raises(UserError, match=r"blink\.weights\.mmd is 0"):
        train(parameters(blink=SCHEDULE | {"weights": {"mmd": 0, "range": 1}}), data, tmp_path / "losses.csv")
    with pytest.raises(UserError, match="dvc repro blink"):
        load(data / "blink")


def test_the_made_up_clips_blink(data, p):
    windows = EyeWindows(p, data)
    moved = windows.mean_neutral + with_blinks(np.zeros((N_FRAMES, 68, 2)), np.zeros((N_FRAMES, 68, 2)))
    moved[:, EYE_REGION] += windows.train[1].reshape(N_FRAMES, 22, 2)
    assert blink_events(eye_aspect_ratio(moved), 25) == [(BLINK.start, BLINK.stop)]
