"""The figures of a group of clips as a table: means with their intervals, and which differences between systems are real.

All figures of a group are resampled by the same draws of its people and clips: whether two differ is told by their difference
in these (a paired bootstrap). A column asks it of many systems at once, so that its p values are adjusted for their number
(Holm): for the comparisons with the still photo, and for all pairs where the best is sought.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple

import numpy as np

from pipeline.evaluation.action_units import resampled_scores
from pipeline.evaluation.evaluate import MEDIANS, mean_known, pooled_metrics
from pipeline.evaluation.intervals import (
    LEVEL,
    Draws,
    draw,
    holm,
    p_value,
    percentile_interval,
    resampled_means,
)
from pipeline.report.definitions import METRICS, Metric
from pipeline.report.run import Row, Run

# Of a figure by how it differs from the still photo's: for the better, the worse, or not for sure.
SIGNS = {1: " ▲", -1: " ▼", 0: ""}


class Column(NamedTuple):
    """of_size: whether figures of crops of different sizes say nothing of each other. still: what a still photo has, where it
    is not measured; None = it is."""

    metric: Metric
    of_size: bool = False
    still: float | None = None


# Those of a table of any run; and those that a paper has instead of them.
USUAL = {
    "psnr": Column(METRICS["psnr"], of_size=True),
    "ssim": Column(METRICS["ssim"], of_size=True),
    "cpbd": Column(METRICS["cpbd"], of_size=True),
    "lpips": Column(METRICS["lpips"], of_size=True),
    "lmd": Column(METRICS["lmd"], of_size=True),
    "lmd_share": Column(Metric("LMD, % of static's", -1, 0, "The still photo's is 100."), still=100),
    "lmd_iod": Column(METRICS["lmd_iod"]),
    # A mouth that does not move follows nothing.
    "mouth_correlation": Column(METRICS["mouth_correlation"], still=0),
    "mouth_lag": Column(METRICS["mouth_lag"]),
    "sync_offset": Column(METRICS["sync_offset"]),
    "sync_confidence": Column(METRICS["sync_confidence"]),
    "identity": Column(METRICS["identity"], still=np.nan),  # static is the photo
    "au_f1": Column(METRICS["au_f1"]),
    "blink_rate": Column(METRICS["blink_rate"]),
}
COLUMNS = USUAL | {key: Column(METRICS[key]) for key in ("nlmd", "au_accuracy", "blink_duration", "blink_interval")}


@dataclass(frozen=True)
class Sample:
    """How the clips of a group are drawn again. people: whom each shows, (n,). Without some of them: `those`."""

    people: np.ndarray
    samples: int
    seed: int

    def those(self, known: np.ndarray) -> Draws:
        """Draws of the clips that are known, bool (n,): (samples, n known)."""
        return draw(self.people[known], self.samples, self.seed)


@dataclass(frozen=True)
class Figure:
    """A value; the same of clips drawn again, (samples,), NaN where it has no interval; from how many units (see `Draws`).

    by_clip: (n,), whose mean it is, NaN where a clip has none, and how these are drawn; None where it is no mean.
    """

    value: float = np.nan
    resampled: np.ndarray = field(default_factory=lambda: np.array([np.nan]))
    units: int = 0
    by_clip: np.ndarray | None = None
    sample: Sample | None = None

    @property
    def interval(self) -> tuple[float, float]:
        return percentile_interval(self.resampled, self.units)


def table(run: Run, clips: list[str], keys: Iterable[str] = USUAL) -> list[dict[str, str]]:
    """The rows of a group's table, {column's label: text}; columns that are empty for all rows are left out.

    keys: of COLUMNS, in the table's order.
    """
    figures = {row: row_figures(run, row, clips) for row in run.rows}
    shown = [key for key in keys if any(not np.isnan(of_row[key].value) for of_row in figures.values())]
    columns = {key: column(key, run, {row: of_row[key] for row, of_row in figures.items()}) for key in shown}
    return [
        {"system": name_of(run, row)} | {COLUMNS[key].metric.heading: columns[key][row] for key in shown}
        for row in run.rows
    ]


def breakdown(run: Run, clips: list[str], by: str, key: str) -> list[dict[str, str]]:
    """One of COLUMNS, a column for each value of `by` (subject, sentence, emotion) among the clips: rows as of `table`."""
    values = run.clips.loc[clips, by]
    columns = {
        f"{value} ({len(those)})": column(key, run, {row: row_figures(run, row, list(those))[key] for row in run.rows})
        for value, those in values.groupby(values).groups.items()
    }
    return [{"system": name_of(run, row)} | {title: cells[row] for title, cells in columns.items()} for row in run.rows]


def name_of(run: Run, row: Row) -> str:
    """A row's name in a table, with its faces where the run has several."""
    several = len({other.faces for other in run.rows}) > 1
    return f"`{row.of}`{f' ({row.faces})' if several else ''}"


