import numpy as np
import pytest

from pipeline.features.pca import fit_pca


def planted(n=400):
    """Points about (3, −1, 2, 0) along two known orthogonal directions, of standard deviation 2 and 1."""
    rng = np.random.default_rng(0)
    axes = np.array([[0.6, 0.8, 0, 0], [0, 0, -1, 0]])
    scores = rng.normal(size=(n, 2))
    scores -= scores.mean(axis=0)
    scores = np.linalg.svd(scores, full_matrices=False)[0] * np.sqrt(n) * [2, 1]  # exactly uncorrelated
    return np.array([3, -1, 2, 0]) + scores @ axes, axes


def test_planted_directions_are_found():
    samples, axes = planted()
    mean, components, share = fit_pca(samples, 1)
    np.testing.assert_allclose(mean, [3, -1, 2, 0], atol=1e-6)
    np.testing.assert_allclose(components, axes[:1], atol=1e-6)
    assert share == pytest.approx(4 / 5)


@pytest.mark.parametrize(("wanted", "k"), [(0.5, 1), (0.79, 1), (0.81, 2), (0.999, 2)])
def test_so_many_components_as_the_variance_needs(wanted, k):
    samples, _ = planted()
    _, components, share = fit_pca(samples, wanted)
    assert len(components) == k and share >= wanted


def test_largest_loadings_are_positive_and_components_orthonormal():
    samples, _ = planted()
    _, components, share = fit_pca(samples.reshape(-1, 2, 2), 2)
    np.testing.assert_allclose(components, [[0.6, 0.8, 0, 0], [0, 0, 1, 0]], atol=1e-6)
    assert share == pytest.approx(1)
