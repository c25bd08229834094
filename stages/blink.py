"""Train the blink generator."""

from pathlib import Path

from pipeline import parameters
from pipeline.errors import one_line_errors
from pipeline.training.blink import train


@one_line_errors
def main() -> None:
    train(parameters.load(), Path("data"), Path("metrics/losses/blink.csv"))


if __name__ == "__main__":
    main()
