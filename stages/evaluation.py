"""Measure every system and reference on the test splits, against the truth of the faces that it sees.

`metrics/evaluation.json` at their own size, `metrics/evaluation_common_size.json` with all at one; and per-clip tables.
"""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline import parameters
from pipeline.corpus.about import read_about
from pipeline.corpus.tables import write_table
from pipeline.corpus.workers import each
from pipeline.errors import ClipRejected, UserError, one_line_errors
from pipeline.evaluation.by_clip import write_tracks
from pipeline.evaluation.evaluate import Clip, Measured, check, compare, summarise_split
from pipeline.evaluation.generated import Compared, about_faces, compared, shards, tested_clips, truth_of, write_json
from pipeline.evaluation.given import Given
from pipeline.evaluation.identity import identity_floor
from pipeline.evaluation.lip_sync.use import described, lip_sync, load
from pipeline.features.windows import from_int16
from pipeline.parameters import Parameters
from pipeline.training.trained import reason_skipped

DATA, OUT, METRICS = Path("data"), Path("data/evaluation"), Path("metrics")
# What is added to the names of the files that hold the figures at one size.
OWN, COMMON = "", "_common_size"


def evaluate(
    clip: str,
    rows: list[Compared],
    faces: dict[str, dict[str, Any]],
    common_size: int,
    judges: dict[str, Path],
    given: Given,
) -> dict[str, dict[str, Measured]]:
    """What is measured of a clip, at its OWN size and at the COMMON one, by the names of the rows.

    judges: of sync, by faces; they look at crops of their own size for both. given: what looks at those of either.
    """
    measured = {OWN: {}, COMMON: {}}
    for row in rows:
        about = faces[row.faces]
        truth, made = (Clip(r.frames(DATA)[clip], r.found(DATA)[clip]) for r in (truth_of(row, rows), row))
        how = {"template": np.array(about["template"]), "fps": about["fps"], "given": given}
        sync = sync_of(clip, made.frames, judges.get(row.faces), about["fps"])
        for size, pixels in ((OWN, about["image_size"]), (COMMON, common_size)):
            if size == COMMON and pixels == about["image_size"]:
                measured[COMMON][row.name] = measured[OWN][row.name]
                continue
            at_size = truth.at(pixels), made.at(pixels)
            found = compare(*at_size, **how)
            measured[size][row.name] = check(found._replace(metrics=found.metrics | sync), *at_size, clip, row.name)
    return measured


def sync_of(clip: str, frames: np.ndarray, judge: Path | None, fps: float) -> dict[str, float]:
    """SYNC of frames, uint8 (T, S, S, 3), and the clip's speech; nothing without a judge."""
    if not judge:
        return {}
    waveform = from_int16(shards(DATA / "audio_features" / "waveform")[clip])
    return lip_sync(load(judge, fps), frames, waveform, read_about(DATA / "audio_features")["sample_rate"], fps)


def judges_of(faces: Iterable[str], p: Parameters) -> dict[str, Path]:
    """Who judges sync: the network that parameters name, or that trained on these faces, where there was enough to learn."""
    trained = {name: DATA / "trained" / f"sync@{name}" for name in faces}
    if p.evaluation.syncnet:
        return dict.fromkeys(trained, Path(p.evaluation.syncnet))
    return {name: folder for name, folder in trained.items() if not reason_skipped(folder)}


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
    judges: dict[str, str],
    p: Parameters,
) -> None:
    """The tables at one of both sizes. crop: it in words; measured: by clip, by name; floors: as of `other_people`;
    judges: in words."""
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
        details = summarise_split(of_split, by_system, fps, p.seed, samples, crop, detection_size, judges)
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
    judges, fps = judges_of(faces, p), faces[rows[0].faces]["fps"]
    for judge in judges.values():
        load(judge, fps)  # or an error, before any work
    named = p.evaluation.model_dump(include=set(Given._fields))
    given = Given(**{kind: Path(path) for kind, path in named.items() if path}).checked()
    work = partial(evaluate, rows=rows, faces=faces, common_size=common_size, judges=judges, given=given)
    results = dict(each(work, clips.index, "evaluation", p.compute.workers, p.compute.scheduler))
    for clip, measured in results.items():
        if isinstance(measured, ClipRejected):
            raise UserError(f"data/synthesis: {clip}: {measured}; `dvc repro` tries again")
    own = ", ".join(f"{name}: {about['image_size']} px, {about['transform']}" for name, about in faces.items())
    floors = other_people(clips, rows)
    asked = {"sync": ", ".join(map(described, dict.fromkeys(judges.values())))} if judges else {}
    asked |= given.described()
    for size, crop in ((OWN, own), (COMMON, f"all at {common_size} px from {own}")):
        write(size, crop, {clip: measured[size] for clip, measured in results.items()}, clips, floors, fps, asked, p)
    write_tracks(OUT, {clip: results[clip][OWN] for clip in clips.index})


if __name__ == "__main__":
    main()
