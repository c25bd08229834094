"""Train the system of Chen S. 2021."""

from pathlib import Path

from pipeline import parameters
from pipeline.errors import one_line_errors
from pipeline.training.audio_au import train


@one_line_errors
def main() -> None:
    train(parameters.load(), Path("data"), Path("metrics/losses/audio_au.csv"))


if __name__ == "__main__":
    main()
