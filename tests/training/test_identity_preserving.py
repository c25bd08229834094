"""Sinha's two trainings as a whole: what they see, what they leave, what they refuse."""

from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from pipeline.errors import UserError
from pipeline.features.canonical import canonical_displacements
from pipeline.features.landmarks import inter_ocular_distance, lip_gap
from pipeline.parameters import Parameters
from pipeline.training.data import ClipStore
from pipeline.training.faces import face_statistics
from pipeline.training.identity_preserving import (
    SpeechExcerpts,
    VideoExcerpts,
    load_audio_to_landmark,
    load_landmark_to_texture,
    train_audio_to_landmark,
    train_landmark_to_texture,
)
from tests.training.conftest import ROOT

TRAININGS = {
    "audio_to_landmark": (train_audio_to_landmark, load_audio_to_landmark),
    "landmark_to_texture": (train_landmark_to_texture, load_landmark_to_texture),
}


@pytest.fixture
def small():
    """The committed parameters, small, with changes to one of the trainings: small("audio_to_landmark", epochs=3)."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["identity_preserving"] |= {"width": 0.0625}
    for stage in TRAININGS:
        values["identity_preserving"][stage] |= {"epochs": 2, "excerpt_frames": 8, "learning_rate": 1e-3}

    def make(stage, **changes):
        changed = deepcopy(values)
        changed["identity_preserving"][stage] |= changes
        return Parameters.model_validate(changed)

    return make


@pytest.fixture
def speech(data):
    store = ClipStore(data, "characters", "landmarks", "neutral")
    return SpeechExcerpts(store, 8, 0, face_statistics(store)["mean_neutral"])


@pytest.fixture
def video(data):
    return VideoExcerpts(ClipStore(data, "crops", "heatmaps"), 8, 0)


def test_the_mean_neutral_face_counts_each_training_subject_once(data):
    """clip0 and clip1 are one person's, clip2 another's; the rest is not for training."""
    store = ClipStore(data, "landmarks", "neutral")
    faces = face_statistics(store)
    one = (store.neutral["clip0"] + store.neutral["clip1"]) / 2
    np.testing.assert_allclose(faces["mean_neutral"], (one + store.neutral["clip2"]) / 2, atol=1e-5)
    assert faces["neutral_gap"] == pytest.approx((lip_gap(one) + lip_gap(store.neutral["clip2"])) / 2)


def test_the_motion_of_the_made_up_mouths_is_found(data):
    """Their lower lips go down by the opening times the eyes' distance, and nothing else moves."""
    faces = face_statistics(ClipStore(data, "landmarks", "neutral"))
    motion = faces["opening_motion"] / inter_ocular_distance(faces["mean_neutral"])
    lower = [*range(55, 60), *range(65, 68)]
    np.testing.assert_allclose(motion[lower, 1], 1, atol=0.15)
    assert np.abs(np.delete(motion, lower, axis=0)).max() < 0.1


def test_speech_excerpts_are_features_with_displacements_of_the_same_frames(speech):
    rng = np.random.default_rng(0)
    whole, part = (speech.excerpt("clip1", span, rng, True) for span in (slice(0, 15), slice(3, 9)))
    assert part.n_frames == 6
    torch.testing.assert_close(part.displacements, whole.displacements[3:9])
    torch.testing.assert_close(part.characters, whole.characters[3:9])
    store, mean = speech.store, speech.mean_neutral
    moved = canonical_displacements(store.landmarks.landmarks("clip1"), store.neutral["clip1"], mean)
    np.testing.assert_allclose(whole.displacements * inter_ocular_distance(mean), moved, atol=1e-3)


def test_the_photo_is_any_frame_and_in_validation_the_first(video):
    whole = video.video("clip0")
    torch.testing.assert_close(whole.photo, whole.frames[0])
    part = video.video("clip0", photo=5, span=slice(2, 4))
    torch.testing.assert_close(part.photo, whole.frames[5])
    torch.testing.assert_close(part.photo_landmarks, whole.landmarks[5])
    torch.testing.assert_close(part.landmarks, whole.landmarks[2:4])
    validated = next(video.validation())
    torch.testing.assert_close(validated.photo, validated.frames[0])
    assert validated.n_frames == len(video.store.crops["clip3"])


