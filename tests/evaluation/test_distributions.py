import numpy as np
import pytest

from pipeline.evaluation.distributions import wasserstein


def test_a_shift_is_its_own_distance():
    values = np.random.default_rng(0).gamma(2, 0.1, 30)
    assert wasserstein(values, values[::-1] + 0.04) == pytest.approx(0.04)
    assert wasserstein(values, values) == 0


def test_it_is_the_area_between_the_cumulative_distributions():
    """Of samples of unequal size: half of {0, 1} has to go from 1 to 0."""
    assert wasserstein(np.array([0.0, 1.0]), np.array([0.0])) == pytest.approx(0.5)
    one, other = (np.random.default_rng(seed).normal(seed, 1, 40 + seed) for seed in (1, 2))
    grid = np.linspace(-5, 8, 200_001)
    cumulative = [np.searchsorted(np.sort(v), grid) / len(v) for v in (one, other)]
    assert wasserstein(one, other) == pytest.approx(np.abs(np.subtract(*cumulative)).sum() * 13 / 200_000, rel=1e-3)


def test_of_nothing_it_is_not_nought():
    assert np.isnan(wasserstein(np.array([]), np.array([1.0]))) and np.isnan(wasserstein(np.array([1.0]), np.array([])))
