import importlib.util
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import dlib
import numpy as np
import pytest
import skimage.data

from pipeline.features import detection
from pipeline.features.alignment import apply_similarity
from pipeline.features.detection import (
    as_grey,
    detect_face,
    detect_faces,
    find_faces,
    overlap,
    predict_landmarks,
    predict_tilted_landmarks,
)
from pipeline.features.landmarks import inter_ocular_distance
from tests.test_photo import drawn


def placed(portrait, size, width, height, left, top):
    """The portrait, `size` px square, on a grey ground; its face is about 0.29 `size` wide."""
    frame = np.full((height, width), 100, np.uint8)
    interpolation = cv2.INTER_AREA if size < 300 else cv2.INTER_CUBIC
    grey = cv2.cvtColor(portrait, cv2.COLOR_RGB2GRAY)
    frame[top : top + size, left : left + size] = cv2.resize(grey, (size, size), interpolation=interpolation)
    return frame


def test_the_copy_of_the_detector_is_dlibs_own(portrait, tmp_path, monkeypatch):
    own, copy = dlib.get_frontal_face_detector(), tmp_path / "work" / "faces.svm"
    monkeypatch.setattr(detection, "UNPACKED", copy)
    for _ in ("written", "read"):
        boxes, scores, _ = detection.face_detector.__wrapped__().run(portrait, 1, 0.0)
        assert list(copy.parent.iterdir()) == [copy]
        assert (list(boxes), list(scores)) == tuple(map(list, own.run(portrait, 1, 0.0)[:2])) and boxes


