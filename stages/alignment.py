"""Align every face to the training split's mean face, and cut the crops that the systems learn."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import parameters
from pipeline.corpus.shards import ShardWriter
from pipeline.corpus.tables import read_landmarks, write_landmarks, write_rejected
from pipeline.corpus.workers import each
from pipeline.errors import ClipRejected, UserError, one_line_errors
from pipeline.features.alignment import align_clip, template
from pipeline.features.smoothing import ground_truth_landmarks
from pipeline.video import read_frames


def align(item: tuple[str, np.ndarray], template: np.ndarray, image_size: int, fps: float) -> tuple:
    video, landmarks = item
    return align_clip(read_frames(Path(video), fps), landmarks, template, image_size)


@one_line_errors
def main() -> None:
    p = parameters.load()
    clips = pd.read_parquet("data/clips/clips.parquet").set_index("clip")
    landmarks = read_landmarks(Path("data/landmarks/landmarks.parquet"))
    train = [clip for clip in landmarks if clips.loc[clip, "split"] == "train"]
    if not train:
        raise UserError(
            "no clip is left to train on; see corpus.held_out_sentences and the column `split` of data/clips"
        )
    faces = np.stack([ground_truth_landmarks(landmarks[clip]).mean(axis=0) for clip in train])
    target = template(faces, p.alignment.image_size, p.alignment.eye_distance, p.alignment.eye_height)

    work = partial(align, template=target, image_size=p.alignment.image_size, fps=p.corpus.fps)
    items = [(clips.loc[clip, "video"], landmarks[clip]) for clip in landmarks]
    aligned, rejected = {}, {}
    out = Path("data/alignment")
    with ShardWriter(out / "crops") as crops:
        results = each(work, items, "alignment", p.compute.workers)
        for clip, (_, result) in zip(landmarks, results, strict=True):
            if isinstance(result, ClipRejected):
                rejected[clip] = result
            else:
                crops.add(clip, result[0])
                aligned[clip] = result[1]
    write_rejected(out, "alignment", rejected, len(landmarks), p.corpus.max_rejected)
    write_landmarks(out / "landmarks.parquet", aligned)
    np.save(out / "template.npy", target)


if __name__ == "__main__":
    main()
