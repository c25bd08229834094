"""Cascades of untrained networks in use: what holds whatever they have learnt."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.features.landmarks import EYES, MOUTH, mouth_opening
from pipeline.papers import cascade, interface
from pipeline.papers.atvgnet import at_net, vg_net
from pipeline.papers.atvgnet.use import load as load_atvgnet
from pipeline.papers.interface import Driving, Use
from pipeline.papers.sinha import blink_net, landmark_net, texture_net
from pipeline.papers.sinha.use import load as load_sinha

SIZE, N, WIDTH = 64, 23, 0.0625
CASCADES = ["atvgnet", "sinha"]


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
def use(face, monkeypatch):
    """A cascade by its name; boost: ω of ATVGnet's Eq. 4."""
    # In bfloat16, where the machine has it, frames would depend a little on how long the pieces are.
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)

    def make(name: str, boost: float = 1.0) -> Use:
        torch.manual_seed(0)
        if name.startswith("atvgnet"):
            networks = [at_net.ATNet(at_net.Settings(WIDTH, [boost] * 6)), vg_net.VGNet(vg_net.Settings(SIZE, WIDTH))]
            know_faces(networks[0], face)
            trained = dict(zip(("audio_to_landmark", "landmark_to_texture"), networks, strict=True))
            load = load_atvgnet
        else:
            trained = {
                "landmark_to_texture": texture_net.TextureGenerator(texture_net.Settings(WIDTH, 1.0)),
                "audio_to_landmark": landmark_net.LandmarkNet(landmark_net.Settings(42, 5, WIDTH)),
                "blink": blink_net.BlinkNet(blink_net.Settings(8, 3)),
            }
            trained["audio_to_landmark"].mean_neutral.copy_(torch.tensor(face))
            load = load_sinha

        def network(training: str, kind: type, settings: type) -> torch.nn.Module:
            assert type(trained[training]) is kind
            return trained[training].eval()

        return load(name, network, {"fps": 25.0, "sigma": 1.0})

    return make


def know_faces(network: at_net.ATNet, face: np.ndarray) -> None:
    """As training leaves AT-net, with six components at random."""
    network.mean_neutral.copy_((torch.tensor(face) - 32) / 20)
    network.mean.copy_(network.mean_neutral.flatten())
    network.basis.copy_(torch.linalg.qr(torch.randn(136, 6))[0].T)


@pytest.mark.parametrize("name", CASCADES)
def test_long_speech_has_no_seam(name, use, driving, photo, monkeypatch):
    cascade = use(name)

    def generated(piece):
        monkeypatch.setattr(interface, "PIECE", piece)
        return np.stack([drawn.image for drawn in cascade.frames(photo, driving, 0)])

    whole, in_pieces = generated(1000), generated(5)
    assert whole.shape == (N, SIZE, SIZE, 3)
    # The order of sums differs with the piece's length: a value may be rounded the other way.
    assert np.abs(whole.astype(int) - in_pieces).max() <= 1


@pytest.mark.parametrize("name", CASCADES)
def test_frames_are_drawn_from_the_landmarks_that_it_predicts(name, use, driving, photo, monkeypatch):
    """The second half alone draws the same from them, if it does not smooth them as it does those of a detector."""
    monkeypatch.setattr(cascade, "steadied", lambda landmarks: landmarks)
    speaking, following = use(name), use(f"{name}_true_landmarks")
    assert following.landmarks is None
    predicted = replace(driving, landmarks=speaking.landmarks(driving, 3), mfcc=None, characters=None)
    for one, other in zip(speaking.frames(photo, driving, 3), following.frames(photo, predicted, 0), strict=True):
        np.testing.assert_array_equal(one.image, other.image)


@pytest.mark.parametrize("name", CASCADES)
def test_a_frame_is_its_colour_where_changed_and_the_photo_elsewhere(name, use, driving, photo):
    frames = list(use(f"{name}_true_landmarks").frames(photo, driving, 0))
    assert len(frames) == N
    for drawn in frames:
        change = drawn.change[..., None] / 255
        np.testing.assert_allclose(drawn.image, change * drawn.colour + (1 - change) * photo, atol=2)


@pytest.mark.parametrize("name", CASCADES)
def test_predicted_landmarks_are_the_persons_own(name, use, driving, face):
    """A face twice as large, elsewhere: the same motion, twice as large, in its place."""
    speak = use(name).landmarks
    small = speak(driving, 0)
    np.testing.assert_allclose(
        speak(replace(driving, photo_landmarks=2 * face + [3, -5]), 0), 2 * small + [3, -5], atol=1e-2
    )
    assert small.shape == (N, 68, 2) and np.ptp(mouth_opening(small)) > 0 and np.abs(small - face).max() < 64


def test_boosted_speech_moves_the_mouth_so_much_further(use, face, driving):
    """Eq. 4, with ω = 1.5; what is boosted is the motion from the photo's face, which is as neutral as the mean one here."""
    plain, boosted = (use("atvgnet", boost).landmarks(driving, 0) for boost in (1.0, 1.5))
    np.testing.assert_allclose(boosted[:, MOUTH] - face[MOUTH], 1.5 * (plain[:, MOUTH] - face[MOUTH]), atol=1e-3)


def test_only_sinhas_cascade_depends_on_the_seed_and_only_in_the_eyes(use, driving):
    first, second = (use("sinha").landmarks(driving, seed) for seed in (0, 1))
    assert np.abs(first[:, EYES] - second[:, EYES]).max() > 0
    np.testing.assert_array_equal(first[:, MOUTH], second[:, MOUTH])
    np.testing.assert_array_equal(*(use("atvgnet").landmarks(driving, seed) for seed in (0, 1)))
