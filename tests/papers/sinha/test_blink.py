"""Blinks from noise, as a whole: the windows they are learned from, what training leaves, and the blinks that come of it."""

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.made_up import write_abouts
from pipeline.corpus.shards import in_shards, write_shards
from pipeline.corpus.tables import frames_table, write_table_shard
from pipeline.errors import UserError
from pipeline.evaluation.blinks import compare_blinks
from pipeline.features.blinks import blink_events
from pipeline.features.canonical import neutral_face
from pipeline.features.landmarks import eye_aspect_ratio
from pipeline.papers.sinha.blink import eye_windows, untrained_network
from pipeline.papers.sinha.blink_net import EYE_REGION, BlinkNet, Settings, blink_displacements, on_the_face
from pipeline.training.trained import load_network
from tests.features.test_jitter import face_with_eyes

N_FRAMES, BLINK = 40, slice(18, 23)
FPS = 25
SCHEDULE = {"units": 16, "steps": 12, "batch": 32, "steps_per_epoch": 5, "epochs": 1}


@pytest.fixture
def data(tmp_path):
    """Eight clips of a face that trembles a little, every other with a blink in its middle; two are for validation."""
    rng = np.random.default_rng(0)
    clips = [f"clip{k}" for k in range(8)]
    (tmp_path / "clips").mkdir()
    splits = ["train"] * 6 + ["validation"] * 2
    pd.DataFrame({"clip": clips, "split": splits}).to_parquet(tmp_path / "clips" / "clips.parquet")
    opening = np.full((8, N_FRAMES), 0.3)
    opening[1::2, BLINK] = [0.2, 0.1, 0.08, 0.1, 0.2]
    faces = face_with_eyes(opening.ravel()).reshape(8, N_FRAMES, 68, 2)
    trembling = faces + rng.normal(0, 0.02, faces.shape)
    landmarks = dict(zip(clips, trembling.astype(np.float32), strict=True))
    write_shards(
        tmp_path / "alignment" / "small" / "neutral",
        ((clip, neutral_face(landmarks[clip])) for clip in in_shards(landmarks)),
    )
    tables = [(clip, frames_table(clip, {"points": landmarks[clip]}), 0) for clip in clips]
    write_table_shard(tmp_path / "alignment" / "small" / "landmarks", "shard-00", tables)
    np.save(tmp_path / "alignment" / "small" / "template.npy", faces[0, 0])
    write_abouts(tmp_path)
    return tmp_path


@pytest.fixture
def blinking(parameters):
    """SCHEDULE with changes: blinking(epochs=2)."""
    return lambda **changes: parameters(sinha={"blink": SCHEDULE | changes}, training={"device": "cpu"})


@pytest.fixture
def windows(data, blinking):
    return eye_windows(blinking(), data)


def test_windows_are_cut_from_the_clips_in_eye_distances(windows):
    batch = next(windows.epoch(0, 0))
    assert batch.real.shape == (32, 12, 44) and batch.noise.shape[::2] == (32, 10)
    # Lids fall from ± 3 to ± 0.8 px, and the eyes' centres are 60 px apart.
    upper_lid = 2 * EYE_REGION.index(37) + 1
    assert batch.high[upper_lid].item() == pytest.approx(2.2 / 60, abs=0.003)
    assert batch.low[upper_lid].item() == pytest.approx(0, abs=0.003)
    clips = np.stack(windows.train)
    for window in batch.real[:5].numpy():
        assert any((clips[:, t : t + 12] == window).all(axis=(1, 2)).any() for t in range(N_FRAMES - 11))


