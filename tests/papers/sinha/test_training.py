"""Sinha's landmark and texture trainings: what they see, what they leave, what they refuse. Of blinks, see test_blink.py."""

import numpy as np
import pytest
import torch

from pipeline.errors import UserError
from pipeline.features.canonical import canonical_displacements
from pipeline.features.landmarks import inter_ocular_distance, lip_gap
from pipeline.papers.sinha import landmark_net, texture_net
from pipeline.papers.sinha.audio_to_landmark import SpeechExcerpts
from pipeline.papers.sinha.landmark_to_texture import VideoExcerpts
from pipeline.training import augmentation
from pipeline.training.data import ClipStore
from pipeline.training.faces import face_statistics
from pipeline.training.trained import load_network

NETWORKS = {
    "audio_to_landmark": (landmark_net.LandmarkNet, landmark_net.Settings),
    "landmark_to_texture": (texture_net.TextureGenerator, texture_net.Settings),
}
SMALL = {"epochs": 1, "excerpt_frames": 4, "learning_rate": 1e-3}
OWN = {"audio_to_landmark": {}, "landmark_to_texture": {"predicted": 0.0}}


@pytest.fixture
def train(train_on, parameters):
    """One of the trainings with changes: train("audio_to_landmark", epochs=3)."""
    return lambda training, **changes: train_on(
        "sinha", training, parameters(sinha={training: SMALL | OWN[training] | changes}, training={"device": "cpu"})
    )


@pytest.fixture
def speech(data):
    store = ClipStore(data, "small", "characters", "landmarks", "neutral")
    return SpeechExcerpts(store, 8, 0, face_statistics(store)["mean_neutral"])


@pytest.fixture
def video(data):
    return VideoExcerpts(ClipStore(data, "small", "crops", "landmarks"), 8, sigma=1.0)


def test_the_mean_neutral_face_counts_each_training_subject_once(data):
    """clip0 and clip1 are one person's, clip2 another's; the rest is not for training."""
    store = ClipStore(data, "small", "landmarks", "neutral")
    faces = face_statistics(store)
    one = (store.neutral["clip0"] + store.neutral["clip1"]) / 2
    np.testing.assert_allclose(faces["mean_neutral"], (one + store.neutral["clip2"]) / 2, atol=1e-5)
    assert faces["neutral_gap"] == pytest.approx((lip_gap(one) + lip_gap(store.neutral["clip2"])) / 2)


def test_the_motion_of_the_made_up_mouths_is_found(data):
    """Their lower lips go down by the opening times the eyes' distance, and nothing else moves."""
    faces = face_statistics(ClipStore(data, "small", "landmarks", "neutral"))
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
    moved = canonical_displacements(store.steadied("clip1"), store.neutral["clip1"], mean)
    np.testing.assert_allclose(whole.displacements * inter_ocular_distance(mean), moved, atol=1e-3)


def test_the_photo_is_any_frame_and_in_validation_the_first(video):
    whole = video.video("clip0")
    torch.testing.assert_close(whole.photo, whole.frames[0])
    part = video.video("clip0", photo=5, span=slice(2, 4))
    torch.testing.assert_close(part.photo, whole.frames[5])
    torch.testing.assert_close(part.photo_landmarks, whole.landmarks[5])
    torch.testing.assert_close(part.landmarks, whole.landmarks[2:4])
    validated = next(video.validation(0))
    torch.testing.assert_close(validated.photo, validated.frames[0])
    assert validated.n_frames == len(video.store.crops["clip3"])


def test_a_mirrored_excerpt_is_the_excerpt_seen_in_a_mirror(video):
    for straight, mirrored in zip(video.video("clip0"), video.video("clip0", mirror=True), strict=True):
        torch.testing.assert_close(mirrored, straight.flip(-1))


def test_half_of_the_excerpts_are_mirrored(video, monkeypatch):
    mirrored, shown = [], video.video("clip0")

    def record(clip, photo, span, mirror, landmarks):
        mirrored.append(mirror)
        return shown

    monkeypatch.setattr(video, "video", record)
    for number in range(60):
        list(video.epoch(0, number))
    assert np.mean(mirrored) == pytest.approx(0.5, abs=0.15)  # three standard deviations of 180 throws are 0.11


