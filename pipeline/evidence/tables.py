"""The tables that several papers print, of a finished run: some of its systems, and a system beside its ablations."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from pipeline.errors import UserError
from pipeline.evidence.declaration import Made, Rows
from pipeline.evidence.experiments import experiment
from pipeline.papers.registry import PAPER_OF
from pipeline.report.comparison import COLUMNS, cell, row_figures, signs_of, table
from pipeline.report.run import Row, Run


def of_systems(run: Run, systems: Iterable[str], keys: Iterable[str]) -> dict[str, Rows]:
    """Figures of some systems, framed by the references: a table for each test group. keys: of comparison.COLUMNS.

    Raises UserError where none of them was measured.
    """
    rows = [row for row in run.rows if row.of in systems]
    if not rows:
        raise UserError(f"data/evaluation: {', '.join(systems)}: not measured; `make repro` does")
    framed = replace(run, rows=[row for row in run.rows if row.is_reference] + rows)
    return {titled(title, clips): table(framed, clips, keys) for title, clips in run.groups()}


def ablated(run: Run, system: str, whole: str, experiments: dict[str, str], keys: Iterable[str]) -> Made:
    """A system beside its ablations: a table for each test group. experiments: their names, by what the table calls them.

    whole: what the table calls the system as it is. Marks say how an ablation differs from it, all of a column together (Holm).
    """
    runs = {label: experiment(run, name) for label, name in experiments.items()}
    there = {label: found for label, found in runs.items() if found} | {whole: run}
    notes = tuple(not_run(system, experiments[label]) for label, found in runs.items() if not found)
    return Made(beside(there, system, whole, keys), notes=notes)


def not_run(system: str, name: str) -> str:
    """That an ablation is missing, and how it is made."""
    return f"`{name}` has not been run on this commit: `make ablations NAME={PAPER_OF[system]}` does."


def beside(runs: dict[str, Run], system: str, whole: str, keys: Iterable[str]) -> dict[str, Rows]:
    """One system's figures in several runs of the same clips, by the runs' labels: a table for each test group.

    whole: the label of the run that marks compare with. Raises UserError where one of them did not measure it.
    """
    rows = {label: row_of(run, system) for label, run in runs.items()}
    tables = {}
    for title, clips in runs[whole].groups():
        figures = {label: row_figures(run, rows[label], clips) for label, run in runs.items()}
        cells: dict[str, dict[str, str]] = {label: {"system": label} for label in runs}
        for key in keys:
            known = [label for label in runs if not np.isnan(figures[label][key].value)]
            others = [label for label in known if label != whole and whole in known]
            found = signs_of(key, [(figures[label][key], figures[whole][key]) for label in others])
            signs = dict(zip(others, found, strict=True))
            for label in runs if known else ():
                cells[label][COLUMNS[key].metric.heading] = cell(key, figures[label][key], signs.get(label, 0), False)
        tables[titled(title, clips)] = list(cells.values())
    return tables


def row_of(run: Run, system: str) -> Row:
    """A system's row in the run's tables. Raises UserError where it was not measured."""
    for row in run.rows:
        if row.of == system:
            return row
    raise UserError(f"{run.folder / 'data/evaluation'}: {system} was not measured; `make repro` does")


def titled(title: str, clips: list[str]) -> str:
    """A group's title with how many clips it has."""
    return f"{title} ({len(clips)} clip{'s' * (len(clips) > 1)})"
