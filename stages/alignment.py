"""Align every face to the training split's mean face, and cut the crops that the systems learn."""

import hashlib
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd

from pipeline import parameters
from pipeline.corpus.about import read_about, write_about
from pipeline.corpus.incremental import Job, Made, checksum, process
from pipeline.corpus.tables import Tables
from pipeline.errors import UserError, one_line_errors
from pipeline.features.alignment import align_landmarks, crop_faces, template
from pipeline.features.blinks import blink_events
from pipeline.features.canonical import neutral_face
from pipeline.features.jitter import blink_amplitude_kept, jitter
from pipeline.features.landmarks import eye_aspect_ratio
from pipeline.features.lip_parsing import refine_clip
from pipeline.features.smoothing import steadied
from pipeline.video import stream_frames

OUT = Path("data/alignment")
# Of so many subjects one clip each makes the template: another clip in the corpus then seldom moves it, and with it all crops.
TEMPLATE_SUBJECTS = 50

faces = cache(Tables)


@cache
def parser(checkpoint: str) -> Callable[[np.ndarray], np.ndarray]:
    import torch

    from pipeline.features.face_parsing import face_parser

    # The limit on a worker's threads came before PyTorch was there.
    torch.set_num_threads(1)
    return face_parser(Path(checkpoint))


def align(
    item: tuple[str, str], target: np.ndarray, image_size: int, transform: str, fps: float, face_parsing: str | None
) -> Made:
    clip, video = item
    found = faces(Path("data/landmarks/faces"))
    raw, first_seen = found.landmarks(clip), found[clip]["has_face"].argmax()
    if face_parsing:
        raw = refine_clip(raw, stream_frames(Path(video), fps), parser(face_parsing))
    transforms, aligned = align_landmarks(raw, target, transform)
    smoothed = steadied(raw)
    figures = {
        "frames": len(raw),
        "jitter_raw": jitter(raw),
        "jitter_smoothed": jitter(smoothed),
        "jitter_aligned": jitter(aligned),
        "blinks": len(blink_events(eye_aspect_ratio(raw), fps)),
        "blink_amplitude_kept": blink_amplitude_kept(raw, smoothed, fps),
    }
    crops = crop_faces(stream_frames(Path(video), fps), transforms, image_size)
    # A clip may fade in. Its first frame, which systems take for the photo, shows a face all the same, where its landmarks are.
    crops[:first_seen] = crops[first_seen]
    table = {"points": aligned, "transform": transforms}
    return Made({"crops": crops, "neutral": neutral_face(steadied(aligned))}, {"landmarks": table}, figures)


def template_clips(clips: pd.DataFrame, usable: Tables) -> list[str]:
    """One training clip of each subject, the one with the least checksum of its id."""
    train = sorted(
        (clip for clip in usable if clips.loc[clip, "split"] == "train"), key=lambda c: (crc32(c.encode()), c)
    )
    first = {clips.loc[clip, "subject"]: clip for clip in reversed(train)}
    return sorted(first.values())[:TEMPLATE_SUBJECTS]


@one_line_errors
def main() -> None:
    p = parameters.load()
    clips = pd.read_parquet("data/clips/clips.parquet").set_index("clip")
    found = Tables(Path("data/landmarks/faces"))
    chosen = template_clips(clips, found)
    if not chosen:
        raise UserError(
            "no clip is left to train on; see corpus.held_out_sentences and the column `split` of data/clips"
        )
    means = np.stack([found.landmarks(clip).mean(axis=0) for clip in chosen])
    target = template(means, p.alignment.image_size, p.alignment.eye_distance, p.alignment.eye_height)
    OUT.mkdir(parents=True, exist_ok=True)
    np.save(OUT / "template.npy", target)

    face_parsing = p.alignment.face_parsing
    if face_parsing:
        # Whatever is wrong with the network ends the stage here, and not clip by clip.
        parser(face_parsing)
    work = partial(
        align,
        target=target,
        image_size=p.alignment.image_size,
        transform=p.alignment.transform,
        fps=p.corpus.fps,
        face_parsing=face_parsing,
    )
    made_from = hashlib.sha256(target.tobytes()).hexdigest(), checksum(face_parsing)
    jobs = {
        clip: Job((clips.loc[clip, "checksum"], found.digest(clip), *made_from), (clip, clips.loc[clip, "video"]))
        for clip in found
    }
    process("alignment", work, jobs, p.corpus.max_rejected, **dict(p.compute))
    how = dict(p.alignment) | {"template": target.tolist()}
    write_about(OUT, **read_about(Path("data/landmarks")), **how)


if __name__ == "__main__":
    main()
