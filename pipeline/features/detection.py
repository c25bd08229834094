"""Faces and their 68 landmarks (iBUG 300-W order) in one image, by dlib."""

import contextlib
import ctypes
import functools
import importlib.util
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import dlib
import numpy as np

from pipeline.features.landmarks import inter_ocular_distance, tilt

# A copy of dlib's detector, which is read in a millisecond; dlib takes half a second to unpack its own.
UNPACKED = Path(__file__).parents[2] / "data" / ".work" / f"frontal_faces_of_dlib_{dlib.__version__}.svm"
# The detector's window is a face of about 80 px. It first looks at the whole frame reduced to LOOK px, where a talking
# head's face is larger than that; only a frame in which that finds none is looked at anew, at up to FULL px.
LOOK, FULL = 640, 1920
# HOG's window is larger than the face. Where a face fills its picture, and tilted or turned ones above all, it is found only
# within a border of repeated pixels, of this share of the picture's longer side. A wider one finds fewer, at lower scores.
BORDER = 1 / 8
# Degrees. The predictor learned from upright faces: of more tilted ones it misplaces points, from 25 on at times all of them.
TILTED = 10
# Boxes that overlap by more (intersection over union) are of the same face.
SAME_FACE = 0.4
# HOG's scores: portraits have 1.5 to 3, tilted by 40 degrees 0.3 to 2; what it takes for a face in one that is upside down, in
# a badge on somebody's chest or in a drawing, up to 0.5. Below SURE it is looked further; a box is of no face if its score is
# below this SHARE of the picture's best (the badge: 0.1; the least of five people in one picture: 0.3).
SURE, SHARE = 0.5, 0.2
# The least width of a face, pixels, that the cascade's look for small ones is made for, and by how much it is reduced for that.
SMALL, REDUCED = 64, 2


class Face(NamedTuple):
    """A box, int (left, top, right, bottom) in pixels, and HOG's score: from 0, frontal faces in good light about 1.5."""

    box: np.ndarray
    score: float


@functools.cache
def face_detector() -> dlib.fhog_object_detector:
    """dlib's HOG detector of frontal faces, from the copy that is UNPACKED, or is so then."""
    if UNPACKED.exists():
        return dlib.fhog_object_detector(str(UNPACKED))
    detector, partial = dlib.get_frontal_face_detector(), UNPACKED.with_suffix(f".{os.getpid()}")
    with contextlib.suppress(OSError, RuntimeError):  # where nothing can be written, the next process unpacks it, too
        UNPACKED.parent.mkdir(parents=True, exist_ok=True)
        detector.save(str(partial))
        partial.replace(UNPACKED)
    return detector


@functools.cache
def shape_predictor() -> dlib.shape_predictor:
    """dlib's 68-point predictor; its file comes with the package face_recognition_models, which cannot be imported itself."""
    folder = Path(importlib.util.find_spec("face_recognition_models").submodule_search_locations[0])
    with _on_large_pages():
        return dlib.shape_predictor(str(folder / "models" / "shape_predictor_68_face_landmarks.dat"))


@contextlib.contextmanager
def _on_large_pages() -> Iterator[None]:
    """Gather the heap's growth on pages of 2 MiB, by Linux 6.1 or later; elsewhere nothing changes.

    Each face reads 7,500 leaves, 4 MB, scattered over the predictor's 70 MB: on pages of 4 kB a third of its time goes into
    looking up addresses.
    """
    page, madv_collapse = 2 << 20, 25
    libc = ctypes.CDLL(None)
    libc.sbrk.restype = ctypes.c_void_p
    start = -(-libc.sbrk(0) // page) * page
    yield
    size = libc.sbrk(0) // page * page - start
    if size > 0:  # none in a thread, whose heap is another
        libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), madv_collapse)


