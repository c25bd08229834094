"""All metrics of a clip, and their means over clips.

Metrics are averaged over a clip's frames, then over clips. What is undefined for a clip (the mouth correlation of a still
face) is NaN in tables, `null` in files, and left out of means.
"""

import math
from importlib.metadata import version

import numpy as np
import pandas as pd

from pipeline.evaluation.image import LEAST_MSE, psnr, ssim
from pipeline.evaluation.intervals import bootstrap_interval
from pipeline.evaluation.landmark import BORDERS, LEAST_SCORE, detect_landmarks, eye_distance, landmark_distance
from pipeline.evaluation.sync import LEAST_PAIRS, REACH, mouth_correlation, mouth_lag
from pipeline.features.landmarks import mouth_opening

METRICS = ("psnr", "ssim", "lmd", "lmd_iod", "mouth_correlation", "mouth_lag", "no_face")


def evaluate_systems(
    truth: np.ndarray, generated: dict[str, np.ndarray], detection_size: int = 256
) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Metrics of one clip as every system generates it: rows with `system` and METRICS, and mouth openings (T,) by system.

    truth, generated[system]: uint8 (T, S, S, 3).
    """
    landmarks = detect_landmarks(truth, detection_size)
    rows, openings = [], {}
    for system, frames in generated.items():
        found = landmarks if np.array_equal(frames, truth) else detect_landmarks(frames, detection_size)
        rows.append({"system": system, **evaluate_clip(truth, frames, landmarks, found, detection_size)})
        openings[system] = mouth_opening(found)
    return rows, openings


def evaluate_clip(
    truth: np.ndarray,
    generated: np.ndarray,
    truth_landmarks: np.ndarray | None = None,
    generated_landmarks: np.ndarray | None = None,
    detection_size: int = 256,
) -> dict[str, float]:
    """METRICS of one generated clip against the real one; NaN where a metric is undefined.

    truth, generated: uint8 (T, S, S, 3); landmarks: (T, 68, 2) in crop pixels as by `detect_landmarks`, NaN where no face was
    found; they are detected here unless given. One frame more on either side is cut off. Raises ValueError where lengths
    differ by more, or sizes differ: a clip is never warped.
    """
    n = min(len(truth), len(generated))
    if abs(len(truth) - len(generated)) > 1 or n == 0 or truth.shape[1:] != generated.shape[1:]:
        raise ValueError(f"the real clip is {truth.shape}, the generated one {generated.shape}")
    truth, generated = truth[:n], generated[:n]
    real = detect_landmarks(truth, detection_size) if truth_landmarks is None else truth_landmarks[:n]
    found = detect_landmarks(generated, detection_size) if generated_landmarks is None else generated_landmarks[:n]
    lmd = landmark_distance(real, found)
    lmd = float(lmd[~np.isnan(lmd)].mean()) if not np.isnan(lmd).all() else math.nan
    openings = mouth_opening(real), mouth_opening(found)
    return {
        "psnr": float(psnr(truth, generated).mean()),
        "ssim": float(ssim(truth, generated).mean()),
        "lmd": lmd,
        "lmd_iod": lmd / eye_distance(real),
        "mouth_correlation": mouth_correlation(*openings),
        "mouth_lag": mouth_lag(*openings),
        "no_face": float(np.isnan(found[:, 0, 0]).mean()),
    }


def summarise(table: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """{system: {metric: mean over the clips that have a value}}, six significant digits; None where no clip has one.

    table: one row per clip and system, with the columns `system` and METRICS. Systems stand in the table's order.
    """
    return {
        system: {metric: _rounded(rows[metric].mean()) for metric in METRICS}
        for system, rows in table.groupby("system", sort=False)
    }


def counts(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    """{system: {metric: number of clips that have a value}}: means of unequal counts are not over the same clips."""
    return {
        system: {metric: int(rows[metric].count()) for metric in METRICS}
        for system, rows in table.groupby("system", sort=False)
    }


def intervals(table: pd.DataFrame, seed: int, samples: int = 2000) -> dict[str, dict[str, list[float] | None]]:
    """{system: {metric: [low, high]}}: 95 % bootstrap intervals over clips; None where there are too few.

    Every system is resampled by the same draws of clips where none lacks a value.
    """
    result = {}
    for system, rows in table.groupby("system", sort=False):
        bounds = {metric: bootstrap_interval(rows[metric], samples, seed) for metric in METRICS}
        result[system] = {
            m: None if math.isnan(low) else [_rounded(low), _rounded(high)] for m, (low, high) in bounds.items()
        }
    return result


def signature(image_size: int, detection_size: int) -> dict[str, str]:
    """All that changes the figures, in words: they mean nothing without it."""
    borders = " or ".join(f"{share:g}" for share in BORDERS)
    packages = ("dlib-bin", "numpy", "opencv-python-headless", "scikit-image")
    return {
        "crop": f"{image_size} px, RGB, uint8",
        "psnr": f"dB, MSE of pixels and channels, at least {LEAST_MSE:.4f}",
        "ssim": "Gaussian 11×11, σ 1.5, population variance, data range 255, mean of channels",
        "detector": f"dlib HOG above {LEAST_SCORE}, 68 points, at {detection_size} px, within a border of {borders}",
        "lmd": "points 48–67, moved to their mean, mean of points, px of the crop",
        "lmd_iod": "lmd / median distance of the real eyes' centres",
        "mouth": f"inner lips / eye distance, Pearson over at least {LEAST_PAIRS} frames; lag within ±{REACH} frames",
        "no_face": "share of generated frames in which the detector finds none",
        "mean": "frames, then clips that have a value",
        "interval": "95 % percentile bootstrap of the mean over clips",
        "versions": ", ".join(f"{package} {version(package)}" for package in packages),
    }


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else float(f"{value:.6g}")
