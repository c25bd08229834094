"""Where the second half of a cascade learns from landmarks that the first half predicts."""

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.features.landmarks import EYES, MOUTH
from pipeline.papers.atvgnet.landmark_to_texture import VideoExcerpts as VGNetExcerpts
from pipeline.papers.seam import Seam
from pipeline.papers.sinha.landmark_to_texture import VideoExcerpts as SinhaExcerpts
from pipeline.training.data import ClipStore

# The smallest first half and second half of each cascade.
HALVES = {
    "atvgnet": (
        {"epochs": 1, "excerpt_frames": 4, "batch": 2},
        {"epochs": 1, "excerpts": 1, "excerpt_frames": 4, "batch": 2, "predicted": 1.0},
    ),
    "sinha": ({"epochs": 1, "excerpt_frames": 4}, {"epochs": 1, "excerpt_frames": 4, "predicted": 1.0}),
}


@pytest.fixture
def train(train_on, parameters):
    """A half of a cascade, as in HALVES but for changes: train("sinha", 1, epochs=2)."""

    def train(paper, half, **changes):
        training = ("audio_to_landmark", "landmark_to_texture")[half]
        return train_on(paper, training, parameters(**{paper: {training: HALVES[paper][half] | changes}}))

    return train


@pytest.fixture
def store(data):
    return ClipStore(data, "small", "crops", "landmarks", "mfcc")


def far_away(driving):
    """A prediction that lies nowhere near a face."""
    return np.full((driving.n_frames, 68, 2), 1000.0)


def test_the_mouth_is_predicted_and_the_eyes_are_the_clips_own(store):
    landmarks = Seam(1.0, "mfcc", far_away).landmarks(store, "clip1", np.random.default_rng(0))
    own = store.steadied("clip1")
    np.testing.assert_array_equal(landmarks[:, EYES], own[:, EYES])
    np.testing.assert_array_equal(landmarks[:, 17:27], own[:, 17:27])
    assert (landmarks[:, MOUTH] == 1000).all() and (landmarks[:, :17] == 1000).all()


def test_predictions_come_from_the_clips_own_first_frame_and_speech(store):
    def predict(driving):
        np.testing.assert_array_equal(driving.photo_landmarks, store.landmarks.landmarks("clip0")[0])
        np.testing.assert_array_equal(driving.mfcc, store.mfcc["clip0"])
        return far_away(driving)

    Seam(1.0, "mfcc", predict).landmarks(store, "clip0", np.random.default_rng(0))


def test_so_many_excerpts_show_predicted_landmarks(store):
    seam, rng = Seam(0.25, "mfcc", far_away), np.random.default_rng(0)
    shown = [(seam.landmarks(store, "clip0", rng)[:, MOUTH] == 1000).all() for _ in range(400)]
    assert np.mean(shown) == pytest.approx(0.25, abs=0.065)  # three standard deviations


def test_in_training_only_and_never_in_the_photo(store):
    seam = Seam(1.0, "mfcc", far_away)
    for batch in VGNetExcerpts(store, 4, 2, 1, seam=seam).epoch(0, 0):
        assert batch.photo_landmarks.abs().max() < 10 < batch.landmarks[:, :, MOUTH].abs().min()
    (batch,) = VGNetExcerpts(store, 4, 2, 1, seam=seam).validation(0)
    assert batch.landmarks.abs().max() < 10
    # Points far outside leave no trace on an image: only those of eyes and brows are seen.
    video = SinhaExcerpts(store, 4, 1.0, seam=seam)
    for drawn in video.epoch(0, 0):
        assert drawn.photo_landmarks.sum() > 1.5 * drawn.landmarks.sum(dim=(1, 2, 3)).max()


@pytest.mark.parametrize("paper", HALVES)
def test_the_second_half_depends_on_the_first(paper, train):
    train(paper, 0)
    once, again = train(paper, 1).about, train(paper, 1).about
    train(paper, 0, learning_rate=1e-2)
    other = train(paper, 1).about
    assert once["key"] == again["key"] != other["key"]
    assert once["parameters"]["first_half"] != other["parameters"]["first_half"]


@pytest.mark.parametrize("paper", HALVES)
def test_without_a_first_half_it_says_how_to_get_one(paper, train):
    with pytest.raises(UserError, match=f"dvc repro {paper}_audio_to_landmark"):
        train(paper, 1)
