"""Lip landmarks moved to where face parsing sees the lips' boundaries (Sinha 2020 §IV).

The points are to lie where they, "projected", intersect the segmentation's boundaries. Read so: through each point of the lips
runs a line at right angles to that between the mouth's corners, and the point moves to where it crosses its lip's boundary. The
outer corners move along the line between them. The inner ones move up or down as well, to where the lips meet: how far inwards
they lie, no boundary tells while the mouth is shut.
"""

from collections.abc import Callable, Iterable

import numpy as np
from scipy.ndimage import map_coordinates

from pipeline.features.alignment import apply_similarity, crop_face
from pipeline.features.landmarks import LEFT_EYE, RIGHT_EYE, inter_ocular_distance

INNER_MOUTH, UPPER_LIP, LOWER_LIP = 11, 12, 13
# Points, the region on whose boundary they lie, and the way into it: (from corner 48 to corner 54, down).
BOUNDARIES = [
    ([49, 50, 51, 52, 53], [UPPER_LIP], (0, 1)),
    ([55, 56, 57, 58, 59], [LOWER_LIP], (0, -1)),
    ([60, 61, 62, 63, 64], [UPPER_LIP], (0, -1)),
    ([65, 66, 67], [LOWER_LIP], (0, 1)),
    ([48], [UPPER_LIP, INNER_MOUTH, LOWER_LIP], (1, 0)),
    ([54], [UPPER_LIP, INNER_MOUTH, LOWER_LIP], (-1, 0)),
]
# How far a point may move, as a share of the eyes' distance (not stated). What lies beyond is another boundary, or an error.
REACH = 0.2
# Pixels between the places along the line at which the region is looked for.
STEP = 0.25
PARSED_SIZE = 512


def refine_lips(landmarks: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Points (68, 2) and classes (H, W) in the same pixels → points (68, 2), those of the lips on the boundaries, sub-pixel.

    A point stays where its boundary does not cross its line within REACH; where it crosses often, the nearest counts.
    """
    along = landmarks[54] - landmarks[48]
    along = along / np.linalg.norm(along)
    axes = np.array([along, [-along[1], along[0]]])
    n = np.ceil(REACH * inter_ocular_distance(landmarks) / STEP)
    steps = np.arange(-n, n + 1) * STEP
    refined = landmarks.copy()
    for points, classes, inwards in BOUNDARIES:
        inwards = inwards @ axes
        places = landmarks[points, None] + steps[:, None] * inwards
        region = np.isin(labels, classes).astype(np.float32)
        refined[points] += _first_inside(map_coordinates(region, places.T[::-1], order=1).T, steps)[:, None] * inwards
    return refined


def _first_inside(region: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Where along its line a region (n, len(steps)), in 0 … 1, is entered, nearest to 0; 0 where it is not. Returns (n,)."""
    before, after = region[:, :-1], region[:, 1:]
    enters = (before < 0.5) & (after >= 0.5)
    share = np.divide(0.5 - before, after - before, out=np.zeros_like(before), where=enters)
    crossings = np.where(enters, steps[:-1] + share * STEP, np.inf)
    nearest = crossings[np.arange(len(region)), np.abs(crossings).argmin(axis=1)]
    return np.where(np.isfinite(nearest), nearest, 0)


def parsed_square(landmarks: np.ndarray) -> np.ndarray:
    """The similarity (2, 3) from a video frame to the square that is parsed: the face in its place as in CelebA-HQ.

    The network has learnt on such faces: upright by eyes and mouth; the width is four times the eyes' distance, or 3.6 times
    that from eyes to mouth where this is more (Karras et al. 2018, App. C).
    """
    right, left = landmarks[RIGHT_EYE].mean(axis=0), landmarks[LEFT_EYE].mean(axis=0)
    eyes, mouth = left - right, landmarks[[48, 54]].mean(axis=0) - (left + right) / 2
    centre = (left + right) / 2 + 0.1 * mouth
    side = max(4 * np.linalg.norm(eyes), 3.6 * np.linalg.norm(mouth))
    x, y = eyes + np.array([mouth[1], -mouth[0]])
    linear = np.array([[x, y], [-y, x]]) / np.hypot(x, y) * PARSED_SIZE / side
    return np.column_stack([linear, (PARSED_SIZE - 1) / 2 - linear @ centre])


def refine_clip(
    landmarks: np.ndarray, frames: Iterable[np.ndarray], parse: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Raw landmarks (T, 68, 2) of a video, refined frame by frame; one frame is in memory at a time.

    parse: image uint8 (S, S, 3) → class of each pixel (S, S). Raises ValueError where there are not as many frames as faces.
    """
    refined = landmarks.copy()
    for face, frame in zip(refined, frames, strict=True):
        matrix = parsed_square(face)
        seen = apply_similarity(matrix, face)
        moved = refine_lips(seen, parse(crop_face(frame, matrix, PARSED_SIZE))) - seen
        face += moved @ np.linalg.inv(matrix[:, :2]).T
    return refined
