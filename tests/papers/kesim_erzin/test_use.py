"""The four systems in use, untrained: what holds whatever they have learnt."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.papers import interface
from pipeline.papers.interface import Driving
from pipeline.papers.kesim_erzin.end_to_end import INPUTS
from pipeline.papers.kesim_erzin.networks import Generator, Settings
from pipeline.papers.kesim_erzin.use import load
from pipeline.papers.registry import SYSTEMS

SIZE, N = 64, 23
HOW = {"fps": 25.0, "sigma": 1.0, "mel": {"sample_rate": 22050, "mel_bands": 60, "window_ms": 33.0}}

SIZES = {
    "image_size": SIZE,
    "context_frames": 5,
    "mel_columns": 27,
    "mel_bands": 60,
    "width": 0.0625,
    "decision_every": 5,
}


def used(row):
    """A row's system with the weights that it is drawn with."""
    torch.manual_seed(0)
    generator = Generator(Settings(**INPUTS[row], **SIZES)).eval()
    trained = {(row, Generator, Settings): generator}
    return load(f"kesim_erzin_{row}", lambda *asked: trained[asked], HOW)


@pytest.fixture
def driving():
    """Everything that could drive a system."""
    rng = np.random.default_rng(0)
    landmarks, mel = rng.uniform(8, 56, (N, 68, 2)), rng.normal(0, 0.3, (round(2.42 * N), 60)).astype(np.float32)
    return Driving(N, landmarks[0], mel=mel, landmarks=landmarks)


def generated(use, driving, seed=0):
    photo = np.random.default_rng(1).integers(0, 255, (SIZE, SIZE, 3)).astype(np.uint8)
    return np.stack([drawn.image for drawn in use.frames(photo, driving, seed)]).astype(int)


@pytest.mark.parametrize("row", INPUTS)
def test_pieces_are_the_whole(row, driving, monkeypatch):
    use = used(row)
    monkeypatch.setattr(interface, "PIECE", 1000)
    whole = generated(use, driving)
    monkeypatch.setattr(interface, "PIECE", 5)
    assert whole.shape == (N, SIZE, SIZE, 3)
    # The order of sums differs with the piece's length: a value may be rounded the other way.
    assert np.abs(whole - generated(use, driving)).max() <= 1


@pytest.mark.parametrize("row", INPUTS)
def test_frames_follow_what_the_system_needs_and_do_without_the_rest(row, driving):
    needs, use = SYSTEMS[f"kesim_erzin_{row}"].needs, used(row)
    frames = generated(use, driving)
    for name in ("mel", "landmarks"):
        if name in needs:
            reversed_in_time = replace(driving, **{name: getattr(driving, name)[::-1].copy()})
            assert np.abs(frames - generated(use, reversed_in_time)).max() > 0
        else:
            np.testing.assert_array_equal(frames, generated(use, replace(driving, **{name: None})))


def test_the_seed_is_the_noises(driving):
    use = used("speech")
    first = generated(use, driving)
    np.testing.assert_array_equal(first, generated(use, driving))
    assert np.abs(first - generated(use, driving, seed=1)).max() > 0