def as_grey(image: np.ndarray) -> np.ndarray:
    """uint8 RGB (H, W, 3) or grey (H, W) → grey (H, W)."""
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def detect_face(image: np.ndarray) -> np.ndarray | None:
    """The box of the largest of `detect_faces`, int (left, top, right, bottom) in pixels; None where there is no face."""
    return max((face.box for face in detect_faces(image)), key=lambda box: box[2] - box[0], default=None)


def detect_faces(image: np.ndarray) -> list[Face]:
    """The faces of a photo, uint8 (H, W, 3) or (H, W), from left to right.

    Faces below about 40 px are not found; in images larger than 640 px those below 80, however large the image.
    """
    grey = as_grey(image)
    faces = _look(grey, LOOK)
    if max(grey.shape) > LOOK:
        faces += _look(grey, FULL)
    elif not faces:
        faces = _look(grey, LOOK, enlarged=True)
    if max(grey.shape) > FULL:
        faces += _look_for_small(grey)
    faces = _distinct(sorted(_likely(faces or _look_within_border(grey)), key=lambda face: -face.score))
    return sorted(faces, key=lambda face: face.box[0])


def _likely(faces: list[Face]) -> list[Face]:
    """Without those that are none, by SHARE."""
    least = SHARE * best_score(faces)
    return [face for face in faces if face.score >= least]


def best_score(faces: Sequence[Face]) -> float:
    """0 where there is none."""
    return max((face.score for face in faces), default=0.0)


