"""How far apart two samples are as distributions."""

import math

import numpy as np
from scipy.stats import wasserstein_distance


def wasserstein(values: np.ndarray, others: np.ndarray) -> float:
    """Wasserstein-1 distance of two samples (n,), (m,), in their unit; NaN where either is empty.

    The area between their cumulative distributions: by how much values would have to be moved, on average, to be the others.
    """
    return float(wasserstein_distance(values, others)) if len(values) and len(others) else math.nan
