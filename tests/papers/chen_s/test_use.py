"""An untrained system in use: what holds whatever it has learnt."""

import numpy as np
import pytest
import torch

from pipeline.papers import interface
from pipeline.papers.chen_s.networks import Generator, Settings
from pipeline.papers.chen_s.use import load
from pipeline.papers.interface import Driving

SIZE, N = 64, 23


@pytest.fixture
def generated(monkeypatch):
    """The frames of a clip, made in pieces of a length, from speech that is louder by some factor."""
    torch.manual_seed(0)
    generator = Generator(Settings(SIZE, 0.0625, {"width": 0.0625})).eval()
    trained = {("end_to_end", Generator, Settings): generator}
    use = load("chen_s", lambda *asked: trained[asked], {"fps": 25.0})
    rng = np.random.default_rng(0)
    mfcc = rng.normal(0, 5, (4 * N, 12)).astype(np.float32)
    photo = rng.integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)

    def make(piece, louder=1.0, seed=0):
        monkeypatch.setattr(interface, "PIECE", piece)
        driving = Driving(N, np.zeros((68, 2)), mfcc=louder * mfcc)
        return np.stack([drawn.image for drawn in use.frames(photo, driving, seed)])

    return make


def test_long_speech_has_no_seam(generated):
    whole, in_pieces = generated(1000), generated(5)
    assert whole.shape == (N, SIZE, SIZE, 3) and whole.dtype == np.uint8
    # The order of sums differs with the piece's length: a value may be rounded the other way.
    assert np.abs(whole.astype(int) - in_pieces).max() <= 1


def test_it_hears_the_speech_and_draws_no_lots(generated):
    assert np.array_equal(generated(50), generated(50, seed=1))
    assert not np.array_equal(generated(50), generated(50, louder=3.0))
