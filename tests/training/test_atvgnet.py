"""Training of ATVGnet's two networks: what they are given, what they leave, and that they learn."""

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.errors import UserError
from pipeline.features.landmarks import inter_ocular_distance
from pipeline.models.atvgnet import AudioToLandmark, LandmarkToTexture
from pipeline.training.atvgnet import (
    MeanFace,
    SpeechExcerpts,
    VideoExcerpts,
    load_audio_to_landmark,
    load_landmark_to_texture,
    mirrored,
    scaled,
    train_audio_to_landmark,
    train_landmark_to_texture,
)
from pipeline.training.data import ClipStore, tensor_to_images

SMALL = {
    "width": 0.0625,
    "audio_to_landmark": {
        "boost": [1.0, 2.0],
        "epochs": 2,
        "learning_rate": 2e-4,
        "excerpt_frames": 8,
        "batch": 2,
    },
    "landmark_to_texture": {
        "epochs": 2,
        "excerpts": 1,
        "learning_rate": 2e-4,
        "excerpt_frames": 4,
        "batch": 2,
        "dynamic": True,
        "weights": {"pixel": 10.0, "sequence": 1.0, "landmark": 1.0},
    },
}


def small(**changes):
    """SMALL with changes of one network: small(landmark_to_texture={"epochs": 3})."""
    return SMALL | {network: SMALL[network] | values for network, values in changes.items()}


@pytest.fixture
def faces(data):
    return MeanFace(ClipStore(data, "crops", "landmarks", "neutral", "mfcc"), 64, 2)


def speech(faces, excerpt_frames=8, batch=2, seed=0):
    return SpeechExcerpts(faces.store, excerpt_frames, seed, batch, faces, 25)


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


def test_speech_batches_hold_each_clip_once_and_depend_on_seed_and_epoch(faces):
    batches = speech(faces)
    drawn = list(batches.epoch(0))
    assert len(drawn) == len(batches) == 2 and [b.n_frames for b in drawn] == [16, 8]
    assert drawn[0].mfcc.shape == (2, 8, 28, 12) and drawn[0].landmarks.shape == (2, 8, 68, 2)
    assert equal(drawn[0], next(speech(faces).epoch(0)))
    assert not equal(drawn[0], next(batches.epoch(1)))
    assert not equal(drawn[0], next(speech(faces, seed=1).epoch(0)))


def test_mfcc_and_landmarks_of_a_batch_are_of_the_same_frames(faces):
    """Column 0 of the made-up MFCC is the lip's height; the middle four columns of a window are its frame's own."""
    batch = next(speech(faces).epoch(0))
    heard = batch.mfcc[:, :, 12:16, 0].mean(dim=2)
    seen = batch.landmarks[:, :, 57, 1]
    for k in range(2):
        assert np.corrcoef(heard[k], seen[k])[0, 1] > 0.95


def test_a_short_clip_is_held_at_its_end(faces):
    batch = next(speech(faces, excerpt_frames=30, batch=3).epoch(0))
    assert batch.mfcc.shape[:2] == (3, 30)
    assert torch.equal(batch.landmarks[:, 29], batch.landmarks[:, 20])


def test_validation_starts_from_the_mean_neutral_face(faces):
    (batch,) = speech(faces).validation()
    np.testing.assert_allclose(batch.example[0], faces.components(faces.mean_neutral))
    assert batch.mfcc.shape[:2] == (1, len(faces.store.crops["clip3"]))


def test_texture_batches_show_frames_with_their_landmarks(faces):
    """Each frame of a batch is found among its clip's, mirrored or not, and its landmarks are that frame's."""
    store = faces.store
    seen = set()
    for number in range(4):
        for batch in VideoExcerpts(store, 4, 0, 2, excerpts=1).epoch(number):
            for k in range(len(batch.photo)):
                images = tensor_to_images(torch.cat([batch.photo[k][None], batch.frames[k]]))
                landmarks = torch.cat([batch.photo_landmarks[k][None], batch.landmarks[k]])
                for image, face in zip(images, landmarks, strict=True):
                    clip, frame, flip = find(store, image)
                    truth = store.landmarks.landmarks(clip)[frame]
                    expected = scaled(mirrored(truth, 64) if flip else truth, 64)
                    torch.testing.assert_close(face, expected, atol=1e-5, rtol=0)
                    seen.add(flip)
    assert seen == {True, False}


def test_an_epoch_of_textures_takes_several_excerpts_of_each_clip(faces):
    once, thrice = (VideoExcerpts(faces.store, 4, 0, 2, excerpts=n) for n in (1, 3))
    drawn = list(thrice.epoch(2))
    assert len(drawn) == len(thrice) == 3 * len(once) == 6
    # The third epoch's are those that would have been the seventh to ninth of one each.
    assert equal(drawn[0], next(once.epoch(6))) and not equal(drawn[0], drawn[2])


def find(store, image):
    for clip in store.train:
        for flip in (False, True):
            crops = store.crops[clip][:, :, ::-1] if flip else store.crops[clip]
            frames = np.flatnonzero((crops == image).all(axis=(1, 2, 3)))
            if len(frames):
                return clip, frames[0], flip
    raise AssertionError("a frame of no training clip")


