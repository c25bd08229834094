"""Training of VG-net: what it is given, what it leaves."""

import numpy as np
import pytest
import torch

from pipeline.blocks.images import tensor_to_images
from pipeline.errors import UserError
from pipeline.papers.atvgnet.inference import for_inference
from pipeline.papers.atvgnet.landmark_to_texture import VideoExcerpts, mirrored
from pipeline.papers.atvgnet.vg_net import LandmarkToTexture, Settings, VGNet, about_centre
from pipeline.training.data import ClipStore
from pipeline.training.trained import load_network

WEIGHTS = {"pixel": 10.0, "sequence": 1.0, "landmark": 1.0}
SMALL = {
    "epochs": 2,
    "excerpts": 1,
    "learning_rate": 2e-4,
    "excerpt_frames": 4,
    "batch": 2,
    "dynamic": True,
    "predicted": 0.0,
    "weights": WEIGHTS,
}


@pytest.fixture
def train(train_on, parameters):
    """Train SMALL with changes: train(epochs=3)."""
    return lambda **changes: train_on(
        "atvgnet", "landmark_to_texture", parameters(atvgnet={"landmark_to_texture": SMALL | changes})
    )


@pytest.fixture
def store(data):
    return ClipStore(data, "small", "crops", "landmarks")


def video(store, excerpts=1):
    return VideoExcerpts(store, 4, 2, excerpts)


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_batches_show_frames_with_their_landmarks(store):
    """Each frame of a batch is found among its clip's, mirrored or not, and its landmarks are that frame's."""
    seen = set()
    for number in range(4):
        for batch in video(store).epoch(0, number):
            for k in range(len(batch.photo)):
                images = tensor_to_images(torch.cat([batch.photo[k][None], batch.frames[k]]))
                landmarks = torch.cat([batch.photo_landmarks[k][None], batch.landmarks[k]])
                for image, face in zip(images, landmarks, strict=True):
                    clip, frame, flip = find(store, image)
                    truth = store.steadied(clip)[frame]
                    expected = about_centre(mirrored(truth, 64) if flip else truth, 64)
                    torch.testing.assert_close(face, expected, atol=1e-5, rtol=0)
                    seen.add(flip)
    assert seen == {True, False}


def test_an_epoch_takes_several_excerpts_of_each_clip(store):
    once, thrice = video(store), video(store, excerpts=3)
    drawn = list(thrice.epoch(0, 2))
    assert len(drawn) == len(thrice) == 3 * len(once) == 6
    # The third epoch's are those that would have been the seventh to ninth of one each.
    assert equal(drawn[0], next(once.epoch(0, 6))) and not equal(drawn[0], drawn[2])


def find(store, image):
    for clip in store.train:
        for flip in (False, True):
            crops = store.crops[clip][:, :, ::-1] if flip else store.crops[clip]
            frames = np.flatnonzero((crops == image).all(axis=(1, 2, 3)))
            if len(frames):
                return clip, frames[0], flip
    raise AssertionError("a frame of no training clip")


def test_a_mirrored_face_is_the_face_seen_in_a_mirror():
    face = np.zeros((68, 2))
    face[36], face[45], face[8] = [10, 20], [50, 21], [30, 60]  # outer corners of the right and left eye, chin
    other = mirrored(face, 64)
    assert [other[k].tolist() for k in (36, 45, 8)] == [[13, 21], [53, 20], [33, 60]]
    np.testing.assert_allclose(mirrored(other, 64), face)


@pytest.mark.parametrize("weights", [WEIGHTS, {"pixel": 1, "sequence": 0, "landmark": 0}])
def test_it_trains_and_leaves_what_it_says(train, weights):
    trained = train(weights=weights)
    wanted = {name for name, weight in weights.items() if weight}
    terms = {f"generator_{name}" for name in wanted} | {f"discriminator_{name}" for name in wanted - {"pixel"}}
    assert set(trained.losses) == {"phase", "epoch", "validation_error", *terms}
    assert len(trained.losses) == 2 and trained.losses.notna().all(axis=None)
    network, about = load_network(trained.folder, VGNet, Settings)
    frames, _ = network(torch.zeros(1, 3, 64, 64), torch.zeros(1, 68, 2), torch.zeros(1, 5, 68, 2))
    assert frames.image.shape == (1, 5, 3, 64, 64) and frames.image.dtype == torch.float32
    assert about["settings"] == {"image_size": 64, "width": 0.0625}
    assert about["parameters"]["dynamic"] and about["parameters"]["weights"] == weights


def test_the_network_in_use_is_the_one_that_was_validated(train, store):
    """What validation measured in training comes out again of the fast copy, but for bfloat16."""
    trained = train()
    network, _ = load_network(trained.folder, VGNet, Settings)
    (batch,) = video(store).validation(0)
    fake, _ = for_inference(network)(batch.photo, batch.photo_landmarks, batch.landmarks)
    error = LandmarkToTexture.validation_error(None, batch, fake).item()
    assert error == pytest.approx(trained.losses["validation_error"].min(), rel=0.01)


def test_nothing_to_train_for_is_one_line(train):
    with pytest.raises(UserError, match=r"atvgnet\.landmark_to_texture\.weights"):
        train(weights=dict.fromkeys(WEIGHTS, 0))
