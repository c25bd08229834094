"""Bootstrap intervals over clips."""

import numpy as np


def bootstrap_interval(values: np.ndarray, samples: int = 2000, seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of the mean (Efron & Tibshirani 1993, §13.3): clips are drawn again with replacement.

    values: (n,), one per clip; NaN are left out. Returns (low, high); NaN with fewer than two values.
    """
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return float("nan"), float("nan")
    return percentile_interval(resampled_means(values, samples, seed))


def resampled_means(values: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """Means over clips that are drawn again with replacement: (n,), one value per clip → (samples,).

    For one seed and n the draws are the same, whatever the values: differences of two results are paired. NaN are left out of
    each mean, and a draw of nothing else is NaN.
    """
    values = np.asarray(values, np.float64)
    drawn = values[np.random.default_rng(seed).integers(len(values), size=(samples, len(values)))]
    known = ~np.isnan(drawn)
    with np.errstate(invalid="ignore"):
        return np.where(known, drawn, 0).sum(axis=1) / known.sum(axis=1)


def percentile_interval(resampled: np.ndarray) -> tuple[float, float]:
    """The 95 % between the ends of resampled figures, (low, high); NaN among them are left out, and NaN where all are."""
    resampled = resampled[~np.isnan(resampled)]
    if not len(resampled):
        return float("nan"), float("nan")
    low, high = np.percentile(resampled, [2.5, 97.5])
    return float(low), float(high)
