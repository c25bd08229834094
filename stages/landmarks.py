"""Find the face and its 68 landmarks in every frame of every clip."""

from functools import partial
from pathlib import Path

import pandas as pd

from pipeline import parameters
from pipeline.corpus.tables import write_landmarks, write_rejected
from pipeline.corpus.workers import each
from pipeline.errors import ClipRejected, one_line_errors
from pipeline.features.tracking import detect_video


@one_line_errors
def main() -> None:
    p = parameters.load()
    clips = pd.read_parquet("data/clips/clips.parquet")
    how = {"backend": "dlib", "redetect_every": 25, "max_missing": p.landmarks.max_missing}
    detect = partial(detect_video, fps=p.corpus.fps, **how)
    found, rejected = {}, {}
    results = each(detect, [Path(video) for video in clips["video"]], "landmarks", p.compute.workers)
    for clip, (_, result) in zip(clips["clip"], results, strict=True):
        (rejected if isinstance(result, ClipRejected) else found)[clip] = result
    write_rejected(Path("data/landmarks"), "landmarks", rejected, len(clips), p.corpus.max_rejected)
    boxes, landmarks, has_face = ({clip: found[clip][k] for clip in found} for k in range(3))
    write_landmarks(Path("data/landmarks/landmarks.parquet"), landmarks, {"box": boxes, "has_face": has_face})


if __name__ == "__main__":
    main()
