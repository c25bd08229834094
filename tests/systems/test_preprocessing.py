"""What a system does with anybody's photo, video and speech is what its training's stages did."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from pipeline.corpus.about import read_about
from pipeline.errors import ClipRejected
from pipeline.features.alignment import align_faces, align_landmarks, crop_faces, fit_similarity, template
from pipeline.features.audio import log_mel, mfcc
from pipeline.features.detection import detect_face, predict_landmarks
from pipeline.features.landmarks import LEFT_EYE, NOSE, RIGHT_EYE
from pipeline.features.tracking import detect_video
from pipeline.systems.preprocessing import Preprocessing
from pipeline.video import read_audio, stream_frames

LANDMARKS = {"backend": "dlib", "redetect_every": 25, "max_missing": 0.1}


@pytest.fixture
def preprocessing(portrait):
    """With a template made of the portrait's own face."""
    face = predict_landmarks(portrait, detect_face(portrait))
    target = template(face[None], image_size=64, eye_distance=0.3, eye_height=0.34)
    values = {"fps": 25.0, "landmarks": LANDMARKS, "face_parsing": None, "transform": "per_frame", "image_size": 64}
    mel = {"sample_rate": 22050, "mel_bands": 60, "window_ms": 33}
    return Preprocessing.of(values | {"template": target.tolist(), "mel": mel, "sigma": 1.0, "labels": {}})


def taken(preprocessing, image):
    return preprocessing.photo(image, preprocessing.find(image))


def test_a_photos_eyes_come_to_the_templates(preprocessing, portrait):
    crop, landmarks, _ = taken(preprocessing, portrait)
    assert crop.shape == (64, 64, 3) and crop.std() > 20
    # alignment.eye_distance and eye_height of a crop of 64 px, in whose middle the eyes lie.
    for points, x in ((RIGHT_EYE, 32 - 0.15 * 64), (LEFT_EYE, 32 + 0.15 * 64)):
        np.testing.assert_allclose(landmarks[points].mean(axis=0), [x, 0.34 * 64], atol=1.5)


def test_a_photo_without_a_face_is_rejected(preprocessing):
    with pytest.raises(ClipRejected, match="no_face"):
        preprocessing.find(np.full((200, 200, 3), 128, np.uint8))


@pytest.mark.parametrize(
    ("cut", "fits"),
    [
        (np.s_[:163], True),  # the chin alone is missing
        (np.s_[:150], False),  # the mouth
        (np.s_[95:], False),  # the brows
        (np.s_[:, :165], False),  # half of the face
    ],
)
def test_a_face_that_the_border_cuts_needs_its_features(preprocessing, portrait, cut, fits):
    image = np.ascontiguousarray(portrait[cut])
    if fits:
        crop, whole = taken(preprocessing, image)[0], taken(preprocessing, portrait)[0]
        assert np.abs(crop[:40].astype(int) - whole[:40]).mean() < 12
    else:
        with pytest.raises(ClipRejected, match=r"cut_off|no_face"):
            taken(preprocessing, image)


@pytest.mark.parametrize("degrees", [-35, -30, 0, 20, 30])
def test_a_tilted_photo_gives_the_upright_ones_crop(preprocessing, portrait, degrees):
    """The way to the crop turns by as much as the photo was turned."""
    turn = cv2.getRotationMatrix2D((150, 150), degrees, 1)
    tilted = cv2.warpAffine(portrait, turn, (300, 300), borderMode=cv2.BORDER_REPLICATE)
    (crop, landmarks, matrix), upright = taken(preprocessing, tilted), taken(preprocessing, portrait)
    there = matrix[:, :2] @ turn + np.column_stack([np.zeros((2, 2)), matrix[:, 2]])
    np.testing.assert_allclose(there[:, :2], upright[2][:, :2], atol=0.02)
    np.testing.assert_allclose(landmarks, upright[1], atol=2)
    assert np.abs(crop.astype(int) - upright[0]).mean() < 12


def test_a_video_is_aligned_as_the_corpus_is(preprocessing, make_clip, tmp_path):
    """By the stages' own functions: landmarks as `stages.landmarks` finds them, aligned as `stages.alignment` does."""
    video = make_clip(tmp_path / "clip.mp4", 12)
    raw = detect_video(video, 25, **LANDMARKS).landmarks
    transforms, aligned = align_landmarks(raw, preprocessing.template, "per_frame")
    np.testing.assert_array_equal(preprocessing.video(video), aligned)
    assert len(crop_faces(stream_frames(video, 25), transforms, 64)) == 12


def test_speech_becomes_the_features_of_the_stages(preprocessing, speech):
    waveform = read_audio(speech, 22050)
    made = preprocessing.speech(waveform, 22050, 37, {"mel", "mfcc", "emotion", "landmarks"})
    assert set(made) == {"mel", "mfcc"}
    np.testing.assert_array_equal(made["mel"], log_mel(waveform, 22050, 60, 33))
    np.testing.assert_array_equal(made["mfcc"], mfcc(waveform, 22050))


def test_it_is_read_from_what_the_stages_say(data):
    about = read_about(data / "alignment" / "small") | read_about(data / "heatmaps")
    preprocessing = Preprocessing.of(about)
    assert (preprocessing.fps, preprocessing.image_size, preprocessing.sigma) == (25, 64, 1)
    assert preprocessing.mel is None and preprocessing.template.shape == (68, 2)


def test_a_photos_box_is_the_crop(preprocessing, portrait):
    """As Chen S. 2021 crops: what the detector's box holds, and nothing turned."""
    crop, landmarks, _ = taken(replace(preprocessing, transform="box", image_size=112), portrait)
    box = detect_face(portrait)
    found = predict_landmarks(portrait, box)
    scale = 112 / (box[2] - box[0] + 1)
    np.testing.assert_allclose(landmarks, (found - box[:2] + 0.5) * scale - 0.5, atol=0.5)
    assert crop.shape == (112, 112, 3) and crop.std() > 20


def test_a_photo_is_aligned_by_its_own_three_points(preprocessing, portrait):
    """Maity's transform, of a video's first frame: a photo has no other."""
    _, landmarks, _ = taken(replace(preprocessing, transform="first_frame"), portrait)
    three = [
        np.array([face[part].mean(axis=0) for part in (RIGHT_EYE, LEFT_EYE, NOSE)])
        for face in (landmarks, preprocessing.template)
    ]
    np.testing.assert_allclose(fit_similarity(*three), np.eye(2, 3), atol=1e-4)


def test_a_video_by_boxes_is_aligned_as_the_corpus_is(preprocessing, make_clip, tmp_path):
    video = make_clip(tmp_path / "clip.mp4", 12)
    found = detect_video(video, 25, **LANDMARKS)
    _, aligned = align_faces(found.landmarks, found.boxes, None, "box", 64)
    np.testing.assert_array_equal(replace(preprocessing, transform="box").video(video), aligned)
