"""F1 and accuracy of action units against the real clip's (Chen S. 2021, §4.2 and Table 4).

Counts are kept per clip and summed over clips before F1 is taken: in a clip where an action unit never occurs its F1 is
undefined, and a mean over the clips that have one would be of other clips for every system. Both sides must come from one
backend. Frames that are missing on either side do not count.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.evaluation.intervals import Draws, draw, percentile_interval
from pipeline.features.action_units.units import AUS, ActionUnits

SPEECH_AUS = tuple(au for au in AUS if au != 45)  # the five of the paper; the blink is counted beside them
MEANS = ("mean_f1", "mean_accuracy")


class Counts(NamedTuple):
    """Frames by truth and prediction, each int (6,) as in AUS; counts of several clips are added with `pooled`."""

    true_positives: np.ndarray
    false_positives: np.ndarray
    false_negatives: np.ndarray
    true_negatives: np.ndarray


class Scores(NamedTuple):
    """By action unit; NaN, and named in `absent`, where it occurs in no real frame. Means are over the others of the five."""

    f1: dict[int, float]
    accuracy: dict[int, float]
    mean_f1: float
    mean_accuracy: float
    absent: tuple[int, ...]
    n_frames: int


def count(truth: ActionUnits, generated: ActionUnits) -> Counts:
    """Counts of one clip; one frame more on either side is cut off. Raises ValueError where lengths differ by more."""
    n = min(len(truth.presence), len(generated.presence))
    if abs(len(truth.presence) - len(generated.presence)) > 1:
        raise ValueError(f"the real clip has {len(truth.presence)} frames, the generated one {len(generated.presence)}")
    both = ~(truth.missing[:n] | generated.missing[:n])
    real, found = (units.presence[:n][both].astype(bool) for units in (truth, generated))
    return Counts(
        *(table.sum(axis=0) for table in (real & found, ~real & found, real & ~found, ~real & ~found)),
    )


def pooled(counts: list[Counts]) -> Counts:
    """The sum over clips; of none, zeros."""
    if not counts:
        return Counts(*np.zeros((4, len(AUS)), int))
    return Counts(*(np.sum(column, axis=0) for column in zip(*counts, strict=True)))


def score(counts: Counts) -> Scores:
    """F1 = 2TP / (2TP + FP + FN) and accuracy = (TP + TN) / n, each 0 … 1, from pooled counts.

    An action unit that never occurs has no F1, and its accuracy says only how often it was not invented: both are NaN.
    """
    f1, accuracy, occurs = _rates(*counts)
    return Scores(
        dict(zip(AUS, f1.tolist(), strict=True)),
        dict(zip(AUS, accuracy.tolist(), strict=True)),
        float(_mean_judged(f1, occurs)),
        float(_mean_judged(accuracy, occurs)),
        tuple(au for au, there in zip(AUS, occurs, strict=True) if not there),
        int(sum(column[0] for column in counts)),
    )


def _rates(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, tn: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """F1, accuracy, and whether the action unit occurs, from counts (…, 6) each."""
    occurs = tp + fn > 0
    with np.errstate(invalid="ignore"):
        f1 = np.where(occurs, 2 * tp / (2 * tp + fp + fn), math.nan)
        accuracy = np.where(occurs, (tp + tn) / (tp + fp + fn + tn), math.nan)
    return f1, accuracy, occurs


def _mean_judged(rates: np.ndarray, occurs: np.ndarray) -> np.ndarray:
    """Means of rates (…, 6) over those of the five that occur: (…); NaN where none does."""
    judged = occurs & np.isin(AUS, SPEECH_AUS)
    with np.errstate(invalid="ignore"):
        return np.where(judged, rates, 0).sum(axis=-1) / judged.sum(axis=-1)


def bootstrap_scores(
    counts: list[Counts], samples: int, seed: int, people: Sequence | None = None
) -> dict[str, tuple[float, float]]:
    """95 % intervals of `mean_f1` and `mean_accuracy`: clips are drawn again with replacement, then pooled.

    people: whom each clip shows, by default one. Draws in which none of the five occur are left out; NaN where all are, or for
    fewer than two clips.
    """
    drawn = draw(np.zeros(len(counts)) if people is None else people, samples, seed)
    return {mean: percentile_interval(values, drawn.units) for mean, values in resampled_scores(counts, drawn).items()}


def resampled_scores(counts: list[Counts], drawn: Draws) -> dict[str, np.ndarray]:
    """MEANS of the clips of each draw, pooled: (samples,) each; NaN where none of the five occurs in a draw."""
    resampled = np.einsum("sc,cku->sku", drawn.counts, np.array(counts))
    f1, accuracy, occurs = _rates(*resampled.swapaxes(0, 1))
    return {mean: _mean_judged(rate, occurs) for mean, rate in zip(MEANS, (f1, accuracy), strict=True)}
