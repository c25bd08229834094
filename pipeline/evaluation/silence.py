"""Does the mouth keep still while nobody speaks (Chen S. 2021, §4.4 and Fig. 8)?

The paper shows pictures. Measured are how much the mouth opens and shuts, and how far it is from the photo's: a mouth that is
shut at once and stays so is still as well, but is not the photo's. Beside them stands what the same photos do in speech.
"""

import math

import numpy as np
import pandas as pd

from pipeline.evaluation.landmark import landmark_distance
from pipeline.features.landmarks import mouth_opening

METRICS = ("silence_motion", "silence_lmd", "speech_motion", "speech_lmd")


def mouth_motion(landmarks: np.ndarray) -> float:
    """Standard deviation over time of the mouth's opening in eye distances: (T, 68, 2) → ≥ 0; NaN without a face."""
    opening = mouth_opening(landmarks)
    opening = opening[~np.isnan(opening)]
    return float(opening.std()) if len(opening) else math.nan


def distance_from_photo(landmarks: np.ndarray, photo: np.ndarray) -> float:
    """Mean landmark distance of the mouth from the photo's: (T, 68, 2), (68, 2) → pixels; NaN without a face."""
    distances = landmark_distance(np.broadcast_to(photo, landmarks.shape), landmarks)
    distances = distances[~np.isnan(distances)]
    return float(distances.mean()) if len(distances) else math.nan


def compare_silence(photo: np.ndarray, silent: np.ndarray | None, spoken: np.ndarray) -> dict[str, float]:
    """METRICS of one photo: its landmarks (68, 2), those of its clip in silence (or None) and in speech, (T, 68, 2) each."""
    metrics = dict.fromkeys(METRICS, math.nan)
    for name, landmarks in (("silence", silent), ("speech", spoken)):
        if landmarks is not None:
            metrics[f"{name}_motion"] = mouth_motion(landmarks)
            metrics[f"{name}_lmd"] = distance_from_photo(landmarks, photo)
    return metrics


def summarise_silence(table: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """{system: {metric: mean over photos}}, from one row per photo and system; None where no photo has a value."""
    means = table.groupby("system", sort=False)[list(METRICS)].mean()
    return {
        system: {metric: None if math.isnan(value) else float(f"{value:.6g}") for metric, value in row.items()}
        for system, row in means.iterrows()
    }
