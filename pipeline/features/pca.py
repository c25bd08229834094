"""Principal components of landmarks: a few numbers a frame for what the audio can say (ATVGnet §2, Sinha 2020)."""

import numpy as np


def fit_pca(samples: np.ndarray, n: int | float) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean and leading principal components of `samples` (N, ...), each sample flattened to D numbers.

    n: the number of components (int), or the least share of the variance, above 0 and below 1, that they must hold (float).
    Returns the mean (D,), the orthonormal components (k, D), largest variance first, both float32, and the share of the
    variance that they hold. A component's sign is such that its largest loading is positive: the same samples give the same.
    """
    flat = np.asarray(samples, np.float64).reshape(len(samples), -1)
    mean = flat.mean(axis=0)
    # The right singular vectors by the (D, D) scatter matrix: samples are many, D is 136 for a face.
    variances, vectors = np.linalg.eigh((flat - mean).T @ (flat - mean))
    variances, components = np.clip(variances[::-1], 0, None), vectors.T[::-1]
    shares = np.cumsum(variances) / max(variances.sum(), np.finfo(float).tiny)
    k = n if isinstance(n, int) else 1 + int(np.searchsorted(shares, n))
    components = components[:k]
    largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
    return mean.astype(np.float32), (components * np.sign(largest)).astype(np.float32), float(shares[k - 1])
