"""Train the emotion classifier that judges generated clips."""

from pathlib import Path

from pipeline import parameters
from pipeline.errors import one_line_errors
from pipeline.training.emotion_classifier import train


@one_line_errors
def main() -> None:
    train(parameters.load(), Path("data"), Path("metrics/losses/emotion_classifier.csv"))


if __name__ == "__main__":
    main()
