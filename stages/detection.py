"""Find the landmarks of the test clips as one system generates them, or a reference: `python -m stages.detection speech`."""

import argparse
from functools import cache, partial
from pathlib import Path

import numpy as np

from pipeline import parameters
from pipeline.corpus.shards import Shards, in_shards, write_shards
from pipeline.corpus.workers import each
from pipeline.errors import ClipRejected, UserError, one_line_errors
from pipeline.evaluation.landmark import detect_landmarks

shards = cache(Shards)  # opened once per process


def detect(clip: str, folder: Path, detection_size: int) -> np.ndarray:
    return detect_landmarks(shards(folder)[clip], detection_size)


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", help="of data/synthesis")
    system = parser.parse_args().system
    p = parameters.load()
    generated, out = Path("data/synthesis") / system, Path("data/detection") / system
    if not generated.exists():
        raise UserError(f"{generated} does not exist; `dvc repro` makes it, if there is such a system")
    out.mkdir(parents=True, exist_ok=True)
    # Silence is of some systems only; of one that was skipped there is nothing.
    for folder in (generated / "frames", generated / "silence"):
        if folder.exists():
            work = partial(detect, folder=folder, detection_size=p.evaluation.detection_size)
            found = dict(each(work, shards(folder), f"landmarks of {system}", p.compute.workers))
            for clip, landmarks in found.items():
                if isinstance(landmarks, ClipRejected):
                    raise UserError(f"{folder}: {clip}: {landmarks}; `dvc repro` tries again")
            write_shards(out / folder.name, ((clip, found[clip]) for clip in in_shards(found)))


if __name__ == "__main__":
    main()
