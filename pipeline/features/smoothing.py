"""Smoothing of landmark tracks over time. Detectors find each frame's points anew, so that they tremble."""

import numpy as np
from scipy.ndimage import convolve1d

MOVING_AVERAGE = np.full(5, 1 / 5)
# σ is not given (Kesim & Erzin §4.1 says "5-point Gaussian"): 1 frame, so that five points hold 99 % of the curve.
GAUSSIAN = np.exp(-0.5 * np.arange(-2, 3) ** 2)
GAUSSIAN /= GAUSSIAN.sum()
# A polynomial of order 4 through seven frames (Savitzky & Golay 1964, from their table: scipy.signal takes a second to load).
# `benchmarks.smoothing` compares it with others.
SHAPE_PRESERVING = np.array([5, -30, 75, 131, 75, -30, 5]) / 231


def smooth(track: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolve a track (T, …) along its first axis; ends are padded with the first and last value, never shortened."""
    return convolve1d(np.asarray(track, np.float64), kernel, axis=0, mode="nearest")


def averaged(landmarks: np.ndarray) -> np.ndarray:
    """Landmarks as Kesim & Erzin take them for true: 5-point moving average (§4.1). (T, 68, 2) → (T, 68, 2).

    At 25 frames a second nothing is left of what moves at 5 Hz, where syllables are.
    """
    return smooth(landmarks, MOVING_AVERAGE)


def for_transforms(landmarks: np.ndarray) -> np.ndarray:
    """Smoothed twice, for the alignment's transforms only (Kesim & Erzin §4.1): heads move slowly. (T, 68, 2) → (T, 68, 2)."""
    return smooth(averaged(landmarks), GAUSSIAN)


def steadied(landmarks: np.ndarray) -> np.ndarray:
    """Landmarks as the other papers' networks learn them: part of the trembling goes, and lips and lids move as they did.

    None of those papers says that it smooths. (T, 68, 2) → float32 (T, 68, 2).
    """
    return smooth(landmarks, SHAPE_PRESERVING).astype(np.float32)


def bridge_gaps(landmarks: np.ndarray, has_face: np.ndarray) -> np.ndarray:
    """Fill frames without a face by linear interpolation over time, and by the nearest face at the ends.

    landmarks (T, 68, 2), has_face (T,) bool with at least one True.
    """
    frames = np.arange(len(landmarks))
    tracks = landmarks.reshape(len(landmarks), -1)
    filled = np.stack([np.interp(frames, frames[has_face], track[has_face]) for track in tracks.T], axis=1)
    return filled.reshape(landmarks.shape)