def test_a_mirrored_excerpt_is_the_excerpt_seen_in_a_mirror(video):
    for straight, mirrored in zip(video.video("clip0"), video.video("clip0", mirror=True), strict=True):
        torch.testing.assert_close(mirrored, straight.flip(-1))


def test_half_of_the_excerpts_are_mirrored(video, monkeypatch):
    mirrored = []
    monkeypatch.setattr(video, "video", lambda clip, photo, span, mirror: mirrored.append(mirror))
    for number in range(60):
        list(video.epoch(number))
    assert np.mean(mirrored) == pytest.approx(0.5, abs=0.15)  # three standard deviations of 180 throws are 0.11


@pytest.mark.parametrize("excerpts", ["speech", "video"])
def test_an_epoch_is_every_training_clip_and_depends_on_its_number_only(excerpts, request):
    batches = request.getfixturevalue(excerpts)
    first, again, second = list(batches.epoch(3)), list(batches.epoch(3)), list(batches.epoch(4))
    assert len(first) == len(batches) == 3 and all(batch.n_frames == 8 for batch in first)
    for a, b in zip(first, again, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert not all(torch.equal(a[0], b[0]) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("stage", TRAININGS)
def test_training_leaves_what_it_says(stage, data, tmp_path, small):
    train, load = TRAININGS[stage]
    train(small(stage), data, tmp_path / "losses.csv")
    losses = pd.read_csv(tmp_path / "losses.csv")
    assert list(losses["epoch"]) == [1, 2] and losses.notna().all(axis=None)
    network, description = load(data / stage / "identity_preserving")
    assert not network.training and description["system"] == "identity_preserving"
    preprocessing = description["preprocessing"]
    assert preprocessing["fps"] == 25 and preprocessing["image_size"] == 64 and len(preprocessing["template"]) == 68


def test_the_landmark_network_knows_its_features_and_its_faces(data, tmp_path, small):
    train_audio_to_landmark(small("audio_to_landmark", epochs=1), data, tmp_path / "losses.csv")
    network, description = load_audio_to_landmark(data / "audio_to_landmark" / "identity_preserving")
    assert description["preprocessing"]["characters"] == {"backend": "ctc", "model": None}
    faces = face_statistics(ClipStore(data, "characters", "landmarks", "neutral"))
    for name, value in faces.items():
        np.testing.assert_allclose(getattr(network, name), value, rtol=1e-5, atol=1e-5)


def test_what_character_features_say_of_the_mouth_is_learnt(data, tmp_path, small):
    p = small("audio_to_landmark", epochs=40, learning_rate=3e-3, excerpt_frames=14)
    train_audio_to_landmark(p, data, tmp_path / "losses.csv")
    errors = pd.read_csv(tmp_path / "losses.csv")["validation_error"]
    assert errors.min() < 0.5 * errors[0]


@pytest.mark.parametrize("stage", TRAININGS)
def test_nothing_to_train_for_is_refused(stage, data, tmp_path, small):
    p = small(stage)
    nought = dict.fromkeys(getattr(p.identity_preserving, stage).weights.model_dump(), 0.0)
    with pytest.raises(UserError, match=f"identity_preserving.{stage}.weights"):
        TRAININGS[stage][0](small(stage, weights=nought), data, tmp_path / "losses.csv")


@pytest.mark.parametrize("stage", TRAININGS)
def test_a_checkpoint_that_cannot_be_used_is_named(stage, data, tmp_path, small):
    train, load = TRAININGS[stage]
    folder = data / stage / "identity_preserving"
    with pytest.raises(UserError, match="does not exist"):
        load(folder)
    train(small(stage, epochs=1), data, tmp_path / "losses.csv")
    checkpoint = torch.load(folder / "best.pt", weights_only=True)
    torch.save(checkpoint | {"generator": {}}, folder / "best.pt")
    with pytest.raises(UserError, match="not a checkpoint of this system"):
        load(folder)