def test_landmarks_span_the_crop():
    corners = np.array([[0.0, 0.0], [32.0, 32.0], [64.0, 16.0]])
    assert scaled(corners, 64).tolist() == [[-1, -1], [0, 0], [1, -0.5]]


def test_a_mirrored_face_is_the_face_seen_in_a_mirror():
    face = np.zeros((68, 2))
    face[36], face[45], face[8] = [10, 20], [50, 21], [30, 60]  # outer corners of the right and left eye, chin
    other = mirrored(face, 64)
    assert [other[k].tolist() for k in (36, 45, 8)] == [[13, 21], [53, 20], [33, 60]]
    np.testing.assert_allclose(mirrored(other, 64), face)


def test_audio_to_landmark_trains_and_loads(data, tmp_path, parameters):
    train_audio_to_landmark(parameters(atvgnet=small()), data, tmp_path / "l.csv")
    losses = pd.read_csv(tmp_path / "l.csv")
    assert list(losses) == ["epoch", "generator_components", "validation_error"] and losses.notna().all(axis=None)
    network, description = load_audio_to_landmark(data / "audio_to_landmark" / "atvgnet")
    faces = MeanFace(ClipStore(data, "landmarks", "neutral", "mfcc"), 64, 2)
    for name in ("mean", "basis", "mean_neutral", "opening_motion", "neutral_gap"):
        np.testing.assert_allclose(getattr(network, name), getattr(faces, name), err_msg=name)
    assert network.boost.tolist() == [1, 2] and not network.training
    assert description["system"] == "atvgnet"
    assert set(description["preprocessing"]) == {"fps", "transform", "template", "image_size"}


@pytest.mark.parametrize(
    "weights", [SMALL["landmark_to_texture"]["weights"], {"pixel": 1, "sequence": 0, "landmark": 0}]
)
def test_landmark_to_texture_trains_and_loads(data, tmp_path, parameters, weights):
    p = parameters(atvgnet=small(landmark_to_texture={"weights": weights}))
    train_landmark_to_texture(p, data, tmp_path / "l.csv")
    losses = pd.read_csv(tmp_path / "l.csv")
    assert losses.notna().all(axis=None) and len(losses) == 2
    assert ("discriminator_landmark" in losses) == bool(weights["landmark"])
    network, description = load_landmark_to_texture(data / "landmark_to_texture" / "atvgnet")
    frames, _ = network(torch.zeros(1, 3, 64, 64), torch.zeros(1, 68, 2), torch.zeros(1, 5, 68, 2))
    assert frames.image.shape == (1, 5, 3, 64, 64) and frames.image.dtype == torch.float32
    assert description["settings"] == {"image_size": 64, "width": 0.0625, "boost": ()}


def test_the_loaded_network_is_the_one_that_was_validated(data, tmp_path, parameters):
    """What validation measured in training comes out again of best.pt, but for bfloat16."""
    p = parameters(atvgnet=small())
    train_landmark_to_texture(p, data, tmp_path / "l.csv")
    network, _ = load_landmark_to_texture(data / "landmark_to_texture" / "atvgnet")
    (batch,) = VideoExcerpts(ClipStore(data, "crops", "landmarks"), 4, 0, 2, excerpts=1).validation()
    fake, _ = network(batch.photo, batch.photo_landmarks, batch.landmarks)
    error = LandmarkToTexture.validation_error(None, batch, fake).item()
    assert error == pytest.approx(pd.read_csv(tmp_path / "l.csv")["validation_error"].min(), rel=0.01)


def test_a_checkpoint_of_the_other_network_is_refused(data, tmp_path, parameters):
    train_audio_to_landmark(parameters(atvgnet=small()), data, tmp_path / "l.csv")
    with pytest.raises(UserError, match="is not a checkpoint of this system"):
        load_landmark_to_texture(data / "audio_to_landmark" / "atvgnet")


def test_nothing_to_train_for_is_one_line(data, tmp_path, parameters):
    p = parameters(atvgnet=small(landmark_to_texture={"weights": dict.fromkeys(("pixel", "sequence", "landmark"), 0)}))
    with pytest.raises(UserError, match=r"atvgnet\.landmark_to_texture\.weights"):
        train_landmark_to_texture(p, data, tmp_path / "l.csv")


def test_atnet_learns_the_lip_from_the_sound(data, tmp_path, parameters, faces):
    """Better than the mean of the training frames, which says nothing of the sound."""
    changes = {"epochs": 25, "learning_rate": 3e-3, "boost": [1.0, 1.0]}
    train_audio_to_landmark(parameters(atvgnet=small(audio_to_landmark=changes)), data, tmp_path / "l.csv")
    (batch,) = speech(faces).validation()
    frames = np.concatenate([faces.landmarks(clip) for clip in faces.store.train])
    mean = torch.from_numpy(frames.mean(axis=0)).expand_as(batch.landmarks)
    still = AudioToLandmark.validation_error(None, batch, batch._replace(landmarks=mean)).item()
    assert pd.read_csv(tmp_path / "l.csv")["validation_error"].min() < 0.6 * still
