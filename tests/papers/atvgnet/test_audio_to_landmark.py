"""Training of AT-net: what it is given, what it leaves, and that it learns."""

import numpy as np
import pytest
import torch

from pipeline.errors import UserError
from pipeline.features.landmarks import inter_ocular_distance
from pipeline.papers.atvgnet.at_net import ATNet, AudioToLandmark, Settings
from pipeline.papers.atvgnet.audio_to_landmark import FACES, MeanFace, SpeechExcerpts, faces_of
from pipeline.papers.atvgnet.vg_net import Settings as TextureSettings
from pipeline.papers.atvgnet.vg_net import VGNet
from pipeline.training.data import ClipStore
from pipeline.training.trained import load_network

SMALL = {"boost": [1.0, 2.0], "epochs": 2, "learning_rate": 2e-4, "excerpt_frames": 8, "batch": 2}


@pytest.fixture
def train(train_on, parameters):
    """Train SMALL with changes: train(epochs=3)."""
    return lambda **changes: train_on(
        "atvgnet", "audio_to_landmark", parameters(atvgnet={"audio_to_landmark": SMALL | changes})
    )


@pytest.fixture
def faces(data):
    store = ClipStore(data, "small", "landmarks", "neutral", "mfcc")
    return MeanFace(store, faces_of(store, 2))


def speech(faces, excerpt_frames=8, batch=2):
    return SpeechExcerpts(faces.store, excerpt_frames, batch, faces)


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_the_mean_face_is_of_persons_and_one_eye_distance_wide(faces):
    """Two clips of subject 1001, one of 1002: each subject counts once."""
    neutral = faces.store.neutral
    mean = ((neutral["clip0"] + neutral["clip1"]) / 2 + neutral["clip2"]) / 2
    expected = (mean - 32) / inter_ocular_distance(mean)
    np.testing.assert_allclose(faces.mean_neutral, expected, atol=1e-5)
    assert inter_ocular_distance(faces.mean_neutral) == pytest.approx(1, abs=1e-5)


def test_one_component_holds_the_lip_that_moves(faces):
    """The made-up faces move their lower lip only, all of its points together, downwards."""
    moved = np.abs(faces.basis[0].reshape(68, 2))
    lip = [*range(55, 60), *range(65, 68)]
    assert (moved[lip, 1] ** 2).sum() > 0.98
    landmarks = faces.landmarks("clip3")
    rebuilt = faces.components(landmarks) @ faces.basis + faces.mean
    assert np.abs(rebuilt - landmarks.reshape(len(landmarks), -1)).max() < 0.02


def test_components_are_counted_from_the_neutral_face(faces):
    """Boosted (Eq. 4), the lip moves so much further from where it rests, and a face that rests stays."""
    np.testing.assert_allclose(faces.components(faces.mean_neutral), 0, atol=1e-6)
    np.testing.assert_array_equal(faces.mean, faces.mean_neutral.flatten())
    landmarks = faces.landmarks("clip3")
    boosted = 1.5 * faces.components(landmarks) @ faces.basis + faces.mean
    opened = boosted.reshape(-1, 68, 2)[:, 57, 1] - faces.mean_neutral[57, 1]
    np.testing.assert_allclose(opened, 1.5 * (landmarks[:, 57, 1] - faces.mean_neutral[57, 1]), atol=0.03)


def test_batches_hold_each_clip_once_and_depend_on_seed_and_epoch(faces):
    batches = speech(faces)
    drawn = list(batches.epoch(0, 0))
    assert len(drawn) == len(batches) == 2 and [b.n_frames for b in drawn] == [16, 8]
    assert drawn[0].mfcc.shape == (2, 8, 28, 12) and drawn[0].landmarks.shape == (2, 8, 68, 2)
    assert equal(drawn[0], next(speech(faces).epoch(0, 0)))
    assert not equal(drawn[0], next(batches.epoch(0, 1)))
    assert not equal(drawn[0], next(batches.epoch(1, 0)))


def test_mfcc_and_landmarks_of_a_batch_are_of_the_same_frames(faces):
    """Column 0 of the made-up MFCC is the lip's height; the middle four columns of a window are its frame's own."""
    batch = next(speech(faces).epoch(0, 0))
    heard = batch.mfcc[:, :, 12:16, 0].mean(dim=2)
    seen = batch.landmarks[:, :, 57, 1]
    for k in range(2):
        assert np.corrcoef(heard[k], seen[k])[0, 1] > 0.95


def test_a_short_clip_is_held_at_its_end(faces):
    batch = next(speech(faces, excerpt_frames=30, batch=3).epoch(0, 0))
    assert batch.mfcc.shape[:2] == (3, 30)
    assert torch.equal(batch.landmarks[:, 29], batch.landmarks[:, 20])


def test_validation_starts_from_the_mean_neutral_face(faces):
    (batch,) = speech(faces).validation(0)
    np.testing.assert_allclose(batch.example[0], faces.components(faces.mean_neutral))
    assert batch.mfcc.shape[:2] == (1, 17)


def test_it_trains_and_knows_the_training_splits_faces(train, faces):
    trained = train()
    assert list(trained.losses) == ["phase", "epoch", "generator_components", "validation_error"]
    assert len(trained.losses) == 2 and trained.losses.notna().all(axis=None)
    network, about = load_network(trained.folder, ATNet, Settings)
    known = faces_of(faces.store, 2)
    assert known.keys() == set(FACES)
    for name, value in known.items():
        np.testing.assert_allclose(getattr(network, name), value, err_msg=name)
    assert network.settings.boost == [1, 2] and not network.training
    assert about["settings"] == {"width": 0.0625, "boost": [1, 2]}
    assert about["preprocessing"]["fps"] == 25 and about["preprocessing"]["image_size"] == 64


def test_it_is_not_taken_for_the_other_network(train):
    with pytest.raises(UserError, match="does not hold this system's network"):
        load_network(train(epochs=1).folder, VGNet, TextureSettings)


def test_it_learns_the_lip_from_the_sound(train, faces):
    """Better than the mean of the training frames, which says nothing of the sound."""
    trained = train(epochs=25, learning_rate=3e-3, boost=[1.0, 1.0])
    (batch,) = speech(faces).validation(0)
    network, _ = load_network(trained.folder, ATNet, Settings)
    frames = np.concatenate([faces.landmarks(clip) for clip in faces.store.train])
    mean = torch.from_numpy(faces.components(frames).mean(axis=0)).expand_as(batch.components)
    still = AudioToLandmark(network).validation_error(batch, mean).item()
    assert trained.losses["validation_error"].min() < 0.6 * still
