"""Every paper, training and system that the folders beside this file declare. Nothing is loaded but their declarations."""

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.papers.declaration import Paper, SystemDeclaration, Training

if TYPE_CHECKING:
    from pipeline.parameter_types import Group

HERE = Path(__file__).parent


@cache
def paper(name: str) -> Paper:
    """A paper's declaration."""
    return import_module(f"pipeline.papers.{name}.paper").PAPER


def parameters(name: str) -> "type[Group]":
    """A paper's group in params.yaml."""
    return import_module(f"pipeline.papers.{name}.parameters").Parameters


def module(paper_name: str, training: str) -> str:
    """The module that holds a training's recipe, such as `pipeline.papers.sinha.blink`."""
    return f"pipeline.papers.{paper_name}.{TRAININGS[paper_name, training].module or training}"


# In the order of their years, as tables and charts show them.
PAPERS = sorted((path.parent.name for path in HERE.glob("*/paper.py")), key=lambda name: (paper(name).year, name))
# (paper, training) → what it reads, and (system's name) → its paper, its declaration.
TRAININGS: dict[tuple[str, str], Training] = {
    (name, training): declared for name in PAPERS for training, declared in paper(name).trainings.items()
}
SYSTEMS: dict[str, SystemDeclaration] = {
    system: declared for name in PAPERS for system, declared in paper(name).systems.items()
}
PAPER_OF = {system: name for name in PAPERS for system in paper(name).systems}
# Those that follow a driving video; the others speak.
LANDMARK_DRIVEN = [system for system, declared in SYSTEMS.items() if "landmarks" in declared.needs]
