"""Alignment of faces to a template by similarity transforms, and aligned crops (Kesim & Erzin §4.1).

A similarity is a 2×3 matrix [sR | t] that maps points x of a video frame to sRx + t in the crop.
"""

from collections.abc import Iterable

import cv2
import numpy as np

from pipeline.features.landmarks import LEFT_EYE, MIRRORED, NOSE, RIGHT_EYE, RIGID
from pipeline.features.smoothing import bridge_gaps, for_transforms, smooth

# Where a detector looks anew its box jumps, by a ninth of a face or a fifth of its size; averaged over a second it glides.
BOX_AVERAGE = np.full(25, 1 / 25)


def fit_similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The rotation, scale and shift that bring `source` closest to `target` in least squares; never a reflection.

    source, target: (n, 2). Returns float64 (2, 3). (Umeyama 1991; in the plane it is one complex number.)
    """
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    z = (source - source_mean) @ [1, 1j]
    w = (target - target_mean) @ [1, 1j]
    a = np.vdot(z, w) / np.vdot(z, z).real
    linear = np.array([[a.real, -a.imag], [a.imag, a.real]])
    return np.column_stack([linear, target_mean - linear @ source_mean])


def apply_similarity(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (…, 2) through one similarity (2, 3)."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def mean_face(faces: np.ndarray, rounds: int = 5) -> np.ndarray:
    """The mean of faces (n, 68, 2) after each is aligned to it by its rigid points (generalised Procrustes).

    Returns (68, 2), symmetrical about its vertical axis, upright, centred between the eyes, in units of the eyes' distance.
    """
    mean = _upright(faces[0])
    for _ in range(rounds):
        aligned = [apply_similarity(fit_similarity(face[RIGID], mean[RIGID]), face) for face in faces]
        mean = np.mean(aligned, axis=0)
        # Half of the training clips are mirrored: the template must fit them as well.
        mean = _upright((mean + mean[MIRRORED] * [-1, 1]) / 2)
    return mean


def _upright(face: np.ndarray) -> np.ndarray:
    right, left = face[RIGHT_EYE].mean(axis=0), face[LEFT_EYE].mean(axis=0)
    return apply_similarity(fit_similarity(np.array([right, left]), np.array([[-0.5, 0.0], [0.5, 0.0]])), face)


def template(faces: np.ndarray, image_size: int, eye_distance: float, eye_height: float) -> np.ndarray:
    """The mean face placed in the crop: (n, 68, 2) → (68, 2) in crop pixels.

    eye_distance: distance of the eyes' centres over the crop's width; eye_height: their height from the top over the crop's.
    """
    centre = np.array([(image_size - 1) / 2, eye_height * image_size])
    return mean_face(faces) * eye_distance * image_size + centre


def per_frame_transforms(landmarks: np.ndarray, template: np.ndarray) -> np.ndarray:
    """One similarity per frame, by eyes, nose and the points between cheek and temple (Kesim & Erzin §4.1).

    landmarks: smoothed, (T, 68, 2). Returns (T, 2, 3).
    """
    return np.stack([fit_similarity(frame[RIGID], template[RIGID]) for frame in landmarks])


def first_frame_transforms(landmarks: np.ndarray, template: np.ndarray) -> np.ndarray:
    """The first frame's similarity for all frames, by the means of either eye and the nose (Maity 2024 §4.3).

    The face starts in its place and may then wander. landmarks (T, 68, 2); returns (T, 2, 3).
    """
    three = [
        np.stack([face[part].mean(axis=0) for part in (RIGHT_EYE, LEFT_EYE, NOSE)]) for face in (landmarks[0], template)
    ]
    return np.repeat(fit_similarity(*three)[None], len(landmarks), axis=0)


TRANSFORMS = {"per_frame": per_frame_transforms, "first_frame": first_frame_transforms}


def box_transforms(boxes: np.ndarray, image_size: int) -> np.ndarray:
    """Scale and shift, without a turn, that make the detector's box the crop (Chen S. 2021 §4.1).

    boxes: (T, 4), left, top, right, bottom in pixels, the last ones within; zeros in frames without a face, which are bridged.
    One that is no square is taken as the square about it. Returns (T, 2, 3).
    """
    bridged = bridge_gaps(boxes.astype(float)[:, None], boxes.any(axis=1))[:, 0]
    first, last = np.split(smooth(bridged, BOX_AVERAGE), 2, axis=1)  # (T, 2) each: x, y
    scale = image_size / (last - first + 1).max(axis=1)
    transforms = scale[:, None, None] * np.eye(2, 3)
    transforms[:, :, 2] = (image_size - 1) / 2 - scale[:, None] * (first + last) / 2
    return transforms


def crop_face(image: np.ndarray, matrix: np.ndarray, image_size: int) -> np.ndarray:
    """Draw the aligned crop: uint8 (H, W, 3) → (image_size, image_size, 3). Beyond the image, its border is repeated."""
    return drawn_through(image, matrix, (image_size, image_size))


def drawn_through(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Draw an image, (H, W, C) or (H, W), through a similarity; size: width and height of what comes of it.

    What shrinks is drawn larger first and then averaged over areas, since plain interpolation would alias.
    """
    scale = np.hypot(*matrix[:, 0])
    k = max(1, round(1 / scale))
    # Pixel centres lie at whole numbers: enlarging by k moves x to k·x + (k − 1)/2.
    enlarged = k * matrix + np.array([[0, 0, (k - 1) / 2]] * 2)
    larger = (size[0] * k, size[1] * k)
    drawn = cv2.warpAffine(image, enlarged, larger, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(drawn, size, interpolation=cv2.INTER_AREA) if k > 1 else drawn


def align_landmarks(
    landmarks: np.ndarray, template: np.ndarray, transform: str = "per_frame"
) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks (T, 68, 2) in pixels of the video → the crops' similarities (T, 2, 3), and the landmarks in the crops.

    These, float32 (T, 68, 2), are as they were found; the similarities come from smoothed ones. Who learns from landmarks
    smooths them as its paper says (features.smoothing). transform: a key of TRANSFORMS.
    """
    transforms = TRANSFORMS[transform](for_transforms(landmarks), template)
    return transforms, _moved(landmarks, transforms)


def align_faces(
    landmarks: np.ndarray, boxes: np.ndarray, template: np.ndarray, transform: str, image_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """As `align_landmarks`, by any transform: a key of TRANSFORMS, or "box" (see `box_transforms`), which needs no template."""
    if transform != "box":
        return align_landmarks(landmarks, template, transform)
    transforms = box_transforms(boxes, image_size)
    return transforms, _moved(landmarks, transforms)


def box_template(clips: Iterable[tuple[np.ndarray, np.ndarray]], image_size: int) -> np.ndarray:
    """What stands for every face in crops by boxes: the mean of those of clips, (68, 2) in crop pixels.

    clips: landmarks (T, 68, 2) and boxes (T, 4) of each, in pixels of the video.
    """
    moved = [_moved(landmarks, box_transforms(boxes, image_size)) for landmarks, boxes in clips]
    return np.mean([face.mean(axis=0) for face in moved], axis=0)


def _moved(landmarks: np.ndarray, transforms: np.ndarray) -> np.ndarray:
    """Each frame's landmarks through its similarity: (T, 68, 2), (T, 2, 3) → float32 (T, 68, 2)."""
    moved = np.einsum("tij,tkj->tki", transforms[:, :, :2], landmarks) + transforms[:, None, :, 2]
    return moved.astype(np.float32)


def crop_faces(frames: Iterable[np.ndarray], transforms: np.ndarray, image_size: int) -> np.ndarray:
    """The aligned crops of a clip, uint8 (T, image_size, image_size, 3); one frame of the video is in memory at a time.

    Raises ValueError where there are fewer or more frames than transforms.
    """
    crops = np.empty((len(transforms), image_size, image_size, 3), np.uint8)
    for t, (frame, matrix) in enumerate(zip(frames, transforms, strict=True)):
        crops[t] = crop_face(frame, matrix, image_size)
    return crops
