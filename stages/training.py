"""Train one of a paper's networks: `python -m stages.training sinha blink`."""

import argparse
import os
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

# Read when torch is loaded. OpenMP's threads spin while they wait for each other; beside other work they then take the cores
# from those that they wait for, and a training all but stops (`python -m benchmarks.busy`).
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from pipeline import parameters
from pipeline.code import fingerprint
from pipeline.errors import one_line_errors
from pipeline.papers.registry import TRAININGS, module
from pipeline.training.ranks import in_ranks
from pipeline.training.recipe import Recipe
from pipeline.training.runner import train


def run(
    paper: str,
    training: str,
    p: parameters.Parameters,
    data: Path,
    metrics: Path,
    change: Callable[[Recipe], Recipe] = lambda recipe: recipe,
) -> None:
    """Leave the network in data/trained/PAPER/TRAINING, and its losses in metrics/losses/PAPER_TRAINING.csv.

    change: of the paper's recipe, before it is followed.
    """
    name, where = f"{paper}_{training}", module(paper, training)
    # A module with several trainings is told which of them is meant.
    meant = {"training": training} if TRAININGS[paper, training].module else {}
    train(
        name,
        lambda: change(import_module(where).recipe(p, data, **meant)),
        fingerprint(f"{where.replace('.', '/')}.py", "pipeline/training/runner.py"),
        p.training,
        data / "trained" / paper / training,
        metrics / "losses" / f"{name}.csv",
        data / ".work" / "training" / name,
    )


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paper", choices=sorted({paper for paper, _ in TRAININGS}))
    parser.add_argument("training", choices=sorted({training for _, training in TRAININGS}))
    args = parser.parse_args()
    if (args.paper, args.training) not in TRAININGS:
        known = ", ".join(training for paper, training in TRAININGS if paper == args.paper)
        parser.error(f"{args.paper} has no training {args.training}; it has {known}")
    p = parameters.load()
    work = partial(run, args.paper, args.training, p, Path("data"), Path("metrics"))
    in_ranks(p.training.devices, "stages.training", [args.paper, args.training], work)


if __name__ == "__main__":
    main()