def row_figures(run: Run, row: Row, clips: list[str]) -> dict[str, Figure]:
    """A Figure for each of COLUMNS, of those clips."""
    people = run.clips.loc[clips, "subject"].to_numpy(str)
    sample = Sample(people, run.value("evaluation.bootstrap_samples"), run.value("seed"))
    figures = dict.fromkeys(COLUMNS, Figure())
    for key in figures.keys() & set(run.metrics):
        values = values_of(run, row, key, clips)
        figures[key] = median_figure(values) if key in MEDIANS else mean_figure(values, sample)
    if static := run.static_of(row):
        ours, still = (values_of(run, of, "lmd", clips) for of in (row, static))
        figures["lmd_share"] = share_figure(ours, still, sample)
    if not run.measured:
        return figures
    found = [run.measured[row.name][clip] for clip in clips]
    pooled = {key: value for key, value in pooled_metrics(found, run.value("corpus.fps")).items() if value is not None}
    if "au_f1" in pooled:
        drawn = sample.those(np.full(len(clips), True))
        scores = resampled_scores([clip.action_units for clip in found], drawn)
        figures |= {
            f"au_{key}": Figure(pooled[f"au_{key}"], scores[f"mean_{key}"], drawn.units) for key in ("f1", "accuracy")
        }
    # Too few for an interval.
    figures |= {key: Figure(pooled.get(key, np.nan)) for key in COLUMNS if key.startswith("blink_")}
    return figures


def values_of(run: Run, row: Row, metric: str, clips: list[str]) -> np.ndarray:
    """A metric of a row, one value per clip; NaN where a clip has none."""
    return run.metrics.loc[row.name].reindex(clips)[metric].to_numpy(float)


def mean_figure(values: np.ndarray, sample: Sample) -> Figure:
    """The mean of values (n,), one per clip, NaN left out; without an interval where fewer than two have one."""
    known = ~np.isnan(values)
    if known.sum() < 2:
        return Figure(mean_known(values))
    drawn = sample.those(known)
    return Figure(mean_known(values), resampled_means(values[known], drawn), drawn.units, values, sample)


def median_figure(values: np.ndarray) -> Figure:
    """The median of values (n,), one per clip, NaN left out; it has no interval."""
    known = values[~np.isnan(values)]
    return Figure(float(np.median(known))) if len(known) else Figure()


def share_figure(values: np.ndarray, still: np.ndarray, sample: Sample) -> Figure:
    """The mean of values (n,), per cent of the still photo's, over the clips that have both."""
    both = ~np.isnan(values + still)
    ours, theirs = (mean_figure(np.where(both, of_clips, np.nan), sample) for of_clips in (values, still))
    if not theirs.value > 0:
        return Figure()
    with np.errstate(invalid="ignore", divide="ignore"):
        share, resampled = (100 * a / b for a, b in ((ours.value, theirs.value), (ours.resampled, theirs.resampled)))
    return Figure(share, resampled, ours.units)


def column(key: str, run: Run, figures: dict[Row, Figure]) -> dict[Row, str]:
    """A column's cells: values, intervals, and what differs from the still photo, and from the best."""
    signs, best = against_static(key, run, figures), best_of(key, figures)
    return {row: cell(key, figure, signs.get(row, 0), row in best) for row, figure in figures.items()}


