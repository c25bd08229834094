"""Generate the test clips by every trained system, and the references; write clips for people to look at."""

import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np
from tqdm import tqdm

from pipeline.corpus.shards import in_shards, write_shards
from pipeline.corpus.tables import write_landmarks
from pipeline.features.windows import from_int16
from pipeline.systems.system import Drawn, Driving, System
from pipeline.training.data import ClipStore
from pipeline.video import write_video

TEST_SPLITS = ("test_sentences", "test")


def _reencoded(crops: np.ndarray) -> np.ndarray:
    """Through JPEG at quality 75: how far the truth is from itself when nothing that matters has changed."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, 75]
    return np.stack([cv2.imdecode(cv2.imencode(".jpg", crop, quality)[1], cv2.IMREAD_COLOR) for crop in crops])


def _delayed(crops: np.ndarray, frames: int = 5) -> np.ndarray:
    """The truth, late by 0.2 s at 25 frames a second: does a metric notice?"""
    return crops[np.maximum(np.arange(len(crops)) - frames, 0)]


# What a table needs beside the systems: crops uint8 (T, S, S, 3) → frames of the same shape.
REFERENCES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "static": lambda crops: np.repeat(crops[:1], len(crops), axis=0),
    "ground_truth": lambda crops: crops,
    "ground_truth_reencoded": _reencoded,
    "ground_truth_delayed": _delayed,
}


def driving_of(clip: str, store: ClipStore, needs: Iterable[str]) -> Driving:
    """What drives a clip of the corpus: of its features, those that are needed; the photo is its first frame."""
    landmarks = store.landmarks.landmarks(clip)
    features = {name: getattr(store, name)[clip] for name in needs if name != "landmarks"}
    return Driving(len(landmarks), landmarks[0], landmarks=landmarks if "landmarks" in needs else None, **features)


def synthesise(name: str, system: System | None, store: ClipStore, out: Path, seed: int, **video: object) -> None:
    """Generate every test clip from its first frame, its speech and its true landmarks; or make a reference of its frames.

    Leaves frames in shards (what is evaluated), the same as MP4 with the clip's own sound (what people look at), pictures of
    the maps that composed them, and the landmarks that a cascade predicted.
    system: what generates, or None where `name` is one of REFERENCES. video: further arguments of `write_clip`.
    """

    def clips() -> Iterator[tuple[str, np.ndarray]]:
        for clip in tqdm(in_shards(store.ids(*TEST_SPLITS)), f"synthesis of {name}", unit="clip", disable=None):
            crops = store.crops[clip]
            if system is None:
                frames = REFERENCES[name](crops)
            else:
                clip_seed = crc32(f"{seed}/{clip}".encode())
                driving = driving_of(clip, store, system.needs)
                drawn = list(system.frames(crops[0], driving, clip_seed))
                frames = np.stack([frame.image for frame in drawn])
                if drawn[0].colour is not None:
                    save_maps(out / "maps" / f"{clip}.png", drawn)
                if system.landmarks:
                    predicted[clip] = system.landmarks(driving, clip_seed)
            write_clip(out / "videos" / f"{clip}.mp4", frames, from_int16(store.waveform[clip]), name, **video)
            yield clip, frames

    predicted: dict[str, np.ndarray] = {}
    write_shards(out / "frames", clips())
    if predicted:
        write_landmarks(out / "landmarks.parquet", predicted)


def save_maps(path: Path, drawn: list[Drawn], step: int = 5) -> None:
    """A picture of every `step`-th frame, of what was drawn anew in it, and of where (white), one above the other."""
    shown = drawn[::step]
    rows = [[d.image for d in shown], [d.colour for d in shown], [np.repeat(d.change[..., None], 3, 2) for d in shown]]
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.concatenate([np.concatenate(row, axis=1) for row in rows])[..., ::-1])


def write_clip(
    path: Path,
    frames: Iterable[np.ndarray],
    waveform: np.ndarray | None,
    system: str,
    fps: float,
    sample_rate: int,
    visible_mark: bool,
) -> None:
    """Write frames, uint8 (S, S, 3), with sound, shown at 256 px or more.

    Where they are generated, the container says so and by what, as does a mark in the picture unless switched off.
    """
    generated = not system.startswith("ground_truth")
    images = map(_enlarge, frames)
    if generated and visible_mark:
        images = map(mark, images)
    write_video(path, images, fps, waveform, sample_rate, provenance(system) if generated else {})


def _enlarge(frame: np.ndarray, size: int = 256) -> np.ndarray:
    if len(frame) >= size:
        return frame
    return cv2.resize(frame, (size, size), interpolation=cv2.INTER_CUBIC)


def mark(image: np.ndarray) -> np.ndarray:
    """Write "synthetic" into the lower left corner: uint8 (H, W, 3) → a marked copy."""
    image = np.ascontiguousarray(image).copy()
    scale = image.shape[0] / 640
    place = (round(12 * scale), image.shape[0] - round(14 * scale))
    for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(image, "synthetic", place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thickness, cv2.LINE_AA)
    return image


def provenance(system: str) -> dict[str, str]:
    """Container tags that say that a video is synthetic, by which system, and by which state of the code."""
    here = Path(__file__).parent
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True, check=False
    )
    commit = described.stdout.strip() or "unknown"
    return {"comment": f"synthetic talking head; system: {system}; code: {commit}", "synthetic": "true"}
