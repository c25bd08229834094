"""Measure the landmarks that systems predict from speech, before any texture: `metrics/landmarks.json`."""

from pathlib import Path

from pipeline import parameters
from pipeline.corpus.about import read_about
from pipeline.corpus.tables import Tables, read_landmarks
from pipeline.errors import one_line_errors
from pipeline.evaluation.generated import compared, tested_clips, write_json
from pipeline.evaluation.motion import summarise_motion

DATA = Path("data")


@one_line_errors
def main() -> None:
    p = parameters.load()
    clips = tested_clips(DATA, p.evaluation.split)
    truth = Tables(DATA / "alignment" / "landmarks")
    of_split = {clip: truth.landmarks(clip) for clip in clips.index[clips["split"] == p.evaluation.split]}
    files = {system: DATA / "synthesis" / system / "landmarks.parquet" for system in compared(DATA)}
    predicted = {system: read_landmarks(path) for system, path in files.items() if path.exists()}
    write_json(
        Path("metrics/landmarks.json"), summarise_motion(of_split, predicted, read_about(DATA / "alignment")["fps"])
    )


if __name__ == "__main__":
    main()
