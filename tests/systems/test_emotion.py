"""The emotion-conditioned system in use, untrained: what holds whatever it has learnt."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import pipeline.systems.system as system
from pipeline.models.emotion import Generator, Settings
from pipeline.systems.emotion import frames
from pipeline.systems.system import Driving

N = 23


@pytest.fixture
def generator():
    torch.manual_seed(0)
    return Generator(Settings(64, 0.0625)).eval()


@pytest.fixture
def driving():
    speech = np.random.default_rng(0).integers(-9000, 9000, N * 320 - 100).astype(np.int16)
    return Driving(N, np.zeros((68, 2)), waveform_8000=speech, emotion="HAP")


def generated(generator, driving, seed=0):
    photo = np.random.default_rng(1).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    return np.stack([drawn.image for drawn in frames(generator, 25, photo, driving, seed)]).astype(int)


@pytest.mark.parametrize("piece", [1, 5, 22])
def test_pieces_are_the_whole(piece, generator, driving, monkeypatch):
    monkeypatch.setattr(system, "PIECE", 1000)
    whole = generated(generator, driving)
    monkeypatch.setattr(system, "PIECE", piece)
    assert whole.shape == (N, 64, 64, 3)
    # The order of sums differs with the piece's length: a value may be rounded the other way.
    assert np.abs(whole - generated(generator, driving)).max() <= 1


def test_emotion_and_seed_change_the_frames_which_are_the_same_for_the_same(generator, driving):
    first = generated(generator, driving)
    np.testing.assert_array_equal(first, generated(generator, driving))
    assert np.abs(first - generated(generator, driving, seed=1)).max() > 0
    assert np.abs(first - generated(generator, replace(driving, emotion="SAD"))).max() > 0


def test_speech_that_ends_early_is_followed_by_silence(generator, driving):
    short = driving.waveform_8000[:320] - driving.waveform_8000[:320].mean().astype(np.int16)
    silence = np.zeros(N * 320 - len(short), np.int16)
    frames = [generated(generator, replace(driving, waveform_8000=x)) for x in (short, np.append(short, silence))]
    assert frames[0].shape == (N, 64, 64, 3)
    # What is left of the mean in either differs by less than a step of int16.
    assert np.abs(frames[0] - frames[1]).max() <= 1
