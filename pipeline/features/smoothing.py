"""Smoothing of landmark tracks over time. Detectors find each frame's points anew, so that they tremble."""

import numpy as np
from scipy.ndimage import convolve1d

MOVING_AVERAGE = np.full(5, 1 / 5)
# σ is not given (Kesim & Erzin §4.1 says "5-point Gaussian"): 1 frame, so that five points hold 99 % of the curve.
GAUSSIAN = np.exp(-0.5 * np.arange(-2, 3) ** 2)
GAUSSIAN /= GAUSSIAN.sum()


def smooth(track: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolve a track (T, …) along its first axis; ends are padded with the first and last value, never shortened."""
    return convolve1d(np.asarray(track, np.float64), kernel, axis=0, mode="nearest")


def ground_truth_landmarks(landmarks: np.ndarray) -> np.ndarray:
    """Landmarks as the papers take them for true: 5-point moving average (Kesim & Erzin §4.1). (T, 68, 2) → (T, 68, 2)."""
    return smooth(landmarks, MOVING_AVERAGE)


def transform_landmarks(landmarks: np.ndarray) -> np.ndarray:
    """Ground-truth landmarks smoothed once more, for the alignment's transform only (Kesim & Erzin §4.1)."""
    return smooth(landmarks, GAUSSIAN)


def bridge_gaps(landmarks: np.ndarray, has_face: np.ndarray) -> np.ndarray:
    """Fill frames without a face by linear interpolation over time, and by the nearest face at the ends.

    landmarks (T, 68, 2), has_face (T,) bool with at least one True.
    """
    frames = np.arange(len(landmarks))
    tracks = landmarks.reshape(len(landmarks), -1)
    filled = np.stack([np.interp(frames, frames[has_face], track[has_face]) for track in tracks.T], axis=1)
    return filled.reshape(landmarks.shape)
