import numpy as np
import pytest
import skimage.data

from pipeline.errors import ClipRejected
from pipeline.features.landmarks import (
    detect_clip,
    detect_face,
    inter_ocular_distance,
    mouth_opening,
    predict_landmarks,
)
from pipeline.video import write_video


@pytest.fixture(scope="module")
def portrait():
    return np.ascontiguousarray(skimage.data.astronaut()[:300, 80:380])


def test_the_portraits_face_is_where_it_is(portrait):
    left, top, right, bottom = detect_face(portrait)
    assert left < 222 - 80 < right and top < 130 < bottom
    landmarks = predict_landmarks(portrait, detect_face(portrait))
    assert inter_ocular_distance(landmarks) == pytest.approx(43, abs=4)


def test_a_small_face_is_found_by_enlarging(portrait):
    small = portrait[::2, ::2]
    assert detect_face(small) is not None
    assert detect_face(np.zeros((120, 120, 3), np.uint8)) is None


def test_opening_of_a_drawn_mouth():
    face = np.zeros((68, 2))
    face[36:42], face[42:48] = [0, 0], [10, 0]
    face[[61, 62, 63], 1], face[[67, 66, 65], 1] = -1, 2
    assert mouth_opening(face) == pytest.approx(0.3)
    assert mouth_opening(np.stack([face, 7 * face]))[1] == pytest.approx(0.3)


def clip_with(tmp_path, portrait, shown):
    blank = np.zeros_like(portrait)
    write_video(tmp_path / "clip.mp4", [portrait if face else blank for face in shown], 25)
    return tmp_path / "clip.mp4"


def test_a_short_gap_is_bridged(tmp_path, portrait):
    path = clip_with(tmp_path, portrait, [1] * 8 + [0] + [1] * 8)
    _, landmarks, has_face = detect_clip(path, 25, max_missing=0.1)
    assert has_face.sum() == 16 and not has_face[8]
    assert np.abs(landmarks[8] - landmarks[7]).max() < 5


@pytest.mark.parametrize(
    ("shown", "reason"), [([1] * 10 + [0] * 10, "no_face"), ([0] * 5, "no_face"), ([0] + [1] * 19, "no_face_at_start")]
)
def test_a_clip_without_its_face_is_rejected(tmp_path, portrait, shown, reason):
    with pytest.raises(ClipRejected) as rejection:
        detect_clip(clip_with(tmp_path, portrait, shown), 25, max_missing=0.1)
    assert rejection.value.reason == reason
