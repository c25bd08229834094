"""Landmarks of real and generated crops by one detector, and their distance."""

from functools import lru_cache

import cv2
import numpy as np

from pipeline.features.alignment import apply_similarity, fit_similarity
from pipeline.features.detection import face_detector, predict_landmarks
from pipeline.features.landmarks import MOUTH, inter_ocular_distance

# The detector's score above which a box is a face. Generated faces are blurred, and at dlib's own 0 many go unseen.
LEAST_SCORE = -0.25
# A crop is looked at as it is, and where that finds nothing once more within a border of repeated pixels, as a share of its
# width. All of 396 real and rendered crops are found at the first look. Blurred by σ = 1 px, the demo corpus's faces are
# found in 85 % of crops at score 0, 95 % at −0.25, 98 % with the border; σ = 2: 42, 53, 64 % (42 real people: 87, 93, 94 %).
# Of 986 crops of noise, scenes and scrambled faces 0, 1, 2 pass for a face. A wider border finds no more; enlarging twofold
# instead finds as many, but takes 14 of those 986 for a face and four times as long.
BORDERS = (0, 1 / 8)


def detect_landmarks(frames: np.ndarray, detection_size: int = 256) -> np.ndarray:
    """The 68 landmarks of every crop, uint8 (T, S, S, 3): float64 (T, 68, 2) in crop pixels, NaN where no face is found.

    The detector answers in whole pixels, which at 64 px would cost 0.5 px a point, as much as systems differ by: crops are
    enlarged to `detection_size` first, real and generated alike. At 256 px, on one core, a frame takes about 5 ms (3 of HOG,
    2 of the predictor), one without a face 7 ms; one that was looked at lately, nothing.
    """
    size = frames.shape[1]
    found = [_looked_at(frame.tobytes(), size, detection_size) for frame in frames]
    return np.array(found, np.float64).reshape(-1, 68, 2)


# A still clip is one frame, and a delayed one shows the same frames again.
@lru_cache(maxsize=256)
def _looked_at(pixels: bytes, size: int, detection_size: int) -> np.ndarray:
    frame, scale = np.frombuffer(pixels, np.uint8).reshape(size, size, 3), detection_size / size
    # Plain interpolation would alias where the crop is larger than the size of detection.
    interpolation = cv2.INTER_CUBIC if scale >= 1 else cv2.INTER_AREA
    enlarged = cv2.resize(frame, (detection_size, detection_size), interpolation=interpolation)
    box = likeliest_face(enlarged)
    if box is None:
        return np.full((68, 2), np.nan)
    # Pixel centres lie at whole numbers, before and after enlarging.
    return (predict_landmarks(enlarged, box) + 0.5) / scale - 0.5


def likeliest_face(image: np.ndarray) -> np.ndarray | None:
    """The box that looks most like a face in an enlarged crop, uint8 (S, S, 3): int (left, top, right, bottom), or None."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    for border in (round(share * len(image)) for share in BORDERS):
        bordered = cv2.copyMakeBorder(grey, border, border, border, border, cv2.BORDER_REPLICATE)
        boxes, scores, _ = face_detector().run(bordered, 0, LEAST_SCORE)
        if boxes:
            box = boxes[int(np.argmax(scores))]
            return np.array([box.left(), box.top(), box.right(), box.bottom()]) - border
    return None


def landmark_distance(truth: np.ndarray, generated: np.ndarray) -> np.ndarray:
    """Landmark distance (LMD) of the mouth per frame, both moved to the same mean (Chen et al. 2018; Kesim & Erzin §4.3).

    truth, generated: (T, 68, 2) in crop pixels. The 20 points of the mouth are compared, and the means taken over them; the
    mean of their distances, not the sum, is returned: (T,) in crop pixels, NaN (never 0) where either has no face.
    """
    a, b = truth[:, MOUTH], generated[:, MOUTH]
    difference = (a - a.mean(axis=1, keepdims=True)) - (b - b.mean(axis=1, keepdims=True))
    return np.linalg.norm(difference, axis=-1).mean(axis=-1)


def normalised_landmark_distance(truth: np.ndarray, generated: np.ndarray, template: np.ndarray) -> np.ndarray:
    """Normalised landmark distance (NLMD) of the mouth per frame (Maity 2024, after Eskimez et al. 2021).

    truth, generated: (T, 68, 2) in any unit; template: (68, 2). Each face is brought to the template by the similarity of least
    squares (Procrustes without reflection), so that place, size and turn of the head do not count. Which points align and which
    are compared is not said: all 68 align, the 20 of the mouth are compared, as the measure is of lips. Returns (T,) in eye
    distances of the template, NaN where either has no face.
    """
    distances, eyes = np.full(len(truth), np.nan), inter_ocular_distance(template)
    for t in np.flatnonzero(~np.isnan(truth + generated).any(axis=(1, 2))):
        a, b = (apply_similarity(fit_similarity(face, template), face[MOUTH]) for face in (truth[t], generated[t]))
        distances[t] = np.linalg.norm(a - b, axis=-1).mean() / eyes
    return distances


def eye_distance(truth: np.ndarray) -> float:
    """Median inter-ocular distance of a clip, between the eyes' six-point means: (T, 68, 2) → pixels; NaN without a face."""
    distances = inter_ocular_distance(truth)
    distances = distances[~np.isnan(distances)]
    return float(np.median(distances)) if len(distances) else float("nan")