def test_where_no_copy_can_be_kept_the_detector_is_there(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(detection, "UNPACKED", tmp_path / "file" / "faces.svm")
    assert detection.face_detector.__wrapped__().detection_window_width == 80


def test_the_portraits_face_is_where_it_is(portrait):
    left, top, right, bottom = detect_face(portrait)
    assert left < 222 - 80 < right and top < 130 < bottom
    landmarks = predict_landmarks(portrait, detect_face(portrait))
    assert inter_ocular_distance(landmarks) == pytest.approx(43, abs=4)


@pytest.mark.parametrize("in_thread", [False, True])
def test_large_pages_do_not_move_a_point(portrait, in_thread):
    """As dlib reads its file by itself; a thread's heap is another one."""
    folder = Path(importlib.util.find_spec("face_recognition_models").submodule_search_locations[0])
    plain = dlib.shape_predictor(str(folder / "models" / "shape_predictor_68_face_landmarks.dat"))
    load = detection.shape_predictor.__wrapped__
    if in_thread:
        with ThreadPoolExecutor(1) as threads:
            loaded = threads.submit(load).result()
    else:
        loaded = load()
    grey, box = detection.as_grey(portrait), dlib.rectangle(*map(int, detect_face(portrait)))
    points = [[(p.x, p.y) for p in predictor(grey, box).parts()] for predictor in (plain, loaded)]
    assert points[0] == points[1] and len(set(points[0])) > 60


def test_a_small_face_is_found_by_enlarging(portrait):
    small = portrait[::2, ::2]
    assert detect_face(small) is not None
    assert detect_face(np.zeros((120, 120, 3), np.uint8)) is None


@pytest.mark.parametrize("angle", [15, 25, 35])
def test_a_tilted_face_that_fills_its_picture_is_found(portrait, monkeypatch, angle):
    """As in corpora that come as crops of 160 px: HOG's window is larger than what is left about the face."""
    turn = cv2.getRotationMatrix2D((142, 120), angle, 160 / 70)
    turn[:, 2] += [80 - 142, 80 - 120]
    crop = cv2.warpAffine(portrait, turn, (160, 160), flags=cv2.INTER_CUBIC)
    landmarks = predict_landmarks(crop, detect_face(crop))
    eyes = landmarks[42:48].mean(axis=0) - landmarks[36:42].mean(axis=0)
    assert np.linalg.norm(eyes) == pytest.approx(43 * 160 / 70, rel=0.15)
    assert np.degrees(np.arctan2(-eyes[1], eyes[0])) == pytest.approx(angle, abs=10)
    monkeypatch.setattr(detection, "BORDER", 0)
    assert detect_face(crop) is None


@pytest.mark.parametrize(("size", "left", "top"), [(300, 1200, 500), (900, 700, 100)])
def test_faces_of_a_large_frame(portrait, size, left, top):
    """Of 87 px, which reducing 1080p to 640 px would leave at 29, and of 260 px."""
    frame = placed(portrait, size, 1920, 1080, left, top)
    box = detect_face(frame)
    centre = np.array([222 - 80, 126]) * size / 300 + [left, top]
    assert np.abs((box[:2] + box[2:]) / 2 - centre).max() < 0.05 * size
    assert inter_ocular_distance(predict_landmarks(frame, box)) == pytest.approx(43 * size / 300, rel=0.1)


def test_a_face_of_87_px_in_a_photo_of_4000(portrait):
    """Which reducing it to 1,920 px would leave at 42."""
    frame = placed(portrait, 300, 4000, 2500, 2900, 1500)
    box = detect_face(frame)
    assert np.abs((box[:2] + box[2:]) / 2 - [2900 + 142, 1500 + 126]).max() < 15


@pytest.mark.parametrize("degrees", [-30, -20, 20, 30])
def test_a_tilted_faces_landmarks_are_the_upright_ones_turned(portrait, degrees):
    upright = predict_landmarks(portrait, detect_face(portrait))
    turn = cv2.getRotationMatrix2D((150, 150), degrees, 1)
    tilted = cv2.warpAffine(portrait, turn, (300, 300), borderMode=cv2.BORDER_REPLICATE)
    found = predict_tilted_landmarks(tilted, detect_face(tilted))
    distance = np.linalg.norm(found - apply_similarity(turn, upright), axis=1).mean()
    assert distance < 0.03 * inter_ocular_distance(upright)  # seen: 0.02; without turning up to 0.15


def test_the_first_look_at_a_large_frame_is_cheap(portrait, monkeypatch):
    seen, detector = [], detection.face_detector()

    class Counted:
        def run(self, image, *args):
            seen.append(image.size)
            return detector.run(image, *args)

    monkeypatch.setattr(detection, "face_detector", Counted)
    assert find_faces(placed(portrait, 900, 1920, 1080, 700, 100))
    assert seen == [640 * 360]
    seen.clear()
    # A face that this look misses is looked for where it was last.
    small = placed(portrait, 300, 1920, 1080, 1200, 500)
    assert find_faces(small, near=[np.array([1300, 583, 1387, 670])])
    assert sum(seen) < 2 * 640 * 360


def test_several_faces_come_largest_first(portrait):
    frame = np.maximum(placed(portrait, 300, 640, 360, 0, 30), placed(portrait, 340, 640, 360, 300, 10))
    faces = find_faces(frame)
    assert len(faces) == 2 and faces[0].box[0] > 300 > faces[1].box[0]


def test_a_badge_is_not_taken_for_the_largest_face():
    """Enlarged, the astronaut's badge fills a larger box than her face, at a fiftieth of its score."""
    photo = cv2.resize(skimage.data.astronaut(), None, fx=2.5, fy=2.5, interpolation=cv2.INTER_CUBIC)
    found = detection._look(detection.as_grey(photo), detection.FULL)
    assert max(found, key=lambda face: face.box[2] - face.box[0]).box[1] > 600
    (face,) = detect_faces(photo)
    assert face.box[1] < 250 and (detect_face(photo) == face.box).all()


def test_a_poster_is_not_taken_for_the_largest_face_of_a_clip(portrait):
    """Drawn and out of focus, three times as wide as the face, at a fiftieth of its score."""
    frame = placed(portrait, 280, 640, 360, 360, 40)
    frame[:, :360] = cv2.GaussianBlur(as_grey(cv2.resize(drawn(), (360, 360))), (0, 0), 2)
    found = detection._look(frame, detection.LOOK)
    assert len(found) == 2 and max(found, key=lambda face: face.box[2] - face.box[0]).box[0] < 100
    (face,) = find_faces(frame)
    assert face.box[0] > 360


def test_a_small_face_beside_a_large_one_is_found_in_a_large_photo(portrait):
    """Of 87 px beside one of 700, in a photo of 4,000: reducing it to 1,920 px leaves it at 42."""
    frame = np.maximum(placed(portrait, 300, 4000, 2500, 3200, 1500), placed(portrait, 2400, 4000, 2500, 0, 50))
    large, small = detect_faces(frame)
    assert large.box[2] - large.box[0] > 600
    assert np.abs((small.box[:2] + small.box[2:]) / 2 - [3200 + 142, 1500 + 126]).max() < 15


def test_overlap_of_boxes():
    a = np.array([0, 0, 10, 10])
    assert overlap(a, a) == 1
    assert overlap(a, np.array([5, 0, 15, 10])) == pytest.approx(50 / 150)
    assert overlap(a, np.array([10, 0, 20, 10])) == 0
