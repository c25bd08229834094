"""Cut the crops of one of `faces`, by a mean face or by boxes: `python -m stages.alignment small`."""

import argparse
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
from pipeline.features.alignment import align_faces, box_template, crop_faces, template
from pipeline.features.blinks import blink_events
from pipeline.features.canonical import neutral_face
from pipeline.features.jitter import blink_amplitude_kept, jitter
from pipeline.features.landmarks import eye_aspect_ratio
from pipeline.features.lip_parsing import refine_clip
from pipeline.features.smoothing import steadied
from pipeline.training.trained import read_card
from pipeline.video import stream_frames

FOUND = Path("data/landmarks/faces")
# Of so many subjects one clip each makes the template: another clip in the corpus then seldom moves it, and with it all crops.
TEMPLATE_SUBJECTS = 50

tables = cache(Tables)


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
    found = tables(FOUND)
    raw, boxes, first_seen = found.landmarks(clip), found[clip]["box"], found[clip]["has_face"].argmax()
    if face_parsing:
        raw = refine_clip(raw, stream_frames(Path(video), fps), parser(face_parsing))
    transforms, aligned = align_faces(raw, boxes, target, transform, image_size)
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


def made_template(
    clips: pd.DataFrame, found: Tables, faces: parameters.Faces, eye_distance: float, eye_height: float
) -> np.ndarray:
    """The template by the training split's faces, (68, 2) in crop pixels. Raises UserError where there is none."""
    chosen = template_clips(clips, found)
    if not chosen:
        raise UserError(
            "no clip is left to train on; see corpus.held_out_sentences and the column `split` of data/clips"
        )
    if faces.transform == "box":
        return box_template(((found.landmarks(clip), found[clip]["box"]) for clip in chosen), faces.image_size)
    means = np.stack([found.landmarks(clip).mean(axis=0) for clip in chosen])
    return template(means, faces.image_size, eye_distance, eye_height)


def given_template(folder: str, name: str, image_size: int) -> np.ndarray:
    """A trained system's template. Raises UserError where there is none, or it is of another size."""
    how = read_card(Path(folder))["preprocessing"]
    if how["image_size"] != image_size:
        raise UserError(
            f"params.yaml: faces.{name}.image_size is {image_size}, and the template of {folder} is of {how['image_size']}"
        )
    return np.array(how["template"])


@one_line_errors
def main() -> None:
    p = parameters.load()
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("faces", choices=p.faces, help="a name in `faces` of params.yaml")
    name = arguments.parse_args().faces
    faces, out = p.faces[name], Path("data/alignment") / name
    clips = pd.read_parquet("data/clips/clips.parquet").set_index("clip")
    found = Tables(FOUND)
    if faces.template:
        target = given_template(faces.template, name, faces.image_size)
    else:
        target = made_template(clips, found, faces, p.alignment.eye_distance, p.alignment.eye_height)
    out.mkdir(parents=True, exist_ok=True)
    np.save(out / "template.npy", target)

    face_parsing = p.alignment.face_parsing
    if face_parsing:
        # Whatever is wrong with the network ends the stage here, and not clip by clip.
        parser(face_parsing)
    work = partial(
        align,
        target=target,
        image_size=faces.image_size,
        transform=faces.transform,
        fps=p.corpus.fps,
        face_parsing=face_parsing,
    )
    # By a box a face lies where it does, whatever the template.
    made_from = (
        None if faces.transform == "box" else hashlib.sha256(target.tobytes()).hexdigest(),
        checksum(face_parsing),
    )
    jobs = {
        clip: Job((clips.loc[clip, "checksum"], found.digest(clip), *made_from), (clip, clips.loc[clip, "video"]))
        for clip in found
    }
    process(f"alignment/{name}", work, jobs, p.corpus.max_rejected, **dict(p.compute))
    how = dict(p.alignment) | dict(faces) | {"template": target.tolist()}
    write_about(out, **read_about(Path("data/landmarks")), **how)


if __name__ == "__main__":
    main()
