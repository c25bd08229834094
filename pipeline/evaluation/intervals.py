"""Bootstrap intervals and tests over clips; where these show several people, over people and their clips.

Clips of one person resemble each other: were clips alone drawn again, ten of one person would count as ten people, and an
interval would be too narrow for people at large.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, stdtr, stdtrit

LEVEL = 0.05  # of tests; intervals hold 1 − LEVEL


class Draws(NamedTuple):
    """Clips drawn again. counts: how often each clip is in each draw, int (samples, clips). units: how many people were drawn
    from, or, where all show one person, how many clips."""

    counts: np.ndarray
    units: int


def draw(people: Sequence, samples: int, seed: int) -> Draws:
    """Draw clips again with replacement, by whom each shows: people first, then as many clips of each as there are.

    A person that is drawn twice has its clips drawn twice (Davison & Hinkley 1997, §3.8). The same people, samples and seed
    give the same draws: differences of two figures are paired.
    """
    return _drawn(tuple(map(str, people)), samples, seed)


# Metrics, systems and their differences ask for the same again and again.
@lru_cache(maxsize=16)
def _drawn(people: tuple[str, ...], samples: int, seed: int) -> Draws:
    rng = np.random.default_rng(seed)
    _, of = np.unique(people, return_inverse=True)
    n_people = of.max() + 1
    times = rng.multinomial(n_people, np.full(n_people, 1 / n_people), samples)
    counts = np.zeros((samples, len(of)), int)
    for k in range(n_people):
        clips = np.flatnonzero(of == k)
        counts[:, clips] = rng.multinomial(times[:, k] * len(clips), np.full(len(clips), 1 / len(clips)))
    return Draws(counts, n_people if n_people > 1 else len(of))


def bootstrap_interval(
    values: np.ndarray, samples: int = 2000, seed: int = 0, people: Sequence | None = None
) -> tuple[float, float]:
    """95 % interval of the mean of values (n,), one per clip; people: whom each shows, by default one.

    NaN are left out. Returns (low, high); NaN with fewer than two values.
    """
    values = np.asarray(values, np.float64)
    known = ~np.isnan(values)
    if known.sum() < 2:
        return float("nan"), float("nan")
    drawn = draw(np.zeros(known.sum()) if people is None else np.asarray(people)[known], samples, seed)
    return percentile_interval(resampled_means(values[known], drawn), drawn.units)


def resampled_means(values: np.ndarray, drawn: Draws) -> np.ndarray:
    """The mean of values (clips,) in each draw: (samples,). NaN are left out of each, and a draw of nothing else is NaN."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return (drawn.counts @ np.where(known, values, 0)) / (drawn.counts @ known)


def percentile_interval(resampled: np.ndarray, units: int) -> tuple[float, float]:
    """The 95 % interval of a figure from its values in draws of so many units: (low, high), NaN left out, NaN where all are.

    Between the percentiles that give a mean's interval the length of Student's: plain ones are too near each other where units
    are few (Hesterberg 2015, "What Teachers Should Know About the Bootstrap", §4.1: expanded percentiles).
    """
    resampled = resampled[~np.isnan(resampled)]
    if not len(resampled) or units < 2:
        return float("nan"), float("nan")
    tail = ndtr(np.sqrt(units / (units - 1)) * stdtrit(units - 1, LEVEL / 2))
    low, high = np.percentile(resampled, [100 * tail, 100 * (1 - tail)])
    return float(low), float(high)


def p_value(difference: float, resampled: np.ndarray, units: int) -> float:
    """Of a difference that is nought: two-sided, by Student's t of the difference over its deviation in draws of so many units.

    Of a mean over clips this is the paired t test. 1 where nothing can be told: fewer than two units, or no difference.
    """
    resampled = resampled[~np.isnan(resampled)]
    if units < 2 or len(resampled) < 2 or np.isnan(difference) or abs(difference) < 1e-12:
        return 1.0
    # A draw's deviation is that of the mean of `units`, not of `units` − 1.
    error = resampled.std() * np.sqrt(units / (units - 1))
    return float(2 * stdtr(units - 1, -abs(difference) / max(error, 1e-300)))


def holm(p_values: Sequence[float]) -> np.ndarray:
    """p values adjusted for their number (Holm 1979): those up to LEVEL hold together, at an error of LEVEL for all of them."""
    p = np.asarray(p_values, float)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted
