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
from pipeline.evaluation.landmark import detect_landmarks, eye_distance, landmark_distance
from pipeline.evaluation.sync import REACH, mouth_correlation, mouth_lag
from pipeline.features.landmarks import mouth_opening

METRICS = ("psnr", "ssim", "lmd", "lmd_iod", "mouth_correlation", "mouth_lag", "no_face")


def evaluate_systems(
    truth: np.ndarray, generated: dict[str, np.ndarray], detection_size: int
) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Metrics of one clip as every system generates it: rows with `system` and METRICS, and mouth openings (T,) by system.

    truth, generated[system]: uint8 (T, S, S, 3).
    """
    landmarks = detect_landmarks(truth, detection_size)
    rows, openings = [], {}
    for system, frames in generated.items():
        found = landmarks if np.array_equal(frames, truth) else detect_landmarks(frames, detection_size)
        rows.append({"system": system, **evaluate_clip(truth, frames, landmarks, found)})
        openings[system] = mouth_opening(found)
    return rows, openings


def evaluate_clip(
    truth: np.ndarray, generated: np.ndarray, truth_landmarks: np.ndarray, generated_landmarks: np.ndarray
) -> dict[str, float]:
    """METRICS of one generated clip against the real one.

    truth, generated: uint8 (T, S, S, 3); landmarks: (T, 68, 2) in crop pixels, NaN where no face was found.
    Raises ValueError where the lengths differ: a clip is never warped in time.
    """
    if truth.shape != generated.shape:
        raise ValueError(f"the real clip is {truth.shape}, the generated one {generated.shape}")
    lmd = landmark_distance(truth_landmarks, generated_landmarks)
    lmd = float(lmd[~np.isnan(lmd)].mean()) if not np.isnan(lmd).all() else math.nan
    openings = mouth_opening(truth_landmarks), mouth_opening(generated_landmarks)
    return {
        "psnr": float(psnr(truth, generated).mean()),
        "ssim": float(ssim(truth, generated).mean()),
        "lmd": lmd,
        "lmd_iod": lmd / eye_distance(truth_landmarks),
        "mouth_correlation": mouth_correlation(*openings),
        "mouth_lag": mouth_lag(*openings),
        "no_face": float(np.isnan(generated_landmarks[:, 0, 0]).mean()),
    }


def summarise(table: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """{system: {metric: mean over clips}}, six significant digits, in the table's order of systems."""
    return {
        system: {metric: _rounded(rows[metric].mean()) for metric in METRICS}
        for system, rows in table.groupby("system", sort=False)
    }


def intervals(table: pd.DataFrame, seed: int, samples: int) -> dict[str, dict[str, list[float] | None]]:
    """{system: {metric: [low, high]}}: 95 % bootstrap intervals over clips; None where there are too few."""
    result = {}
    for system, rows in table.groupby("system", sort=False):
        bounds = {metric: bootstrap_interval(rows[metric], samples, seed) for metric in METRICS}
        result[system] = {
            m: None if math.isnan(low) else [_rounded(low), _rounded(high)] for m, (low, high) in bounds.items()
        }
    return result


def signature(image_size: int, detection_size: int) -> dict[str, str]:
    """All that changes the figures, in words: they mean nothing without it."""
    return {
        "crop": f"{image_size} px, RGB",
        "psnr": f"mean of frames, MSE at least {LEAST_MSE:.4f}",
        "ssim": "Gaussian 11×11, σ 1.5, mean of channels",
        "lmd": f"points 48–67, moved to their mean, mean of points, px of the crop, detected at {detection_size} px",
        "lmd_iod": "lmd / median distance of the real eyes' centres",
        "mouth": f"inner lips / eye distance, Pearson; lag within ±{REACH} frames",
        "mean": "frames, then clips",
        "versions": ", ".join(f"{package} {version(package)}" for package in ("dlib-bin", "scikit-image", "numpy")),
    }


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else float(f"{value:.6g}")
