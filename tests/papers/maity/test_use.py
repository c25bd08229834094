"""The emotion-conditioned system in use, untrained: what holds whatever it has learnt."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.papers import interface
from pipeline.papers.interface import Driving
from pipeline.papers.maity.networks import Generator, Settings
from pipeline.papers.maity.use import load

N = 23


@pytest.fixture
def use():
    torch.manual_seed(0)
    trained = {("end_to_end", Generator, Settings): Generator(Settings(64, 0.0625)).eval()}
    return load("maity", lambda *asked: trained[asked], {"fps": 25.0})


@pytest.fixture
def driving():
    speech = np.random.default_rng(0).integers(-9000, 9000, N * 320 - 100).astype(np.int16)
    return Driving(N, np.zeros((68, 2)), waveform_8000=speech, emotion="HAP")


def generated(use, driving, seed=0):
    photo = np.random.default_rng(1).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    return np.stack([drawn.image for drawn in use.frames(photo, driving, seed)]).astype(int)


@pytest.mark.parametrize("piece", [1, 5, 22])
def test_pieces_are_the_whole(piece, use, driving, monkeypatch):
    monkeypatch.setattr(interface, "PIECE", 1000)
    whole = generated(use, driving)
    monkeypatch.setattr(interface, "PIECE", piece)
    assert whole.shape == (N, 64, 64, 3)
    # The order of sums differs with the piece's length: a value may be rounded the other way.
    assert np.abs(whole - generated(use, driving)).max() <= 1


def test_emotion_and_seed_change_the_frames_which_are_the_same_for_the_same(use, driving):
    first = generated(use, driving)
    np.testing.assert_array_equal(first, generated(use, driving))
    assert np.abs(first - generated(use, driving, seed=1)).max() > 0
    assert np.abs(first - generated(use, replace(driving, emotion="SAD"))).max() > 0


def test_speech_that_ends_early_is_followed_by_silence(use, driving):
    short = driving.waveform_8000[:320] - driving.waveform_8000[:320].mean().astype(np.int16)
    silence = np.zeros(N * 320 - len(short), np.int16)
    frames = [generated(use, replace(driving, waveform_8000=x)) for x in (short, np.append(short, silence))]
    assert frames[0].shape == (N, 64, 64, 3)
    # What is left of the mean in either differs by less than a step of int16.
    assert np.abs(frames[0] - frames[1]).max() <= 1
