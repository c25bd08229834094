"""Train the second half of a cascade: `python -m stages.landmark_to_texture atvgnet`."""

import argparse
from pathlib import Path

from pipeline import parameters
from pipeline.errors import one_line_errors
from pipeline.training import atvgnet, identity_preserving

TRAININGS = {
    "atvgnet": atvgnet.train_landmark_to_texture,
    "identity_preserving": identity_preserving.train_landmark_to_texture,
}


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", choices=TRAININGS)
    system = parser.parse_args().system
    TRAININGS[system](parameters.load(), Path("data"), Path("metrics/losses/landmark_to_texture") / f"{system}.csv")


if __name__ == "__main__":
    main()
