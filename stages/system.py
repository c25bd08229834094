"""Bring a trained system together in one portable folder: `python -m stages.system sinha`."""

import argparse
from pathlib import Path

from pipeline.errors import one_line_errors
from pipeline.papers.registry import SYSTEMS
from pipeline.systems.card import make_system

DATA = Path("data")


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", choices=SYSTEMS)
    name = parser.parse_args().system
    make_system(name, DATA, DATA / "systems" / name)


if __name__ == "__main__":
    main()