def test_colours_are_changed_for_the_photo_and_its_frames_alike(video, monkeypatch):
    """So often, and landmarks stay: a change that a test can undo."""
    monkeypatch.setattr(augmentation, "augment", lambda images, rng: -images)
    video.augmentation = 0.25
    plain = VideoExcerpts(video.store, 8, sigma=1.0)
    changed = []
    for seed in range(400):
        drawn, own = (of.excerpt("clip0", slice(2, 4), np.random.default_rng(seed), True) for of in (video, plain))
        assert torch.equal(drawn.landmarks, own.landmarks)
        changed.append(not torch.equal(drawn.frames, own.frames))
        sign = -1 if changed[-1] else 1
        assert torch.equal(drawn.photo, sign * own.photo) and torch.equal(drawn.frames, sign * own.frames)
    assert np.mean(changed) == pytest.approx(0.25, abs=0.065)  # three standard deviations


def test_blinks_are_shown_more_often_than_they_happen(video):
    """Of clip2's 16 frames the third closes the eyes: three of 9 spans of 8 frames hold it, and all that are drawn for it."""
    video.blinks["clip2"] = [(2, 5)]
    rng = np.random.default_rng(0)
    spans = [video.span("clip2", rng) for _ in range(600)]
    assert {span.stop - span.start for span in spans} == {8}
    assert np.mean([span.start <= 2 for span in spans]) == pytest.approx(0.5 + 0.5 * 3 / 9, abs=0.06)
    assert {span.start for span in spans} == set(range(9)), "a span may lie anywhere"


@pytest.mark.parametrize("training", NETWORKS)
def test_training_leaves_what_it_says(training, train):
    trained = train(training, epochs=2)
    assert list(trained.losses["epoch"]) == [1, 2] and trained.losses.notna().all(axis=None)
    network, about = load_network(trained.folder, *NETWORKS[training])
    assert not network.training and about["training"] == f"sinha_{training}"
    preprocessing = about["preprocessing"]
    assert preprocessing["fps"] == 25 and preprocessing["image_size"] == 64 and len(preprocessing["template"]) == 68


def test_landmarks_are_drawn_in_use_as_they_were_in_training(data, train):
    """The parameter is a share of the eyes' distance on the template."""
    network, _ = load_network(train("landmark_to_texture", epochs=1).folder, *NETWORKS["landmark_to_texture"])
    eyes = inter_ocular_distance(np.load(data / "alignment" / "small" / "template.npy"))
    assert network.settings.sigma == pytest.approx(0.052 * eyes)


def test_the_landmark_network_knows_its_features_and_its_faces(data, train):
    network, about = load_network(train("audio_to_landmark", epochs=1).folder, *NETWORKS["audio_to_landmark"])
    symbols = [*" abcdefghijklmnopqrstuvwxyz'", ""]
    assert about["preprocessing"]["characters"] == {"backend": "ctc", "model": None, "symbols": symbols}
    assert about["settings"]["symbols"] == 29
    faces = face_statistics(ClipStore(data, "small", "characters", "landmarks", "neutral"))
    for name, value in faces.items():
        np.testing.assert_allclose(getattr(network, name), value, rtol=1e-5, atol=1e-5)


def test_what_character_features_say_of_the_mouth_is_learnt(train):
    trained = train("audio_to_landmark", epochs=40, learning_rate=3e-3, excerpt_frames=14)
    errors = trained.losses["validation_error"]
    assert errors.min() < 0.5 * errors[0]


@pytest.mark.parametrize("training", NETWORKS)
def test_nothing_to_train_for_is_refused(training, train, parameters):
    nought = dict.fromkeys(getattr(parameters().sinha, training).weights.model_dump(), 0.0)
    with pytest.raises(UserError, match=rf"sinha\.{training}\.weights: .* nothing to begin with"):
        train(training, weights=nought)
