"""Measure whether mouths keep still while nobody speaks: `metrics/silence.json`, and a table by photo and system."""

from pathlib import Path

import pandas as pd

from pipeline import parameters
from pipeline.corpus.tables import write_table
from pipeline.errors import one_line_errors
from pipeline.evaluation.generated import compared, shards, tested_clips, write_json
from pipeline.evaluation.silence import compare_silence, summarise_silence

DATA, DETECTION = Path("data"), Path("data/detection")


def compare(clip: str, systems: list[str]) -> list[dict]:
    """A row for each system that was given the clip's photo in silence, and one for the truth; none where no system was."""
    folders = {system: DETECTION / system / "silence" for system in systems}
    silent = {system: shards(folder) for system, folder in folders.items() if folder.exists()}
    silent = {system: found[clip] for system, found in silent.items() if clip in found}
    spoken = {system: shards(DETECTION / system / "frames")[clip] for system in ("ground_truth", *silent)}
    photo = spoken["ground_truth"][0]
    judged = ["ground_truth", *silent] if silent else []
    return [{"system": s} | compare_silence(photo, silent.get(s), spoken[s]) for s in judged]


@one_line_errors
def main() -> None:
    p = parameters.load()
    systems, clips = compared(DATA), tested_clips(DATA, p.evaluation.split)
    about = clips[["split", "subject", "sentence", "emotion"]]
    table = pd.DataFrame([{"clip": c, **row} | found for c, row in about.iterrows() for found in compare(c, systems)])
    write_table(table, DATA / "silence.parquet")
    of_split = table[table["split"] == p.evaluation.split] if len(table) else table
    write_json(Path("metrics/silence.json"), summarise_silence(of_split) if len(of_split) else {})


if __name__ == "__main__":
    main()
