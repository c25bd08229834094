"""Measure every system and reference on the test splits, against the truth of the faces that it sees.

`metrics/evaluation.json` at their own size, `metrics/evaluation_common_size.json` with all at one; and per-clip tables.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline import parameters
from pipeline.corpus.tables import write_table
from pipeline.corpus.workers import each
from pipeline.errors import ClipRejected, UserError, one_line_errors
from pipeline.evaluation.by_clip import write_tracks
from pipeline.evaluation.evaluate import Clip, Measured, check, compare, summarise_split
from pipeline.evaluation.generated import Compared, about_faces, compared, tested_clips, truth_of, write_json
from pipeline.evaluation.identity import identity_floor
from pipeline.parameters import Parameters

DATA, OUT, METRICS = Path("data"), Path("data/evaluation"), Path("metrics")
# What is added to the names of the files that hold the figures at one size.
OWN, COMMON = "", "_common_size"


def evaluate(
    clip: str, rows: list[Compared], faces: dict[str, dict[str, Any]], common_size: int
) -> dict[str, dict[str, Measured]]:
    """What is measured of a clip, at its OWN size and at the COMMON one, by the names of the rows."""
    measured = {OWN: {}, COMMON: {}}
    for row in rows:
        about = faces[row.faces]
        truth, made = (Clip(r.frames(DATA)[clip], r.found(DATA)[clip]) for r in (truth_of(row, rows), row))
        against = partial(compare, template=np.array(about["template"]), fps=about["fps"])
        own = check(against(truth, made), clip, row.name)
        is_common = about["image_size"] == common_size
        measured[OWN][row.name] = own
        measured[COMMON][row.name] = own if is_common else against(truth.at(common_size), made.at(common_size))
    return measured


def other_people(clips: pd.DataFrame, rows: list[Compared]) -> dict[str, float | None]:
    """By the truth of each faces, how alike the photos of different people are: a photo each, of their first clip."""
    photos = clips.reset_index().groupby("subject")["clip"].first()
    floors = {
        row.name: identity_floor([(row.frames(DATA)[clip][0], row.found(DATA)[clip][0]) for clip in photos])
        for row in rows
        if row.of == "ground_truth"
    }
    return {name: None if np.isnan(floor) else round(floor, 4) for name, floor in floors.items()}


def write(
    size: str,
    crop: str,
    measured: dict[str, dict[str, Measured]],
    clips: pd.DataFrame,
    floors: dict[str, float | None],
    fps: float,
    p: Parameters,
) -> None:
    """The tables at one of both sizes. crop: it in words; measured: by clip, by name; floors: as of `other_people`."""
    about = clips[["split", "subject", "sentence", "emotion"]]
    table = pd.DataFrame(
        {"clip": clip, **of_clip, "system": name} | found.metrics
        for clip, of_clip in about.iterrows()
        for name, found in measured[clip].items()
    )
    write_table(table, OUT / f"clips{size}.parquet")
    for split, of_split in table.groupby("split"):
        by_system = {
            name: [measured[clip][name] for clip in of_split["clip"].unique()] for name in table["system"].unique()
        }
        samples, detection_size = p.evaluation.bootstrap_samples, p.evaluation.detection_size
        details = summarise_split(of_split, by_system, fps, p.seed, samples, crop, detection_size)
        details["signature"]["identity_of_other_people"] = ", ".join(f"{of}: {floor}" for of, floor in floors.items())
        write_json(OUT / f"{split}{size}.json", {"split": split} | details)
        if split == p.evaluation.split:
            write_json(METRICS / f"evaluation{size}.json", details["means"])
            print(crop, pd.DataFrame(details["means"]).T.to_string(float_format="%.4f"), sep="\n")


@one_line_errors
def main() -> None:
    p = parameters.load()
    rows, common_size = compared(DATA), p.evaluation.common_size
    clips = tested_clips(rows, DATA, p.evaluation.split)
    faces = {row.faces: about_faces(row.faces, DATA) for row in rows}
    work = partial(evaluate, rows=rows, faces=faces, common_size=common_size)
    results = dict(each(work, clips.index, "evaluation", p.compute.workers, p.compute.scheduler))
    for clip, measured in results.items():
        if isinstance(measured, ClipRejected):
            raise UserError(f"data/synthesis: {clip}: {measured}; `dvc repro` tries again")
    own = ", ".join(f"{name}: {about['image_size']} px, {about['transform']}" for name, about in faces.items())
    fps = faces[rows[0].faces]["fps"]
    floors = other_people(clips, rows)
    for size, crop in ((OWN, own), (COMMON, f"all at {common_size} px from {own}")):
        write(size, crop, {clip: measured[size] for clip, measured in results.items()}, clips, floors, fps, p)
    write_tracks(OUT, {clip: results[clip][OWN] for clip in clips.index})


if __name__ == "__main__":
    main()
