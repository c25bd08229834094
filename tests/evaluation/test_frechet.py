import numpy as np
import pytest
from scipy.linalg import sqrtm

from pipeline.evaluation.frechet import frechet_distance

RNG = np.random.default_rng(0)


def samples(mean, covariance, n=50):
    """Of exactly that mean and covariance."""
    x = RNG.normal(size=(n, len(mean)))
    x -= x.mean(axis=0)
    white = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T
    return white @ np.linalg.cholesky(covariance).T + mean


ZERO = np.zeros(4)


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ((ZERO, np.eye(4)), ([1, 2, 2, 0], np.eye(4)), 9),  # 1 + 4 + 4
        ((ZERO, np.eye(4)), (ZERO, 4 * np.eye(4)), 4),  # 4 · (2 − 1)²
        ((ZERO[:2], np.diag([1, 9])), (ZERO[:2], np.diag([4, 1])), 5),  # (2 − 1)² + (3 − 1)²
    ],
)
def test_the_distance_of_known_distributions(one, other, distance):
    assert frechet_distance(samples(*one), samples(*other)) == pytest.approx(distance, abs=1e-9)


@pytest.mark.parametrize("n", [3, 30])  # fewer than dimensions, and more
def test_equal_sets_are_not_apart(n):
    x = RNG.normal(size=(n, 8))
    assert frechet_distance(x, x[::-1]) < 1e-9


def test_covariances_that_do_not_commute_have_the_root_that_scipy_takes():
    one, other = RNG.normal(size=(60, 5)) @ RNG.normal(size=(5, 5)), RNG.normal(size=(40, 5)) @ RNG.normal(size=(5, 5))
    covariances = np.cov(one.T), np.cov(other.T)
    root = sqrtm(covariances[0] @ covariances[1]).real
    mean = np.square(one.mean(axis=0) - other.mean(axis=0)).sum()
    expected = mean + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-9)


def test_a_turn_changes_nothing():
    one, other = RNG.normal(size=(20, 6)), RNG.normal(1, 2, size=(25, 6))
    turn = np.linalg.qr(RNG.normal(size=(6, 6)))[0]
    assert frechet_distance(one @ turn, other @ turn) == pytest.approx(frechet_distance(one, other))


def test_few_samples_of_one_distribution_seem_apart_as_one_over_n():
    """N(0, I) in 64 dimensions on both sides: about 22.1 at n = 100, 2.21 at n = 1000."""
    few, many = (frechet_distance(RNG.normal(size=(n, 64)), RNG.normal(size=(n, 64))) for n in (100, 1000))
    assert few == pytest.approx(22.1, rel=0.1) and many == pytest.approx(2.21, rel=0.1)


def test_features_of_single_precision_lose_nothing():
    x = (1000 + RNG.normal(size=(40, 3))).astype(np.float32)
    assert frechet_distance(x, x + np.float32(1)) == pytest.approx(3, rel=1e-3)
