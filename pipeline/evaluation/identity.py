"""Whether generated frames show the photo's person, by dlib's face embedding."""

import math
from functools import lru_cache
from itertools import combinations

import cv2
import numpy as np

from pipeline.features.person import embedding

# The embedding looks at 150 px, which it cuts out by landmarks in whole pixels: smaller crops are enlarged before.
LEAST_SIZE = 256
# A face costs 40 to 100 ms on one core. Of six real clips of GRID, three frames lie within 0.005 of all 75, and the truth is
# 0.988 to 0.995 like its first frame.
FRAMES = 3


def identity(photo: np.ndarray, photo_landmarks: np.ndarray, frames: np.ndarray, landmarks: np.ndarray) -> float:
    """Cosine similarity of dlib's embeddings of a photo and of the frames made from it, mean over FRAMES of those with a face.

    photo: uint8 (S, S, 3), photo_landmarks: (68, 2) in its pixels; frames: (T, S, S, 3), landmarks: (T, 68, 2), NaN where no
    face was found. The frames lie evenly in the clip. 1 for the photo itself; another person has about 0.85, since the
    embeddings of all faces point one way. NaN where the photo or every frame has no face.
    """
    seen = np.flatnonzero(~np.isnan(landmarks).any(axis=(1, 2)))
    if np.isnan(photo_landmarks).any() or not len(seen):
        return math.nan
    shown = seen[((np.arange(FRAMES) + 0.5) * len(seen) / FRAMES).astype(int)]
    own = _direction(photo, photo_landmarks)
    return float(np.mean([own @ _direction(frames[t], landmarks[t]) for t in shown]))


def identity_floor(photos: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """What `identity` says of somebody else: the mean cosine of the photos of every two people; NaN for fewer than two.

    photos: of each person one, uint8 (S, S, 3), with its landmarks (68, 2); NaN where no face was found, and it is left out.
    """
    directions = [_direction(*photo) for photo in photos if not np.isnan(photo[1]).any()]
    cosines = [one @ other for one, other in combinations(directions, 2)]
    return float(np.mean(cosines)) if cosines else math.nan


def _direction(crop: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The embedding (128,) of a crop's face, of length 1."""
    return _embedded(crop.tobytes(), len(crop), np.asarray(landmarks, float).tobytes())


# The photo is looked at anew for every system, and `static` shows nothing else.
@lru_cache(maxsize=32)
def _embedded(pixels: bytes, size: int, points: bytes) -> np.ndarray:
    crop = np.frombuffer(pixels, np.uint8).reshape(size, size, 3)
    landmarks, scale = np.frombuffer(points).reshape(68, 2), max(1, LEAST_SIZE / size)
    if scale > 1:
        crop = cv2.resize(crop, (LEAST_SIZE, LEAST_SIZE), interpolation=cv2.INTER_CUBIC)
    vector = embedding(crop, (landmarks + 0.5) * scale - 0.5)
    return vector / np.linalg.norm(vector)