def signs(run: Run, clips: list[str]) -> dict[str, dict[str, int]]:
    """How every system differs from the still photo of its faces: row's name → key → as of `signs_of`.

    Of those of USUAL that have a better and that say something of a still photo.
    """
    keys = [key for key, c in USUAL.items() if c.metric.better and not (c.still is not None and np.isnan(c.still))]
    figures = {row: row_figures(run, row, clips) for row in run.rows}
    by_key = {key: against_static(key, run, {row: of_row[key] for row, of_row in figures.items()}) for key in keys}
    return {row.name: {key: by_key[key].get(row, 0) for key in keys} for row in figures if not row.is_reference}


def against_static(key: str, run: Run, figures: dict[Row, Figure]) -> dict[Row, int]:
    """How a column's systems differ from the still photo, all of them together; without those that cannot be compared."""
    pairs = {row: (figure, still_of(key, run, row, figures)) for row, figure in figures.items() if not row.is_reference}
    known = {row: pair for row, pair in pairs.items() if not any(np.isnan(figure.value) for figure in pair)}
    return dict(zip(known, signs_of(key, known.values()), strict=True))


def still_of(key: str, run: Run, row: Row, figures: dict[Row, Figure]) -> Figure:
    """What a row's figure is compared with: that of the still photo of its faces."""
    if (still := COLUMNS[key].still) is not None:
        return Figure(still, np.full_like(figures[row].resampled, still), figures[row].units)
    return figures.get(run.static_of(row), Figure())


def best_of(key: str, figures: dict[Row, Figure]) -> set[Row]:
    """The speech-driven system with a column's best figure, and those that cannot be told from it; none where that is all."""
    speaking = {row: f for row, f in figures.items() if row.is_speech_driven and not np.isnan(f.value)}
    mixed = COLUMNS[key].of_size and len({row.faces for row in speaking}) > 1
    if not COLUMNS[key].metric.better or mixed or not speaking:
        return set()
    best = max(speaking, key=lambda row: COLUMNS[key].metric.better * speaking[row].value)
    # Which is best the same clips tell: all pairs count, as any of them could have been asked for.
    pairs = list(combinations(speaking, 2))
    signs = signs_of(key, [(speaking[one], speaking[other]) for one, other in pairs])
    told = {row for pair, sign in zip(pairs, signs, strict=True) if sign and best in pair for row in pair}
    alike = {best, *(speaking.keys() - told)}
    return alike if alike != speaking.keys() else set()


def signs_of(key: str, pairs: Iterable[tuple[Figure, Figure]]) -> list[int]:
    """Of all pairs together: 1 where the first figure is better, −1 where it is worse, 0 where the clips cannot tell."""
    found = [difference(one, other) for one, other in pairs]
    adjusted = holm([p for _, p in found])
    better = COLUMNS[key].metric.better
    return [better * int(np.sign(by)) * int(p <= LEVEL) for (by, _), p in zip(found, adjusted, strict=True)]


def difference(one: Figure, other: Figure) -> tuple[float, float]:
    """By how much a figure is above another, and the p value of that (see `p_value`).

    Means are compared over the clips that both have: a system that shows no face in a hard clip gains nothing by it.
    """
    if one.by_clip is not None and other.by_clip is not None:
        found = mean_figure(one.by_clip - other.by_clip, one.sample)
        return found.value, p_value(found.value, found.resampled, found.units)
    by = one.value - other.value
    return by, p_value(by, one.resampled - other.resampled, min(one.units, other.units))


def cell(key: str, figure: Figure, sign: int, is_best: bool) -> str:
    """A figure as the page shows it."""
    digits = COLUMNS[key].metric.digits
    if np.isnan(figure.value):
        return "–"
    value, (low, high) = number(figure.value, digits), figure.interval
    limits = "" if np.isnan(low) else f" [{number(low, digits)}, {number(high, digits)}]"
    return f"{f'**{value}**' if is_best else value}{limits}{SIGNS[sign]}"


def number(value: float, digits: int) -> str:
    """Nought has no sign."""
    return f"{round(value, digits) + 0.0:.{digits}f}"
