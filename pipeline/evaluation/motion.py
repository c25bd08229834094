"""Metrics of a cascade's first half, before any texture: predicted landmarks against those of the real clip."""

import math

import numpy as np
import pandas as pd

from pipeline.errors import UserError
from pipeline.evaluation.landmark import eye_distance, landmark_distance
from pipeline.evaluation.sync import mouth_correlation
from pipeline.features.blinks import blink_statistics
from pipeline.features.landmarks import MOUTH, eye_aspect_ratio, mouth_opening


def velocity_error(truth: np.ndarray, predicted: np.ndarray) -> float:
    """How far the mouth's points are from moving as they should, mean over points and frames (T, 68, 2) → unit per frame.

    The distance of their displacements from one frame to the next; a face that is off its place, or does not move with a real
    one that is still, loses nothing. NaN for fewer than two frames.
    """
    difference = np.diff(predicted[:, MOUTH] - truth[:, MOUTH], axis=0)
    return float(np.linalg.norm(difference, axis=-1).mean()) if len(difference) else math.nan


def known(landmarks: np.ndarray, clip: str, system: str) -> np.ndarray:
    """The landmarks (T, 68, 2) of a clip. Raises UserError where one is no number: means would leave the clip out unseen."""
    broken = ~np.isfinite(landmarks).all(axis=(1, 2))
    if broken.any():
        raise UserError(
            f"{clip} by {system}: a landmark of frame {broken.argmax()} is no number; no figure is made of it"
        )
    return landmarks


def evaluate_motion(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Metrics of one clip's landmarks, (T, 68, 2) each in crop pixels."""
    eyes = eye_distance(truth)
    lmd = float(landmark_distance(truth, predicted).mean())
    return {
        "lmd": lmd,
        "lmd_iod": lmd / eyes,
        "velocity_iod": velocity_error(truth, predicted) / eyes,
        "mouth_correlation": mouth_correlation(mouth_opening(truth), mouth_opening(predicted)),
    }


def summarise_motion(
    truth: dict[str, np.ndarray], predicted: dict[str, np.ndarray], fps: float
) -> dict[str, float | None]:
    """{metric: mean over clips}, with blinks pooled over them. truth, predicted: clip → (T, 68, 2) in the same crops."""
    rows = pd.DataFrame([evaluate_motion(truth[clip], predicted[clip]) for clip in truth])
    blinks = blink_statistics([eye_aspect_ratio(predicted[clip]) for clip in truth], fps)
    figures = rows.mean().to_dict() | {f"blink_{name}": blinks[name] for name in ("rate", "duration", "interval")}
    return {name: None if math.isnan(value) else float(f"{value:.6g}") for name, value in figures.items()}
