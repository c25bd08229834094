"""What a paper's folder declares of itself, in its `paper.py`: all lists of papers, trainings and systems derive from it.

A declaration imports nothing of the paper: whoever lists the systems loads no network.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Training:
    """What one stage trains, by `recipe` of a module in the paper's folder.

    reads: folders in data/ that it learns from, beside data/clips; "alignment" stands for that of the paper's `faces`. params:
    what it reads of params.yaml, beside `seed` and `training`. after: trainings of the same paper whose networks it uses.
    adapts: whether one person's minutes teach it (`pipeline.adapt`). module: where it is not the training's own name;
    `recipe` is then told which of the module's trainings is meant. error: what its validation error is, for plots.
    """

    reads: tuple[str, ...]
    params: tuple[str, ...]
    after: tuple[str, ...] = ()
    adapts: bool = True
    module: str | None = None
    error: str = "mean absolute error of the lower half"


@dataclass(frozen=True)
class SystemDeclaration:
    """A system: what `use.load` of the paper's folder makes of trained networks.

    needs: what drives it beside the photo, names of fields of `interface.Driving`. networks: the trainings that they come from.
    colour: in charts. limits: what a user has to know, a sentence.
    """

    needs: frozenset[str]
    networks: tuple[str, ...]
    colour: str
    limits: str = ""


@dataclass(frozen=True)
class Paper:
    """title: authors, year and title. Trainings and systems by name; the stage of a training is PAPER_TRAINING.

    plots: of losses beside the validation error's, by title: what the y axis shows, and of which trainings which columns.
    """

    title: str
    year: int
    trainings: dict[str, Training]
    systems: dict[str, SystemDeclaration]
    plots: dict[str, tuple[str, dict[str, list[str]]]] = field(default_factory=dict)
