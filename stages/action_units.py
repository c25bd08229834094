"""Measure facial action units in every frame: AU10, 14, 20, 25, 26 and 45."""

from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import parameters
from pipeline.corpus.about import write_about
from pipeline.corpus.incremental import Job, Made, checksum, process
from pipeline.corpus.tables import Tables
from pipeline.errors import one_line_errors
from pipeline.features.action_units.estimate import Clip, estimate
from pipeline.features.action_units.units import AUS

FACES = Path("data/landmarks/faces")

tables = cache(Tables)


def measure(item: tuple[str, str], fps: float, backend: str, **options: object) -> Made:
    clip, video = item
    faces = tables(FACES)[clip]
    seen = Clip(Path(video), faces["points"].reshape(-1, 68, 2), faces["has_face"])
    units = estimate(seen, fps, backend, **options)
    table = {f"AU{au:02d}_r": units.intensity[:, k] for k, au in enumerate(AUS)}
    table |= {f"AU{au:02d}_c": units.presence[:, k] for k, au in enumerate(AUS)}
    table |= {"confidence": units.confidence, "backend": np.full(len(units.confidence), backend)}
    figures = {"frames": len(units.confidence), "frames_missing": int(units.missing.sum())}
    figures |= {f"frames_AU{au:02d}": int(units.presence[:, k].sum()) for k, au in enumerate(AUS)}
    return Made(tables={"units": table}, figures=figures)


@one_line_errors
def main() -> None:
    p = parameters.load()
    clips = pd.read_parquet("data/clips/clips.parquet").set_index("clip")
    faces = Tables(FACES)
    of_model = checksum(p.action_units.model)
    jobs = {
        clip: Job((clips.loc[clip, "checksum"], faces.digest(clip), of_model), (clip, clips.loc[clip, "video"]))
        for clip in faces
    }
    work = partial(measure, fps=p.corpus.fps, **dict(p.action_units))
    process("action_units", work, jobs, p.corpus.max_rejected, **dict(p.compute))
    write_about(Path("data/action_units"), labels={"action_units": p.action_units.backend})


if __name__ == "__main__":
    main()
