"""Train the Audio-to-AU module: speech to action units."""

from pathlib import Path

from pipeline import parameters
from pipeline.errors import one_line_errors
from pipeline.training.action_units import train_audio_to_au


@one_line_errors
def main() -> None:
    train_audio_to_au(parameters.load(), Path("data"), Path("metrics/losses/audio_to_au.csv"))


if __name__ == "__main__":
    main()
