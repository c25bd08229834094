"""Train the AU classifier: lower faces to action units."""

from pathlib import Path

from pipeline import parameters
from pipeline.errors import one_line_errors
from pipeline.training.action_units import train_au_classifier


@one_line_errors
def main() -> None:
    train_au_classifier(parameters.load(), Path("data"), Path("metrics/losses/au_classifier.csv"))


if __name__ == "__main__":
    main()
