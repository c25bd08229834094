"""How far two sets of features lie apart as distributions: the distance behind FID and FVD."""

import numpy as np


def frechet_distance(one: np.ndarray, other: np.ndarray) -> float:
    """The Fréchet distance of two normal distributions with the means and covariances of two sets of features (Heusel 2017).

    one, other: (n, d) and (m, d), of two rows at least. Returns ‖μ − ν‖² + Tr(Σ + Ω − 2(ΣΩ)^½), ≥ 0; covariances are the
    samples', divided by n − 1. Of two sets from one distribution it is not 0, but the greater, the fewer they are (as 1/n):
    only figures of equal n compare.

    With Σ = AᵀA and Ω = BᵀB the eigenvalues of (ΣΩ)^½ are the singular values of ABᵀ: no root of a matrix is taken, and
    covariances of fewer samples than dimensions are no special case.
    """
    a, b = map(_deviations, (one, other))
    mean = np.square(one.mean(axis=0, dtype=float) - other.mean(axis=0, dtype=float)).sum()
    common = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(max(0.0, mean + np.square(a).sum() + np.square(b).sum() - 2 * common))


def _deviations(features: np.ndarray) -> np.ndarray:
    """A matrix A of no more rows than d, of which AᵀA is the covariance of features (n, d)."""
    deviations = (features - features.mean(axis=0, dtype=float)) / np.sqrt(len(features) - 1)
    return np.linalg.qr(deviations, mode="r") if len(features) > features.shape[1] else deviations
