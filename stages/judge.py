"""Train a judge of generated clips on real ones, of one of `faces`: `python -m stages.judge sync small`."""

import argparse
import os
from functools import partial
from importlib import import_module
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as in `stages.training`

from pipeline import parameters
from pipeline.code import fingerprint
from pipeline.errors import one_line_errors
from pipeline.training.ranks import in_ranks
from pipeline.training.runner import train

# By name, the module with the recipe.
JUDGES = {
    "emotion_classifier": "pipeline.evaluation.emotion_classifier.training",
    "sync": "pipeline.evaluation.lip_sync.training",
}


def run(judge: str, faces: str, p: parameters.Parameters, data: Path, metrics: Path) -> None:
    """Leave the network in data/trained, and its losses in metrics/losses, both named as the stage."""
    name, module = f"{judge}@{faces}", JUDGES[judge]
    train(
        name,
        lambda: import_module(module).recipe(p, data, faces),
        fingerprint(f"{module.replace('.', '/')}.py", "pipeline/training/runner.py"),
        p.training,
        data / "trained" / name,
        metrics / "losses" / f"{name}.csv",
        data / ".work" / "training" / name,
    )


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("judge", choices=JUDGES)
    parser.add_argument("faces", help="of data/alignment")
    args, p = parser.parse_args(), parameters.load()
    work = partial(run, args.judge, args.faces, p, Path("data"), Path("metrics"))
    in_ranks(p.training.devices, "stages.judge", [args.judge, args.faces], work)


if __name__ == "__main__":
    main()
