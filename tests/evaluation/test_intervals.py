import numpy as np
import pytest
from scipy.stats import binom, norm, t, ttest_1samp

from pipeline.evaluation.intervals import bootstrap_interval, draw, holm, p_value, resampled_means


def test_interval_agrees_with_normal_theory():
    values = np.random.default_rng(1).normal(3, 2, 400)
    low, high = bootstrap_interval(values, samples=4000, seed=0)
    half = 1.96 * values.std() / np.sqrt(400)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.03)


def test_interval_of_zeros_and_ones_is_binomial():
    """12 of 30 ones: a resample's sum is Binomial(30, 0.4), whose quantiles are known; how far out, Student's t says."""
    values = np.repeat([1.0, 0.0], [12, 18])
    tail = norm.cdf(np.sqrt(30 / 29) * t.ppf(0.025, 29))
    assert 0.015 < tail < 0.02
    expected = binom.ppf([tail, 1 - tail], 30, 0.4) / 30
    assert bootstrap_interval(values, samples=20_000, seed=0) == pytest.approx(expected)


def test_the_seed_decides():
    values = np.random.default_rng(3).normal(size=30)
    assert (
        bootstrap_interval(values, 200, 0) == bootstrap_interval(values, 200, 0) != bootstrap_interval(values, 200, 1)
    )


@pytest.mark.parametrize(("n", "least"), [(5, 0.90), (10, 0.92), (40, 0.92)])
def test_it_covers_the_mean_as_often_as_it_says(n, least):
    """Of five clips no bootstrap reaches beyond the five; plain percentiles would cover the mean in 83 %."""
    rng = np.random.default_rng(2)
    hits = 0
    for k in range(400):
        low, high = bootstrap_interval(rng.normal(0, 1, n), samples=500, seed=k)
        hits += low <= 0 <= high
    assert least <= hits / 400 <= 0.98


def test_it_covers_the_mean_of_all_people_where_clips_show_some():
    """Eight people of six clips each, who differ more than clips do: over clips alone the interval is far too narrow."""
    rng, people = np.random.default_rng(4), np.repeat([f"s{k}" for k in range(8)], 6)
    hits = {"clips": 0, "people": 0}
    for k in range(400):
        values = np.repeat(rng.normal(0, 1, 8), 6) + rng.normal(0, 0.7, 48)
        for name, whom in (("clips", None), ("people", people)):
            low, high = bootstrap_interval(values, 300, k, whom)
            hits[name] += low <= 0 <= high
    assert hits["clips"] / 400 < 0.75 and 0.92 <= hits["people"] / 400 <= 0.985


def test_people_are_drawn_first_and_then_their_clips():
    people = np.array(["a", "b", "b", "b", "a", "c"])
    drawn = draw(people, 3000, seed=0)
    of_people = np.stack([drawn.counts[:, people == who].sum(axis=1) for who in "abc"], axis=1)
    times = of_people / [2, 3, 1]
    assert drawn.units == 3 and (times == times.astype(int)).all() and (times.sum(axis=1) == 3).all()
    assert times.mean(axis=0) == pytest.approx([1, 1, 1], abs=0.06)
    assert (drawn.counts[:, 1] != drawn.counts[:, 2]).mean() > 0.3  # a person's clips are drawn again as well
    alone = draw(["a"] * 5, 200, seed=0)
    assert alone.units == 5 and (alone.counts.sum(axis=1) == 5).all()


def test_of_a_mean_the_p_value_is_that_of_the_paired_t_test():
    values = np.random.default_rng(7).normal(0.4, 1, 12)
    drawn = draw(np.zeros(12), 20_000, seed=0)
    found = p_value(values.mean(), resampled_means(values, drawn), drawn.units)
    assert found == pytest.approx(ttest_1samp(values, 0).pvalue, rel=0.05)
    assert p_value(0.0, np.zeros(9), 12) == p_value(1.0, np.ones(9), 1) == 1
    assert p_value(1.0, np.ones(9), 2) == 0  # the same in every draw


def test_holm_by_hand():
    """0.005 · 4, 0.01 · 3, 0.03 · 2, 0.04 · 1; none below the one before it."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.6]) == pytest.approx([1, 1]) and not len(holm([]))


def test_missing_values_are_left_out_and_too_few_give_nothing():
    assert bootstrap_interval(np.array([1.0, np.nan, 1.0]), 100, 0) == (1.0, 1.0)
    assert np.isnan(bootstrap_interval(np.array([1.0, np.nan]), 100, 0)).all()
