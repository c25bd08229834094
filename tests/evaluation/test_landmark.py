import cv2
import numpy as np
import pytest
import skimage.data

from pipeline.evaluation import landmark
from pipeline.evaluation.landmark import (
    detect_landmarks,
    eye_distance,
    landmark_distance,
    normalised_landmark_distance,
)
from pipeline.features.alignment import align_landmarks, crop_faces, template
from pipeline.features.detection import detect_face, predict_landmarks
from pipeline.features.landmarks import MOUTH, inter_ocular_distance

RNG = np.random.default_rng(0)
FACE = RNG.normal(0, 10, (3, 68, 2)) + 50


def moved(matrix=((1, 0), (0, 1)), shift=(0, 0)):
    """The mouth about its mean, transformed."""
    face = FACE.copy()
    mean = face[:, MOUTH].mean(axis=1, keepdims=True)
    face[:, MOUTH] = (face[:, MOUTH] - mean) @ np.array(matrix).T + mean + shift
    return face


def radius():
    mouth = FACE[:, MOUTH]
    return np.linalg.norm(mouth - mouth.mean(axis=1, keepdims=True), axis=-1).mean(axis=1)


def test_lmd_ignores_translation():
    assert landmark_distance(FACE, FACE + np.array([3, 4])) == pytest.approx([0, 0, 0], abs=1e-12)


def test_lmd_of_one_moved_point():
    """One of 20 by 5 px: (19 · 5/20 + 19 · 5/20) / 20, a mean and not a sum."""
    face = FACE.copy()
    face[:, 50] += [3, 4]
    assert landmark_distance(FACE, face) == pytest.approx([0.475] * 3)


def test_lmd_of_scale_and_rotation():
    angle = np.deg2rad(5)
    rotation = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    assert landmark_distance(FACE, moved(np.eye(2) * 1.1)) == pytest.approx(0.1 * radius())
    assert landmark_distance(FACE, moved(rotation)) == pytest.approx(0.0872388 * radius(), rel=1e-5)


