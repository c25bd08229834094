"""Find the face and its 68 landmarks in every frame of every clip."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import parameters
from pipeline.corpus.about import write_about
from pipeline.corpus.incremental import Job, Made, process
from pipeline.errors import one_line_errors
from pipeline.features.landmarks import inter_ocular_distance
from pipeline.features.tracking import detect_video


def find(video: str, fps: float, backend: str, redetect_every: int, max_missing: float) -> Made:
    faces = detect_video(Path(video), fps, backend, redetect_every, max_missing)
    table = {"points": faces.landmarks, "box": faces.boxes, "has_face": faces.has_face, "n_faces": faces.n_faces}
    figures = {
        "frames": len(faces.has_face),
        "frames_with_face": int(faces.has_face.sum()),
        "frames_with_several": int((faces.n_faces > 1).sum()),
        "eye_distance": float(np.median(inter_ocular_distance(faces.landmarks))),
    }
    return Made(tables={"faces": table}, figures=figures)


@one_line_errors
def main() -> None:
    p = parameters.load()
    clips = pd.read_parquet("data/clips/clips.parquet").set_index("clip")
    jobs = {clip: Job((row["checksum"],), row["video"]) for clip, row in clips.iterrows()}
    work = partial(find, fps=p.corpus.fps, **dict(p.landmarks))
    process("landmarks", work, jobs, p.corpus.max_rejected, **dict(p.compute))
    write_about(Path("data/landmarks"), fps=p.corpus.fps, landmarks=dict(p.landmarks))


if __name__ == "__main__":
    main()
