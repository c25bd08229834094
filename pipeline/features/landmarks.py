"""Face boxes and 68 landmarks (iBUG 300-W order) by dlib."""

import functools
import importlib.util
from pathlib import Path

import dlib
import numpy as np

from pipeline.errors import ClipRejected
from pipeline.features.smoothing import bridge_gaps
from pipeline.video import read_frames

MOUTH = slice(48, 68)
INNER_LIPS = slice(60, 68)
RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)
EYES = slice(36, 48)
NOSE = slice(27, 36)
# The points between cheek and temple: the upper ends of the jaw line, which speech does not move.
TEMPLES = [0, 1, 2, 14, 15, 16]
# What a rigid alignment may hold on to (Kesim & Erzin 2021, §4.1).
RIGID = [*TEMPLES, *range(27, 48)]
# The order of the 68 points after a face is mirrored left to right.
MIRRORED = [
    *range(16, -1, -1),
    *range(26, 16, -1),
    *range(27, 31),
    *range(35, 30, -1),
    *[45, 44, 43, 42, 47, 46],
    *[39, 38, 37, 36, 41, 40],
    *range(54, 47, -1),
    *range(59, 54, -1),
    *range(64, 59, -1),
    *range(67, 64, -1),
]


@functools.cache
def face_detector() -> dlib.fhog_object_detector:
    """dlib's HOG detector of frontal faces."""
    return dlib.get_frontal_face_detector()


@functools.cache
def shape_predictor() -> dlib.shape_predictor:
    """dlib's 68-point predictor; its file comes with the package face_recognition_models, which cannot be imported itself."""
    folder = Path(importlib.util.find_spec("face_recognition_models").submodule_search_locations[0])
    return dlib.shape_predictor(str(folder / "models" / "shape_predictor_68_face_landmarks.dat"))


def detect_face(image: np.ndarray) -> np.ndarray | None:
    """The largest face of an image, uint8 (H, W, 3) or (H, W).

    Returns its box as int (left, top, right, bottom) in pixels, or None. Faces below about 40 px are not found.
    """
    grey = image if image.ndim == 2 else np.rint(image @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    # The detector's window is 80 px; only where nothing is found is the image enlarged twofold, at four times the cost.
    boxes = face_detector()(grey, 0) or face_detector()(grey, 1)
    if not boxes:
        return None
    box = max(boxes, key=lambda b: b.area())
    return np.array([box.left(), box.top(), box.right(), box.bottom()])


def predict_landmarks(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The 68 landmarks of the face in `box`: float32 (68, 2), x and y in pixels (whole numbers: dlib rounds)."""
    shape = shape_predictor()(image, dlib.rectangle(*(int(v) for v in box)))
    return np.array([(p.x, p.y) for p in shape.parts()], np.float32)


def detect_clip(video: Path, fps: float, max_missing: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Face box and landmarks of every frame of a video, on the clock of `fps`.

    Returns boxes int32 (T, 4), landmarks float32 (T, 68, 2) in pixels of the frame, has_face bool (T,); frames without a face
    are bridged from their neighbours. Raises ClipRejected: what `read_frames` does, no_face where more than a share of
    `max_missing` of the frames have none, no_face_at_start where the first has none (damaged files begin in grey).
    """
    frames = read_frames(video, fps)
    boxes = np.zeros((len(frames), 4), np.int32)
    landmarks = np.zeros((len(frames), 68, 2), np.float32)
    has_face = np.zeros(len(frames), bool)
    for t, frame in enumerate(frames):
        box = detect_face(frame)
        if box is not None:
            boxes[t], landmarks[t], has_face[t] = box, predict_landmarks(frame, box), True
    if not has_face.any() or (~has_face).mean() > max_missing:
        raise ClipRejected("no_face", f"{video}: no face in {(~has_face).sum()} of {len(frames)} frames")
    if not has_face[0]:
        raise ClipRejected("no_face_at_start", f"{video}: no face in its first frame, which every system starts from")
    return boxes, bridge_gaps(landmarks, has_face).astype(np.float32), has_face


def inter_ocular_distance(landmarks: np.ndarray) -> np.ndarray:
    """Distance of the two eyes' centres: (..., 68, 2) → (...), in the landmarks' unit."""
    return np.linalg.norm(
        landmarks[..., LEFT_EYE, :].mean(axis=-2) - landmarks[..., RIGHT_EYE, :].mean(axis=-2), axis=-1
    )


def mouth_opening(landmarks: np.ndarray) -> np.ndarray:
    """Mean distance of the inner lips' three pairs over the inter-ocular distance: (..., 68, 2) → (...)."""
    gaps = np.linalg.norm(landmarks[..., [61, 62, 63], :] - landmarks[..., [67, 66, 65], :], axis=-1).mean(axis=-1)
    return gaps / inter_ocular_distance(landmarks)


def eye_aspect_ratio(landmarks: np.ndarray) -> np.ndarray:
    """Height over width of the eyes, mean of both: (..., 68, 2) → (...). About 0.3 open, below 0.2 shut (Soukupová & Čech 2016)."""
    ratios = []
    for eye in (RIGHT_EYE, LEFT_EYE):
        outer, above_1, above_2, inner, below_2, below_1 = np.moveaxis(landmarks[..., eye, :], -2, 0)
        height = np.linalg.norm(above_1 - below_1, axis=-1) + np.linalg.norm(above_2 - below_2, axis=-1)
        ratios.append(height / (2 * np.linalg.norm(outer - inner, axis=-1)))
    return (ratios[0] + ratios[1]) / 2
