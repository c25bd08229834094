"""Cascades of untrained networks: what holds whatever they have learnt."""

import numpy as np
import pytest
import torch

import pipeline.systems.system as system
from pipeline.features.landmarks import EYES, MOUTH, mouth_opening
from pipeline.models import atvgnet, identity_preserving
from pipeline.models.blink import BlinkNet
from pipeline.models.blink import Settings as BlinkSettings
from pipeline.systems.cascade import (
    draw_atvgnet,
    draw_identity_preserving,
    follow_landmarks,
    frames,
    speak_atvgnet,
    speak_identity_preserving,
)
from pipeline.systems.system import Driving

SIZE, N = 64, 23


@pytest.fixture
def face():
    """A face of its own in a crop of 64 px: 68 points, eyes level and 19 px apart."""
    angles = np.linspace(np.pi, 0, 17)
    jaw = np.stack([32 + 22 * np.cos(angles), 28 + 30 * np.sin(angles)], axis=1)
    rows = [jaw]
    for start, stop, y, n in ((14, 28, 16, 5), (36, 50, 16, 5)):
        rows.append(np.stack([np.linspace(start, stop, n), np.full(n, y)], axis=1))
    rows.append(np.stack([np.full(4, 32), np.linspace(22, 34, 4)], axis=1))
    rows.append(np.stack([np.linspace(28, 36, 5), np.full(5, 37)], axis=1))
    for x in (22, 42):
        around = np.radians([180, 240, 300, 0, 60, 120])
        rows.append(np.stack([x + 4 * np.cos(around), 22 + 2 * np.sin(around)], axis=1))
    for n, width, height in ((12, 8, 4), (8, 6, 1)):
        around = np.pi + np.arange(n) * 2 * np.pi / n
        rows.append(np.stack([32 + width * np.cos(around), 46 + height * np.sin(around)], axis=1))
    return np.concatenate(rows)


@pytest.fixture
def driving(face):
    rng = np.random.default_rng(0)
    landmarks = face + rng.normal(0, 1, (N, 68, 2))
    mfcc, characters = rng.normal(0, 5, (4 * N, 12)), rng.normal(0, 3, (N, 16, 42)).astype(np.float32)
    return Driving(N, face, mfcc=mfcc.astype(np.float32), characters=characters, landmarks=landmarks)


@pytest.fixture
def photo():
    return np.random.default_rng(1).integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)


@pytest.fixture
def drawers():
    torch.manual_seed(0)
    vgnet = atvgnet.VGNet(atvgnet.Settings(SIZE, 0.0625, (1.0,) * 6)).eval()
    generator = identity_preserving.TextureGenerator(identity_preserving.TextureSettings(0.0625)).eval()
    return {
        "atvgnet": lambda *args: draw_atvgnet(vgnet, *args),
        "identity_preserving": lambda *args: draw_identity_preserving(generator, 1.0, *args),
    }


@pytest.fixture
def speakers(face):
    torch.manual_seed(0)
    at = atvgnet.ATNet(atvgnet.Settings(SIZE, 0.0625, (1.0,) * 6)).eval()
    eyes = torch.tensor(face, dtype=torch.float32)
    at.mean_neutral.copy_((eyes - 32) / 20)
    at.mean.copy_(at.mean_neutral.flatten())
    at.basis.copy_(torch.linalg.qr(torch.randn(136, 6))[0].T)
    words = identity_preserving.LandmarkNet(identity_preserving.LandmarkSettings(42, 5, 0.0625)).eval()
    words.mean_neutral.copy_(eyes)
    blinks = BlinkNet(BlinkSettings(8, 3)).eval()
    return {
        "atvgnet": lambda *args: speak_atvgnet(at, 25, *args),
        "identity_preserving": lambda *args: speak_identity_preserving(words, blinks, *args),
    }


@pytest.mark.parametrize("name", ["atvgnet", "identity_preserving"])
def test_long_speech_has_no_seam(name, drawers, speakers, driving, photo, monkeypatch):
    def generated(piece):
        monkeypatch.setattr(system, "PIECE", piece)
        return np.stack([drawn.image for drawn in frames(speakers[name], drawers[name], photo, driving, 0)])

    whole, in_pieces = generated(1000), generated(5)
    assert whole.shape == (N, SIZE, SIZE, 3)
    # The order of sums differs with the piece's length: a value may be rounded the other way.
    assert np.abs(whole.astype(int) - in_pieces).max() <= 1


@pytest.mark.parametrize("name", ["atvgnet", "identity_preserving"])
def test_a_frame_is_its_colour_where_changed_and_the_photo_elsewhere(name, drawers, driving, photo):
    for drawn in frames(follow_landmarks, drawers[name], photo, driving, 0):
        change = drawn.change[..., None] / 255
        np.testing.assert_allclose(drawn.image, change * drawn.colour + (1 - change) * photo, atol=2)


@pytest.mark.parametrize("name", ["atvgnet", "identity_preserving"])
def test_predicted_landmarks_are_the_persons_own(name, speakers, driving, face):
    """A face twice as large, elsewhere: the same motion, twice as large, in its place."""
    small = speakers[name](driving, 0)
    larger = driving.__class__(**(vars(driving) | {"photo_landmarks": 2 * face + [3, -5]}))
    np.testing.assert_allclose(speakers[name](larger, 0), 2 * small + [3, -5], atol=1e-2)
    assert small.shape == (N, 68, 2) and np.ptp(mouth_opening(small)) > 0 and np.abs(small - face).max() < 64


def test_boosted_speech_moves_the_mouth_so_much_further(face, driving):
    """And the eyes, which blink, as far as without."""
    said = []
    for boost in (1.0, 1.5):
        torch.manual_seed(0)
        words = identity_preserving.LandmarkNet(identity_preserving.LandmarkSettings(42, 5, 0.0625, boost)).eval()
        words.mean_neutral.copy_(torch.tensor(face))
        blinks = BlinkNet(BlinkSettings(8, 3)).eval()
        said.append(speak_identity_preserving(words, blinks, driving, 0))
    np.testing.assert_allclose(said[1][:, MOUTH] - face[MOUTH], 1.5 * (said[0][:, MOUTH] - face[MOUTH]), atol=1e-3)
    np.testing.assert_array_equal(said[0][:, EYES], said[1][:, EYES])


def test_only_sinhas_cascade_depends_on_the_seed_and_only_in_the_eyes(speakers, driving):
    first, second = (speakers["identity_preserving"](driving, seed) for seed in (0, 1))
    assert np.abs(first[:, 36:48] - second[:, 36:48]).max() > 0
    np.testing.assert_array_equal(first[:, MOUTH], second[:, MOUTH])
    np.testing.assert_array_equal(*(speakers["atvgnet"](driving, seed) for seed in (0, 1)))
