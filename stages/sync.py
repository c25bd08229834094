"""Train the judge of sync on one of `faces`: `python -m stages.sync small`."""

import argparse
from functools import partial
from pathlib import Path

from pipeline import parameters
from pipeline.code import fingerprint
from pipeline.errors import one_line_errors
from pipeline.evaluation.lip_sync.training import recipe
from pipeline.training.ranks import in_ranks
from pipeline.training.runner import train


def run(faces: str, p: parameters.Parameters, data: Path, metrics: Path) -> None:
    """Leave the network in data/trained, and its losses in metrics/losses, both named as the stage."""
    name = f"sync@{faces}"
    train(
        name,
        partial(recipe, p, data, faces),
        fingerprint("pipeline/evaluation/lip_sync/training.py", "pipeline/training/runner.py"),
        p.training,
        data / "trained" / name,
        metrics / "losses" / f"{name}.csv",
        data / ".work" / "training" / name,
    )


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faces", help="of data/alignment")
    faces, p = parser.parse_args().faces, parameters.load()
    work = partial(run, faces, p, Path("data"), Path("metrics"))
    in_ranks(p.training.devices, "stages.sync", [faces], work)


if __name__ == "__main__":
    main()
