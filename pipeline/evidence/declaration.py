"""How a paper's folder declares its evidence, in `evidence.py`: the tables and figures that it prints, as made here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.report.run import Run

Rows = list[dict[str, str]]  # of a table: {column's heading: cell}


@dataclass(frozen=True)
class Made:
    """What is made of one table or figure here.

    tables: by their titles. pictures: names of files in the folder that `Evidence.make` was given, each with a caption. notes:
    sentences, such as on what is missing.
    """

    tables: dict[str, Rows] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """A table or figure of a paper.

    where: as the paper numbers it, "Table 1". shows: what it is of, a sentence. differs: why figures here and there cannot be
    equal, a sentence. make: (a finished run, the folder for pictures) → what is made here. published: headings of the figures
    that the paper prints there, see `published.yaml`; none where it prints pictures. ablations: names of the experiments in
    profiles/ablations that it sets side by side, which have to be run before. across: whether it is of several corpora, and
    `make` is told the runs of the others: (run, others, folder).
    """

    where: str
    shows: str
    differs: str
    make: Callable[[Run, Path], Made] | Callable[[Run, Sequence[Run], Path], Made]
    published: tuple[str, ...] = ()
    ablations: tuple[str, ...] = ()
    across: bool = False
