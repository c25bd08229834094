"""What smoothing takes away: the trembling of landmarks, and part of every blink."""

import numpy as np

from pipeline.features.landmarks import RIGID, eye_aspect_ratio, inter_ocular_distance

# A blink closes the eye to less than this share of its usual opening (measured on GRID: deeper than any trembling).
BLINK_DEPTH = 0.7


def jitter(landmarks: np.ndarray) -> float:
    """Mean acceleration of the landmarks that do not move with speech, as a share of the eyes' distance per frame².

    landmarks: (T, 68, 2). A head moves smoothly, so that this is mostly the detector's trembling. NaN for under 3 frames.
    """
    if len(landmarks) < 3:
        return float("nan")
    acceleration = np.linalg.norm(np.diff(landmarks[:, RIGID], n=2, axis=0), axis=-1)
    return float(acceleration.mean() / inter_ocular_distance(landmarks).mean())


def blinks(landmarks: np.ndarray) -> list[slice]:
    """The spans of frames in which the eyes' aspect ratio (T,) is below BLINK_DEPTH of its median."""
    ratio = eye_aspect_ratio(landmarks)
    shut = np.flatnonzero(np.diff(np.r_[False, ratio < BLINK_DEPTH * np.median(ratio), False].astype(int)))
    return [slice(a, b) for a, b in shut.reshape(-1, 2)]


def blink_amplitude_kept(raw: np.ndarray, smoothed: np.ndarray) -> float:
    """How much of the blinks' depth survives smoothing: 1 is all, NaN where the clip has no blink.

    raw, smoothed: (T, 68, 2). A blink's depth is the median of the aspect ratio less its least value in the blink.
    """
    before, after = eye_aspect_ratio(raw), eye_aspect_ratio(smoothed)
    kept = [(np.median(after) - after[span].min()) / (np.median(before) - before[span].min()) for span in blinks(raw)]
    return float(np.mean(kept)) if kept else float("nan")
