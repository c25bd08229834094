"""Train one end-to-end system: `python -m stages.end_to_end speech`."""

import argparse
from pathlib import Path

from pipeline import parameters
from pipeline.errors import one_line_errors
from pipeline.training.kesim_erzin import INPUTS, train


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", choices=INPUTS)
    system = parser.parse_args().system
    train(system, parameters.load(), Path("data"), Path("metrics/losses") / f"{system}.csv")


if __name__ == "__main__":
    main()