def similar(faces, scale=1.3, degrees=10, shift=(7, -4)):
    """The whole faces moved, turned and enlarged."""
    angle = np.deg2rad(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return faces @ turn.T + shift


def test_nlmd_ignores_place_size_and_turn_but_not_a_mirror():
    template = FACE[1]
    assert normalised_landmark_distance(FACE, similar(FACE), template) == pytest.approx([0, 0, 0], abs=1e-12)
    face = FACE[1:2]
    assert normalised_landmark_distance(face, face * [-1, 1], template) > 0.1


def test_nlmd_is_in_eye_distances_whatever_the_resolution():
    template = FACE[1]
    other = moved(np.eye(2) * 1.1)
    expected = normalised_landmark_distance(FACE, other, template)
    assert normalised_landmark_distance(3 * FACE, 5 * other, template) == pytest.approx(expected)
    assert normalised_landmark_distance(FACE, other, 4 * template) == pytest.approx(expected)


def test_nlmd_of_a_mouth_that_leaves_the_pose_alone():
    """Two opposite corners drawn apart by 2 px each, chosen so that neither place, size nor turn change: 2 · 2/20 px."""
    template = FACE[0] - FACE[0].mean(axis=0)
    face = template.copy()
    # At right angles to their own radii and to each other's, sizes weighed so that they turn the face opposite ways.
    a, b = face[48], face[49]
    across = [np.array([-p[1], p[0]]) / (p @ p) for p in (a, b)]
    pull = np.stack([across[0], -across[1]])
    face[48:50] += pull
    shift = pull.sum(axis=0) / 68
    expected = np.linalg.norm(pull - shift, axis=1).sum() + 18 * np.linalg.norm(shift)
    eyes = inter_ocular_distance(template)
    found = normalised_landmark_distance(template[None], face[None], template)
    assert found == pytest.approx([expected / 20 / eyes], rel=0.02)


def test_nlmd_without_a_face_is_nan():
    missing = FACE.copy()
    missing[1] = np.nan
    assert np.isnan(normalised_landmark_distance(FACE, missing, FACE[0])).tolist() == [False, True, False]


def test_lmd_scales_with_the_crop_and_its_normalised_form_does_not():
    other = moved(np.eye(2) * 1.1)
    assert landmark_distance(2 * FACE, 2 * other) == pytest.approx(2 * landmark_distance(FACE, other))
    normalised = landmark_distance(FACE, other) / eye_distance(FACE)
    assert landmark_distance(2 * FACE, 2 * other) / eye_distance(2 * FACE) == pytest.approx(normalised)


def test_a_missing_face_is_missing_and_not_nought():
    face = FACE.copy()
    face[1] = np.nan
    assert np.isnan(landmark_distance(FACE, face)).tolist() == [False, True, False]


def test_landmarks_of_an_enlarged_crop_lie_in_the_crops_own_pixels():
    """The portrait, aligned at 64 px, against the detector's answer on the full-size photo brought into the crop."""
    crops, aligned = portrait_crop(eye_distance=0.3)
    found = detect_landmarks(crops, detection_size=256)
    assert np.linalg.norm(found - aligned, axis=-1).mean() < 0.05 * inter_ocular_distance(aligned)[0]
    # Half a pixel's slip in the convention would show as a bias.
    assert np.abs((found - aligned)[0].mean(axis=0)).max() < 0.35


def portrait_crop(eye_distance):
    photo = skimage.data.astronaut()
    full = predict_landmarks(photo, detect_face(photo)).astype(float)
    target = template(full[None], 64, eye_distance, eye_height=0.34)
    transforms, aligned = align_landmarks(full[None], target)
    return crop_faces([photo], transforms, 64), aligned


@pytest.mark.parametrize("detection_size", [128, 256])
def test_a_larger_crop_has_the_same_landmarks_there(detection_size):
    """Pixel centres: x is 4x + 3/2 in a crop of four times the size, whether that is reduced for detection or left alone."""
    crops, _ = portrait_crop(eye_distance=0.3)
    large = np.repeat(np.repeat(crops, 4, axis=1), 4, axis=2)
    small, found = detect_landmarks(crops, 256), detect_landmarks(large, detection_size)
    assert np.abs((found + 0.5) / 4 - 0.5 - small).mean() < 0.4
    assert np.abs(((found + 0.5) / 4 - 0.5 - small).mean(axis=(0, 1))).max() < 0.2


def test_a_blurred_face_is_found_within_a_border(monkeypatch):
    crops, aligned = portrait_crop(eye_distance=0.35)
    blurred = cv2.GaussianBlur(crops[0], (0, 0), 2)[None]
    assert detect_face(cv2.resize(blurred[0], (256, 256), interpolation=cv2.INTER_CUBIC)) is None
    found = detect_landmarks(blurred, detection_size=256)
    assert np.linalg.norm(found - aligned, axis=-1).mean() < 0.1 * inter_ocular_distance(aligned)[0]
    monkeypatch.setattr(landmark, "BORDERS", (0,))
    landmark._looked_at.cache_clear()
    assert np.isnan(detect_landmarks(blurred, detection_size=256)).all()


def test_a_frame_that_was_looked_at_is_not_looked_at_again(monkeypatch):
    crops, _ = portrait_crop(eye_distance=0.3)
    once = detect_landmarks(crops[:1])
    monkeypatch.setattr(landmark, "likeliest_face", None)  # nothing can be found any more
    np.testing.assert_array_equal(detect_landmarks(crops[[0, 0, 0]]), np.repeat(once, 3, axis=0))
    with pytest.raises(TypeError):
        detect_landmarks(crops[:1] ^ 1)


def test_no_face_in_noise():
    noise = RNG.integers(0, 255, (2, 64, 64, 3)).astype(np.uint8)
    assert np.isnan(detect_landmarks(noise, detection_size=256)).all()
    assert np.isnan(eye_distance(np.full((2, 68, 2), np.nan)))
