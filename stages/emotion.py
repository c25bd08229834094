"""Train the system of Maity 2024, conditioned on an emotion."""

from pathlib import Path

from pipeline import parameters
from pipeline.errors import one_line_errors
from pipeline.training.emotion import train


@one_line_errors
def main() -> None:
    train(parameters.load(), Path("data"), Path("metrics/losses/emotion.csv"))


if __name__ == "__main__":
    main()
