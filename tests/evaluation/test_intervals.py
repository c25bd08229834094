import numpy as np
import pytest
from scipy.stats import binom

from pipeline.evaluation.intervals import bootstrap_interval


def test_interval_agrees_with_normal_theory():
    values = np.random.default_rng(1).normal(3, 2, 400)
    low, high = bootstrap_interval(values, samples=4000, seed=0)
    half = 1.96 * values.std() / np.sqrt(400)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.03)


def test_interval_of_zeros_and_ones_is_binomial():
    """12 of 30 ones: a resample's sum is Binomial(30, 0.4), so its quantiles are known."""
    values = np.repeat([1.0, 0.0], [12, 18])
    expected = binom.ppf([0.025, 0.975], 30, 0.4) / 30
    assert bootstrap_interval(values, samples=20_000, seed=0) == pytest.approx(expected)


def test_the_seed_decides():
    values = np.random.default_rng(3).normal(size=30)
    assert (
        bootstrap_interval(values, 200, 0) == bootstrap_interval(values, 200, 0) != bootstrap_interval(values, 200, 1)
    )


def test_it_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(2)
    hits = 0
    for k in range(300):
        low, high = bootstrap_interval(rng.normal(0, 1, 40), samples=500, seed=k)
        hits += low <= 0 <= high
    assert 0.90 <= hits / 300 <= 0.98


def test_missing_values_are_left_out_and_too_few_give_nothing():
    assert bootstrap_interval(np.array([1.0, np.nan, 1.0]), 100, 0) == (1.0, 1.0)
    assert np.isnan(bootstrap_interval(np.array([1.0, np.nan]), 100, 0)).all()
