"""How far a training's seed moves the figures, beside their intervals: `python -m pipeline.seeds RUN RUN [RUN …]`.

A RUN is a project's folder in which `dvc repro` has finished; the runs' params.yaml differ by `seed` alone. Of every test
group a table is printed: the mean over seeds, ± the standard deviation over seeds, in brackets the 95 % interval of that mean
over people and clips. The interval says how other clips would move a figure, ± how another training would: what two systems
differ by has to be more than both.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.errors import UserError, one_line_errors
from pipeline.report.comparison import USUAL, Figure, number, row_figures
from pipeline.report.run import Run, read_run


def check_alike(runs: list[Run]) -> None:
    """Raises UserError unless the runs differ by their seeds, each from each, and by nothing else."""
    first, *others = runs
    flat = [_flat(run.params) for run in runs]
    for run, params in zip(others, flat[1:], strict=True):
        differing = [key for key in sorted(flat[0].keys() | params.keys()) if flat[0].get(key) != params.get(key)]
        if differing != ["seed"]:
            what = ", ".join(key for key in differing if key != "seed") or "nothing, not even by seed"
            raise UserError(
                f"{run.folder} and {first.folder} differ by {what}; runs may differ by seed, and by it alone"
            )
        if run.rows != first.rows or list(run.groups()) != list(first.groups()):
            raise UserError(f"{run.folder} and {first.folder} did not measure the same systems on the same clips")
    seeds = [params["seed"] for params in flat]
    if len(set(seeds)) < len(seeds):
        raise UserError(f"the runs' seeds are {', '.join(map(str, seeds))}: each may be there once")
    if not first.rows:
        raise UserError(f"{first.folder}: {first.missing[0]}")


def _flat(params: dict[str, Any], above: str = "") -> dict[str, Any]:
    """{dotted key: value} of nested parameters."""
    flat = {}
    for key, value in params.items():
        flat |= _flat(value, f"{above}{key}.") if isinstance(value, dict) else {above + key: value}
    return flat


def over_seeds(figures: list[Figure]) -> tuple[Figure, float]:
    """The mean of a figure over runs, and its standard deviation over them; NaN where a run has none.

    The runs' draws are the same, so that their mean in each is what it would have been of the clips drawn.
    """
    values = np.array([figure.value for figure in figures])
    resampled = np.mean([figure.resampled for figure in figures], axis=0)
    return Figure(values.mean(), resampled, min(figure.units for figure in figures)), float(values.std(ddof=1))


def table(runs: list[Run], clips: list[str]) -> pd.DataFrame:
    """A group's table as text: a row per metric, a column per system."""
    # One seed for the draws of all: the trainings' seeds must not move the clips that are drawn.
    alike = [replace(run, params=run.params | {"seed": runs[0].value("seed")}) for run in runs]
    cells = {}
    for row in runs[0].rows:
        of_runs = [row_figures(run, row, clips) for run in alike]
        cells[row.name] = {
            column.metric.heading: cell(*over_seeds([figures[key] for figures in of_runs]), column.metric.digits)
            for key, column in USUAL.items()
        }
    return pd.DataFrame(cells)


def cell(figure: Figure, deviation: float, digits: int) -> str:
    if np.isnan(figure.value):
        return "–"
    low, high = figure.interval
    limits = "" if np.isnan(low) else f" [{number(low, digits)}, {number(high, digits)}]"
    return f"{number(figure.value, digits)} ± {number(deviation, digits)}{limits}"


@one_line_errors
def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m pipeline.seeds", description=__doc__, formatter_class=raw)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders of finished runs, two or more")
    folders = parser.parse_args().runs
    if len(folders) < 2:
        raise UserError(f"{folders[0]} alone has no spread over seeds; give two runs or more")
    runs = [read_run(folder) for folder in folders]
    check_alike(runs)
    print(f"Seeds {', '.join(str(run.value('seed')) for run in runs)}: mean ± deviation over seeds [95 % over clips]")
    for title, clips in runs[0].groups():
        print(f"\n{title} ({len(clips)} clips)", table(runs, clips).to_string(), sep="\n")


if __name__ == "__main__":
    main()
