"""Train the blink generator, and compare its blinks with the corpus's."""

from pathlib import Path

from pipeline import parameters
from pipeline.errors import one_line_errors
from pipeline.report.blinks import compare_blinks
from pipeline.training.blink import train


@one_line_errors
def main() -> None:
    p, data = parameters.load(), Path("data")
    train(p, data, Path("metrics/losses/blink.csv"))
    compare_blinks(p, data, Path("metrics/blink.json"))


if __name__ == "__main__":
    main()
