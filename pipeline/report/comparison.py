"""The figures of a group of clips as a table: means with their intervals, and which differences between systems are real.

All figures of a group are resampled by the same draws of its clips: two of them differ where the interval of their difference
leaves out nought (a paired bootstrap).
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pipeline.evaluation.action_units import resampled_scores
from pipeline.evaluation.evaluate import mean_known, pooled_metrics
from pipeline.evaluation.intervals import bootstrap_interval, percentile_interval, resampled_means
from pipeline.report.run import Row, Run

# Of a figure by how it differs from the still photo's: for the better, the worse, or not for sure.
SIGNS = {1: " ▲", -1: " ▼", 0: ""}


class Column(NamedTuple):
    """better: 1 where more is, −1 where less is, 0 where neither. digits: shown. of_size: whether figures of crops of
    different sizes say nothing of each other. still: what a still photo has, where it is not measured; None = it is."""

    label: str
    better: int
    digits: int
    of_size: bool = False
    still: float | None = None


COLUMNS = {
    "psnr": Column("PSNR (dB) ↑", 1, 2, of_size=True),
    "ssim": Column("SSIM ↑", 1, 3, of_size=True),
    "lmd": Column("LMD (px) ↓", -1, 3, of_size=True),
    "lmd_share": Column("LMD, % of static's ↓", -1, 0, still=100),
    "lmd_iod": Column("LMD / IOD ↓", -1, 4),
    # A mouth that does not move follows nothing.
    "mouth_correlation": Column("mouth correlation ↑", 1, 2, still=0),
    "mouth_lag": Column("lag (frames)", 0, 1),
    "identity": Column("identity ↑", 1, 3, still=np.nan),  # static is the photo
    "au_f1": Column("AU F1 ↑", 1, 2),
    "blink_rate": Column("blinks / s", 0, 2),
}


@dataclass(frozen=True)
class Figure:
    """A value; the same of clips drawn again, (samples,), NaN where it has no interval.

    by_clip: (n,), whose mean it is, NaN where a clip has none; None where it is no mean. seed: of the draws.
    """

    value: float = np.nan
    resampled: np.ndarray = field(default_factory=lambda: np.array([np.nan]))
    by_clip: np.ndarray | None = None
    seed: int = 0

    @property
    def interval(self) -> tuple[float, float]:
        return percentile_interval(self.resampled)


def table(run: Run, clips: list[str]) -> list[dict[str, str]]:
    """The rows of a group's table, {column's label: text}; columns that are empty for all rows are left out."""
    figures = {row: row_figures(run, row, clips) for row in run.rows}
    shown = [key for key in COLUMNS if any(not np.isnan(of_row[key].value) for of_row in figures.values())]
    best = {key: best_of(key, {row: of_row[key] for row, of_row in figures.items()}) for key in shown}
    several = len({row.faces for row in run.rows}) > 1
    rows = []
    for row, of_row in figures.items():
        name = f"`{row.of}`{f' ({row.faces})' if several else ''}"
        static = figures.get(run.static_of(row), {})
        cells = {COLUMNS[key].label: cell(key, row, of_row[key], static.get(key), best[key] == row) for key in shown}
        rows.append({"system": name} | cells)
    return rows


def row_figures(run: Run, row: Row, clips: list[str]) -> dict[str, Figure]:
    """A Figure for each of COLUMNS, of those clips."""
    samples, seed = run.value("evaluation.bootstrap_samples"), run.value("seed")
    figures = dict.fromkeys(COLUMNS, Figure())
    for key in figures.keys() & set(run.metrics):
        figures[key] = mean_figure(values_of(run, row, key, clips), samples, seed)
    if static := run.static_of(row):
        ours, still = (values_of(run, of, "lmd", clips) for of in (row, static))
        figures["lmd_share"] = share_figure(ours, still, samples, seed)
    if not run.measured:
        return figures
    found = [run.measured[row.name][clip] for clip in clips]
    pooled = {key: value for key, value in pooled_metrics(found, run.value("corpus.fps")).items() if value is not None}
    if "au_f1" in pooled:
        units = [clip.action_units for clip in found]
        scores = resampled_scores(units, samples, seed)["mean_f1"] if len(units) > 1 else np.array([np.nan])
        figures["au_f1"] = Figure(pooled["au_f1"], scores)
    # Too few for an interval.
    figures["blink_rate"] = Figure(pooled.get("blink_rate", np.nan))
    return figures


def values_of(run: Run, row: Row, metric: str, clips: list[str]) -> np.ndarray:
    """A metric of a row, one value per clip; NaN where a clip has none."""
    return run.metrics.loc[row.name].reindex(clips)[metric].to_numpy(float)


def mean_figure(values: np.ndarray, samples: int, seed: int) -> Figure:
    """The mean of values (n,), one per clip, NaN left out; without an interval where fewer than two have one."""
    if (~np.isnan(values)).sum() < 2:
        return Figure(mean_known(values))
    return Figure(mean_known(values), resampled_means(values, samples, seed), values, seed)


def share_figure(values: np.ndarray, still: np.ndarray, samples: int, seed: int) -> Figure:
    """The mean of values (n,), per cent of the still photo's, over the clips that have both."""
    both = ~np.isnan(values + still)
    ours, theirs = (mean_figure(np.where(both, of_clips, np.nan), samples, seed) for of_clips in (values, still))
    if not theirs.value > 0:
        return Figure()
    with np.errstate(invalid="ignore", divide="ignore"):
        return Figure(100 * ours.value / theirs.value, 100 * ours.resampled / theirs.resampled)


def best_of(key: str, figures: dict[Row, Figure]) -> Row | None:
    """The speech-driven system with the best figure in a column, if it differs from that of every other one."""
    column = COLUMNS[key]
    speaking = {row: f for row, f in figures.items() if row.is_speech_driven and not np.isnan(f.value)}
    mixed = column.of_size and len({row.faces for row in speaking}) > 1
    if not column.better or len(speaking) < 2 or mixed:
        return None
    best = max(speaking, key=lambda row: column.better * speaking[row].value)
    others = [figure for row, figure in speaking.items() if row != best]
    return best if all(difference(key, speaking[best], other) > 0 for other in others) else None


def difference(key: str, one: Figure, other: Figure) -> int:
    """1 where a figure is better than another, −1 where it is worse, 0 where the paired bootstrap cannot tell.

    Means are compared over the clips that both have: a system that shows no face in a hard clip gains nothing by it.
    """
    better = COLUMNS[key].better
    if one.by_clip is not None and other.by_clip is not None:
        low, high = bootstrap_interval(better * (one.by_clip - other.by_clip), len(one.resampled), one.seed)
    else:
        low, high = percentile_interval(better * (one.resampled - other.resampled))
    return int(low > 0) - int(high < 0)


def cell(key: str, row: Row, figure: Figure, static: Figure | None, is_best: bool) -> str:
    """A figure as the page shows it."""
    column = COLUMNS[key]
    if np.isnan(figure.value):
        return "–"
    still = static if column.still is None else Figure(column.still, np.full_like(figure.resampled, column.still))
    sign = SIGNS[difference(key, figure, still)] if still and not row.is_reference else ""
    value, (low, high) = _number(figure.value, column.digits), figure.interval
    limits = "" if np.isnan(low) else f" [{_number(low, column.digits)}, {_number(high, column.digits)}]"
    return f"{f'**{value}**' if is_best else value}{limits}{sign}"


def _number(value: float, digits: int) -> str:
    """Nought has no sign."""
    return f"{round(value, digits) + 0.0:.{digits}f}"
