"""Measure the landmarks that systems predict from speech, before any texture: `metrics/landmarks.json`."""

from pathlib import Path

import numpy as np

from pipeline import parameters
from pipeline.corpus.tables import read_landmarks
from pipeline.errors import one_line_errors
from pipeline.evaluation.generated import Compared, about_faces, compared, tested_clips, truth_of, write_json
from pipeline.evaluation.motion import known, summarise_motion
from pipeline.papers.registry import SYSTEMS

DATA = Path("data")


def landmarks(row: Compared) -> Path:
    """Where those lie that a row's frames were drawn from, if there are any."""
    return DATA / "synthesis" / row.folder / "landmarks.parquet"


@one_line_errors
def main() -> None:
    p = parameters.load()
    rows = compared(DATA)
    clips = tested_clips(rows, DATA, p.evaluation.split)
    of_split = clips.index[clips["split"] == p.evaluation.split]

    def of_row(row: Compared) -> dict[str, np.ndarray]:
        found = read_landmarks(landmarks(row))
        return {clip: known(found[clip], clip, row.name) for clip in of_split}

    # References of faces for which nobody predicts landmarks say nothing.
    predicted = {row.faces for row in rows if row.of in SYSTEMS and landmarks(row).exists()}
    metrics = {
        row.name: summarise_motion(of_row(truth_of(row, rows)), of_row(row), about_faces(row.faces, DATA)["fps"])
        for row in rows
        if row.faces in predicted and landmarks(row).exists()
    }
    write_json(Path("metrics/landmarks.json"), metrics)


if __name__ == "__main__":
    main()
