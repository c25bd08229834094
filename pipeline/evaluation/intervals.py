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
    draws = np.random.default_rng(seed).integers(len(values), size=(samples, len(values)))
    low, high = np.percentile(values[draws].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)
