"""Landmarks of real and generated crops by one detector, and their distance."""

import cv2
import numpy as np

from pipeline.features.landmarks import MOUTH, detect_face, inter_ocular_distance, predict_landmarks


def detect_landmarks(frames: np.ndarray, detection_size: int) -> np.ndarray:
    """The 68 landmarks of every crop, uint8 (T, S, S, 3): float64 (T, 68, 2) in crop pixels, NaN where no face is found.

    The detector answers in whole pixels, which at 64 px would cost 0.5 px a point, as much as systems differ by: crops are
    enlarged to `detection_size` first, real and generated alike.
    """
    scale = detection_size / frames.shape[1]
    landmarks = np.full((len(frames), 68, 2), np.nan)
    for t, frame in enumerate(frames):
        enlarged = cv2.resize(frame, (detection_size, detection_size), interpolation=cv2.INTER_CUBIC)
        box = detect_face(enlarged)
        if box is not None:
            # Pixel centres lie at whole numbers, before and after enlarging.
            landmarks[t] = (predict_landmarks(enlarged, box) + 0.5) / scale - 0.5
    return landmarks


def landmark_distance(truth: np.ndarray, generated: np.ndarray) -> np.ndarray:
    """Landmark distance (LMD) of the mouth per frame, both moved to the same mean (Chen et al. 2018; Kesim & Erzin §4.3).

    truth, generated: (T, 68, 2) in crop pixels. The 20 points of the mouth are compared, and the means taken over them; the
    mean of their distances, not the sum, is returned: (T,) in crop pixels, NaN (never 0) where either has no face.
    """
    a, b = truth[:, MOUTH], generated[:, MOUTH]
    difference = (a - a.mean(axis=1, keepdims=True)) - (b - b.mean(axis=1, keepdims=True))
    return np.linalg.norm(difference, axis=-1).mean(axis=-1)


def eye_distance(truth: np.ndarray) -> float:
    """Median inter-ocular distance of a clip, between the eyes' six-point means: (T, 68, 2) → pixels; NaN without a face."""
    distances = inter_ocular_distance(truth)
    distances = distances[~np.isnan(distances)]
    return float(np.median(distances)) if len(distances) else float("nan")
