"""Train the emotion classifier that judges generated clips."""

from functools import partial
from pathlib import Path

from pipeline import parameters
from pipeline.code import fingerprint
from pipeline.errors import one_line_errors
from pipeline.evaluation.emotion_classifier.training import recipe
from pipeline.training.runner import train


def run(p: parameters.Parameters, data: Path, metrics: Path) -> None:
    """Leave the network in data/trained/emotion_classifier, and its losses in metrics/losses/emotion_classifier.csv."""
    name = "emotion_classifier"
    train(
        name,
        partial(recipe, p, data),
        fingerprint("pipeline/evaluation/emotion_classifier/training.py", "pipeline/training/runner.py"),
        p.training,
        data / "trained" / name,
        metrics / "losses" / f"{name}.csv",
        data / ".work" / "training" / name,
    )


@one_line_errors
def main() -> None:
    run(parameters.load(), Path("data"), Path("metrics"))


if __name__ == "__main__":
    main()