def turns_to_upright(image: np.ndarray, score: float) -> int:
    """By how many quarters a photo is to be turned (as `np.rot90` turns) for HOG to be surer of a face in it: 0 … 3.

    score: HOG's best as the photo is; 0 where no turn doubles it: of a face tilted by 45 degrees either way is as good.
    """
    grey = as_grey(image)
    shrink = min(1.0, FULL / max(grey.shape))
    grey = cv2.resize(grey, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    scores = [score, *(best_score(detect_faces(np.ascontiguousarray(np.rot90(grey, k)))) for k in (1, 2, 3))]
    best = int(np.argmax(scores))
    return best if scores[best] > 2 * score else 0


def _look_for_small(grey: np.ndarray) -> list[Face]:
    """Faces from 80 px in a large image. OpenCV's cascade, on half of it, says where HOG is to look."""
    half = cv2.resize(grey, (grey.shape[1] // REDUCED, grey.shape[0] // REDUCED), interpolation=cv2.INTER_AREA)
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    found = REDUCED * np.array(cascade.detectMultiScale(half, 1.2, 1, minSize=(SMALL // REDUCED,) * 2)).reshape(-1, 4)
    return _look_near(grey, [np.array([x, y, x + width - 1, y + height - 1]) for x, y, width, height in found])


def find_faces(grey: np.ndarray, near: Sequence[np.ndarray] = ()) -> list[Face]:
    """The faces of a grey image, uint8 (H, W), largest first.

    near: boxes in whose surroundings a face is looked for where the first look at the whole frame finds none; without them
    that costs up to 20 times as much. The last look is within a border. Faces are found from 40 px, in frames wider or higher
    than 640 px from 80 px; a box may reach beyond the image.
    """
    faces = _look(grey, LOOK)
    if not faces and near:
        faces = _look_near(grey, near) or _look_near(grey, near, enlarged=True)
    elif not faces:
        faces = _look(grey, FULL) if max(grey.shape) > LOOK else _look(grey, LOOK, enlarged=True)
    return sorted(_likely(faces or _look_within_border(grey)), key=lambda face: face.box[0] - face.box[2])


def _look(grey: np.ndarray, size: int, enlarged: bool = False) -> list[Face]:
    """Faces found in an image reduced to `size` px where it is larger; `enlarged`: twofold, at four times the cost."""
    scale = max(1.0, max(grey.shape) / size)
    if scale > 1:
        small = (round(grey.shape[1] / scale), round(grey.shape[0] / scale))
        grey = cv2.resize(grey, small, interpolation=cv2.INTER_AREA)
    boxes, scores, _ = face_detector().run(np.ascontiguousarray(grey), int(enlarged), 0.0)
    found = [np.array([b.left(), b.top(), b.right(), b.bottom()]) for b in boxes]
    return [Face(np.rint(box * scale).astype(int), score) for box, score in zip(found, scores, strict=True)]


def _look_near(grey: np.ndarray, boxes: Sequence[np.ndarray], enlarged: bool = False) -> list[Face]:
    height, width = grey.shape
    crops = [surroundings(box, width, height) for box in boxes]
    return _distinct(
        [
            Face(box + np.array([left, top, left, top]), score)
            for left, top, right, bottom in crops
            for box, score in _look(grey[top:bottom, left:right], FULL, enlarged)
        ]
    )


def _look_within_border(grey: np.ndarray) -> list[Face]:
    border = round(BORDER * max(grey.shape))
    bordered = cv2.copyMakeBorder(grey, border, border, border, border, cv2.BORDER_REPLICATE)
    return [Face(box - border, score) for box, score in _look(bordered, LOOK)]


def surroundings(box: np.ndarray, width: int, height: int) -> tuple[int, int, int, int]:
    """A box padded by 0.6 of its width on all sides, within the frame."""
    pad = round(0.6 * (box[2] - box[0]))
    left, top = max(0, int(box[0]) - pad), max(0, int(box[1]) - pad)
    return left, top, max(left + 1, min(width, int(box[2]) + pad)), max(top + 1, min(height, int(box[3]) + pad))


def _distinct(faces: list[Face]) -> list[Face]:
    kept: list[Face] = []
    for face in faces:
        if all(overlap(face.box, other.box) <= SAME_FACE for other in kept):
            kept.append(face)
    return kept


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes (left, top, right, bottom): 0 … 1."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    if (sides <= 0).any():
        return 0.0
    both = sides[0] * sides[1]
    return float(both / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - both))


def predict_landmarks(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The 68 landmarks of the face in `box`: float32 (68, 2), x and y in pixels (whole numbers: dlib rounds)."""
    shape = shape_predictor()(image, dlib.rectangle(*(int(v) for v in box)))
    return np.array([(p.x, p.y) for p in shape.parts()], np.float32)


def predict_tilted_landmarks(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """As `predict_landmarks`; where the face is TILTED, anew, twice, in the image turned so that the face is upright.

    What it then finds of a face tilted by 30 degrees is as near to the same face's landmarks upright as of one by 5.
    """
    landmarks = predict_landmarks(image, box)
    for _ in range(2):
        degrees = tilt(landmarks)
        if abs(degrees) <= TILTED:
            break
        upright, turn = _turned(image, box, degrees)
        back = cv2.invertAffineTransform(turn)
        landmarks = (predict_landmarks(upright, box) @ back[:, :2].T + back[:, 2]).astype(np.float32)
    return landmarks


def unsteadiness(image: np.ndarray, box: np.ndarray, landmarks: np.ndarray) -> float:
    """How far a face's landmarks, found in the image turned upright, move with the box: mean distance over the eyes' distance.

    The box is moved by 6 % of its width each way, and made a tenth larger and smaller. A face that can be seen holds them.
    """
    upright, _ = _turned(image, box, tilt(landmarks))
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    moved = [(0.12, 0, 1), (-0.12, 0, 1), (0, 0.12, 1), (0, -0.12, 1), (0, 0, 1.1), (0, 0, 0.9)]
    boxes = [(centre + half * (x, y), half * scale) for x, y, scale in moved]
    found = np.stack([predict_landmarks(upright, np.concatenate([middle - to, middle + to])) for middle, to in boxes])
    return float(np.linalg.norm(found - found.mean(axis=0), axis=-1).mean() / inter_ocular_distance(landmarks))


def _turned(image: np.ndarray, box: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """An image turned about a box's centre, and the matrix (2, 3) by which it was."""
    turn = cv2.getRotationMatrix2D(tuple((box[:2] + box[2:]) / 2), degrees, 1)
    return cv2.warpAffine(image, turn, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE), turn
