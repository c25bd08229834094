"""Measure whether mouths keep still while nobody speaks: `metrics/silence.json`, and a table by photo and system."""

from pathlib import Path

import pandas as pd

from pipeline import parameters
from pipeline.corpus.tables import write_table
from pipeline.errors import one_line_errors
from pipeline.evaluation.generated import Compared, compared, shards, tested_clips, truth_of, write_json
from pipeline.evaluation.silence import compare_silence, summarise_silence

DATA, DETECTION = Path("data"), Path("data/detection")


def compare(clip: str, rows: list[Compared]) -> list[dict]:
    """A row for each system that was given the clip's photo in silence, and one for the truth of their faces; none where no
    system was."""
    folders = {row: DETECTION / row.folder / "silence" for row in rows}
    silent = {
        row: shards(folder)[clip] for row, folder in folders.items() if folder.exists() and clip in shards(folder)
    }
    truths = dict.fromkeys(truth_of(row, rows) for row in silent)
    photos = {truth.faces: truth.found(DATA)[clip][0] for truth in truths}
    return [
        {"system": row.name} | compare_silence(photos[row.faces], silent.get(row), row.found(DATA)[clip])
        for row in (*truths, *silent)
    ]


@one_line_errors
def main() -> None:
    p = parameters.load()
    rows = compared(DATA)
    clips = tested_clips(rows, DATA, p.evaluation.split)
    about = clips[["split", "subject", "sentence", "emotion"]]
    table = pd.DataFrame([{"clip": c, **row} | found for c, row in about.iterrows() for found in compare(c, rows)])
    write_table(table, DATA / "silence.parquet")
    of_split = table[table["split"] == p.evaluation.split] if len(table) else table
    write_json(Path("metrics/silence.json"), summarise_silence(of_split) if len(of_split) else {})


if __name__ == "__main__":
    main()