def test_what_an_epoch_draws_depends_on_seed_and_number_only(data, blinking):
    one, other = (eye_windows(blinking(), data) for _ in range(2))
    assert len(one) == len(list(one.epoch(0, 0))) == 5
    for a, b in zip(one.epoch(0, 3), other.epoch(0, 3), strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    drawn = next(one.epoch(0, 3)).real
    assert not torch.equal(drawn, next(one.epoch(0, 4)).real) and not torch.equal(drawn, next(one.epoch(1, 3)).real)
    assert all(torch.equal(x, y) for x, y in zip(*(next(w.validation(0)) for w in (one, other)), strict=True))


def test_a_network_is_judged_by_all_clips_and_trained_on_the_training_clips(windows):
    """The two that are held out blink at another time than the rest: here, both of them, always."""
    assert len(windows.train) == 6 and len(windows.judged) == 8
    held_out = np.stack(windows.judged[6:])

    def of_held_out(batch):
        starts = {clip[t].tobytes() for clip in held_out for t in range(N_FRAMES)}
        return np.mean([window[0].tobytes() in starts for window in batch.real.numpy()])

    (judged,) = windows.validation(0)
    assert of_held_out(judged) == pytest.approx(2 / 8, abs=0.08)  # four standard deviations of 512 windows
    assert not any(of_held_out(batch) for batch in windows.epoch(0, 0))


def test_the_network_begins_with_the_principal_components(windows):
    network = untrained_network(windows, 0)
    frames = np.concatenate(windows.train)
    weight, bias = network.displacements.weight.detach().numpy(), network.displacements.bias.detach().numpy()
    np.testing.assert_allclose(bias, frames.mean(axis=0), atol=1e-6)
    # Columns at right angles, as long as the data spreads along them, that together hold 99 % of the variance.
    products = weight.T @ weight
    np.testing.assert_allclose(products, np.diag(np.diag(products)), atol=1e-6)
    share = np.diag(products).sum() / frames.var(axis=0).sum()
    assert 0.99 <= share <= 1.0001


def test_training_leaves_a_network_that_is_loaded_and_compared(data, blinking, train_on):
    p = blinking(learning_rate=0.01)
    trained = train_on("sinha", "blink", p)
    assert list(trained.losses) == ["phase", "epoch", "generator_mmd", "generator_range", "validation_error"]
    network, about = load_network(trained.folder, BlinkNet, Settings)
    assert about["training"] == "sinha_blink" and about["preprocessing"]["fps"] == FPS
    assert network.settings.units == 16
    # The rate is to be half after 500 steps (blink.HALF_RATE): after five it is 1/1.01 of what it was.
    (path,) = (data / ".work" / "training" / "sinha_blink").glob("*.pt")
    (group,) = torch.load(path, weights_only=True)["optimizers"]["generator"]["param_groups"]
    assert group["lr"] == pytest.approx(0.01 / 1.01)
    statistics, found = compare_blinks(p, data)
    # Three blinks in six clips of 40 frames, of five frames each.
    assert statistics["ground_truth"]["rate"] == pytest.approx(3 / (6 * N_FRAMES / FPS), rel=1e-3)
    assert statistics["ground_truth"]["duration"] == pytest.approx(5 / FPS)
    # All real blinks are of one length: every generated one has to go there.
    made, away = found["generated"].durations, statistics["distance"]["duration"]
    assert away == (pytest.approx(np.abs(made - 5 / FPS).mean(), rel=1e-3) if len(made) else None)
    mmd = statistics["mmd"]
    assert mmd["trained"] > 0 and mmd["factor"] == pytest.approx(mmd["untrained"] / mmd["trained"], rel=1e-3)
    assert found["ground_truth"].counts.sum() == 3 and len(found["generated"].counts) == 10 * len(
        found["ground_truth"].counts
    )


def test_generated_motion_moves_eyes_and_brows_only():
    torch.manual_seed(0)
    network = BlinkNet(Settings(units=8, components=3)).eval()
    blinks = blink_displacements(network, 50, seed=1)
    others = [point for point in range(68) if point not in EYE_REGION]
    assert blinks.shape == (50, 68, 2)
    assert not blinks[:, others].any() and blinks[:, EYE_REGION].std(axis=0).all()
    assert np.array_equal(blinks, blink_displacements(network, 50, seed=1))
    assert not np.array_equal(blinks, blink_displacements(network, 50, seed=2))


def test_mistakes_are_named(blinking, train_on):
    with pytest.raises(UserError, match="no training clip has 41 frames"):
        train_on("sinha", "blink", blinking(steps=41))
    with pytest.raises(UserError, match=r"blink\.weights\.mmd is 0"):
        train_on("sinha", "blink", blinking(weights={"mmd": 0, "range": 1}))


def test_the_made_up_clips_blink(windows):
    moved = windows.mean_neutral + on_the_face(windows.train[1])
    assert blink_events(eye_aspect_ratio(moved), FPS) == [(BLINK.start, BLINK.stop)]
