"""Measure every system and reference on the test splits: `metrics/evaluation.json` and per-clip tables."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import parameters
from pipeline.corpus.about import read_about
from pipeline.corpus.tables import write_table
from pipeline.corpus.workers import each
from pipeline.errors import ClipRejected, UserError, one_line_errors
from pipeline.evaluation.evaluate import Measured, evaluate_systems, summarise_split
from pipeline.evaluation.generated import compared, frames_of, shards, tested_clips, write_json

DATA, OUT, METRICS = Path("data"), Path("data/evaluation"), Path("metrics")


def evaluate(clip: str, systems: list[str], template: np.ndarray, fps: float) -> dict[str, Measured]:
    """What is measured of a clip, by system."""
    generated = {system: shards(frames_of(system, DATA))[clip] for system in systems}
    landmarks = {system: shards(DATA / "detection" / system / "frames")[clip] for system in systems}
    return evaluate_systems(generated, landmarks, template, fps)


@one_line_errors
def main() -> None:
    p = parameters.load()
    systems, clips, faces = compared(DATA), tested_clips(DATA, p.evaluation.split), read_about(DATA / "alignment")
    work = partial(evaluate, systems=systems, template=np.array(faces["template"]), fps=faces["fps"])
    results = dict(each(work, clips.index, "evaluation", p.compute.workers))
    rows, openings = [], []
    for clip, about in clips[["split", "subject", "sentence", "emotion"]].iterrows():
        measured = results[clip]
        if isinstance(measured, ClipRejected):
            raise UserError(f"data/synthesis: {clip}: {measured}; `dvc repro` tries again")
        for system in systems:
            rows.append({"clip": clip, **about, "system": system} | measured[system].metrics)
            openings.append(pd.DataFrame({"clip": clip, "system": system, "opening": measured[system].opening}))
    table = pd.DataFrame(rows)
    write_table(table, OUT / "clips.parquet")
    write_table(pd.concat(openings), OUT / "mouth_opening.parquet")
    for split, of_split in table.groupby("split"):
        by_system = {s: [results[clip][s] for clip in of_split["clip"].unique()] for s in systems}
        details = summarise_split(
            of_split,
            by_system,
            faces["fps"],
            p.seed,
            p.evaluation.bootstrap_samples,
            faces["image_size"],
            p.evaluation.detection_size,
        )
        write_json(OUT / f"{split}.json", {"split": split} | details)
        if split == p.evaluation.split:
            write_json(METRICS / "evaluation.json", details["means"])
            print(pd.DataFrame(details["means"]).T.to_string(float_format="%.4f"))


if __name__ == "__main__":
    main()
