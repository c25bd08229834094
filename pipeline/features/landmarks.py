"""The 68 landmarks of a face (iBUG 300-W order): their indices by name, and what is measured on them."""

import numpy as np

JAW = slice(0, 17)
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


def spanned_box(landmarks: np.ndarray) -> np.ndarray:
    """The box that a face's landmarks (68, 2) span, for detectors that give none: int (left, top, right, bottom)."""
    return np.concatenate([np.floor(landmarks.min(axis=0)), np.ceil(landmarks.max(axis=0))]).astype(int)


def inter_ocular_distance(landmarks: np.ndarray) -> np.ndarray:
    """Distance of the two eyes' centres: (..., 68, 2) → (...), in the landmarks' unit."""
    return np.linalg.norm(
        landmarks[..., LEFT_EYE, :].mean(axis=-2) - landmarks[..., RIGHT_EYE, :].mean(axis=-2), axis=-1
    )


def tilt(landmarks: np.ndarray) -> float:
    """By how many degrees a face (68, 2) is turned in its picture, clockwise: −180 … 180, by the line of the eyes."""
    x, y = landmarks[LEFT_EYE].mean(axis=0) - landmarks[RIGHT_EYE].mean(axis=0)
    return float(np.degrees(np.arctan2(y, x)))


def turned_away(landmarks: np.ndarray) -> float:
    """How far the tip of a face's nose lies off the middle between both ends of the jaw line, along the line of the eyes.

    (68, 2) → 0 seen from the front, to ±1 where it lies at an end. It is the tangent of the angle by which the head is turned,
    where the nose is as far in front of the jaw's ends as half of the jaw is wide.
    """
    along = landmarks[LEFT_EYE].mean(axis=0) - landmarks[RIGHT_EYE].mean(axis=0)
    right, tip, left = landmarks[[0, 30, 16]] @ along
    return float((2 * tip - right - left) / (left - right))


def mouth_opening(landmarks: np.ndarray) -> np.ndarray:
    """Mean distance of the inner lips' three pairs over the inter-ocular distance: (..., 68, 2) → (...)."""
    gaps = np.linalg.norm(landmarks[..., [61, 62, 63], :] - landmarks[..., [67, 66, 65], :], axis=-1).mean(axis=-1)
    return gaps / inter_ocular_distance(landmarks)


def lip_gap(landmarks: np.ndarray) -> np.ndarray:
    """As `mouth_opening`, with a sign: how far the inner lower lip lies below the upper one. (..., 68, 2) → (...).

    Below 0 the points cross, as a detector has it where lips are pressed together. Down is at right angles to the eyes.
    """
    eyes = landmarks[..., LEFT_EYE, :].mean(axis=-2) - landmarks[..., RIGHT_EYE, :].mean(axis=-2)
    down = np.stack([-eyes[..., 1], eyes[..., 0]], axis=-1)
    gaps = (landmarks[..., [67, 66, 65], :] - landmarks[..., [61, 62, 63], :]).mean(axis=-2)
    return (gaps * down).sum(axis=-1) / (eyes**2).sum(axis=-1)


def eye_aspect_ratio(landmarks: np.ndarray) -> np.ndarray:
    """Height over width of the eyes, mean of both (Soukupová & Čech 2016): (..., 68, 2) → (...). Shut below about 0.2."""
    ratios = []
    for eye in (RIGHT_EYE, LEFT_EYE):
        outer, above_1, above_2, inner, below_2, below_1 = np.moveaxis(landmarks[..., eye, :], -2, 0)
        height = np.linalg.norm(above_1 - below_1, axis=-1) + np.linalg.norm(above_2 - below_2, axis=-1)
        ratios.append(height / (2 * np.linalg.norm(outer - inner, axis=-1)))
    return (ratios[0] + ratios[1]) / 2
