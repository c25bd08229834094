"""What smoothing takes away: the trembling of landmarks, and part of every blink."""

import numpy as np

from pipeline.features.blinks import blink_events
from pipeline.features.landmarks import RIGID, eye_aspect_ratio, inter_ocular_distance


def jitter(landmarks: np.ndarray) -> float:
    """Mean acceleration of the landmarks that do not move with speech, as a share of the eyes' distance per frame².

    landmarks: (T, 68, 2), NaN in frames without a face, which are left out. A head moves smoothly, so that this is mostly the
    detector's trembling. NaN where no three frames follow each other.
    """
    acceleration = np.linalg.norm(np.diff(landmarks[:, RIGID], n=2, axis=0), axis=-1)
    if np.isnan(acceleration).all():
        return float("nan")
    return float(np.nanmean(acceleration) / np.nanmean(inter_ocular_distance(landmarks)))


def blink_amplitude_kept(raw: np.ndarray, smoothed: np.ndarray, fps: float) -> float:
    """How much of the blinks' depth survives smoothing: 1 is all, NaN where the clip has no blink.

    raw, smoothed: (T, 68, 2). A blink's depth is the median of the aspect ratio less its least value in the blink.
    """
    before, after = eye_aspect_ratio(raw), eye_aspect_ratio(smoothed)
    kept = [
        (np.median(after) - after[start:stop].min()) / (np.median(before) - before[start:stop].min())
        for start, stop in blink_events(before, fps)
    ]
    return float(np.mean(kept)) if kept else float("nan")
