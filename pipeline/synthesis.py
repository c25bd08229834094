"""Generate the test clips by every trained system, and the references; write clips for people to look at."""

import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np
from tqdm import tqdm

from pipeline.corpus.layouts import EMOTIONS
from pipeline.corpus.shards import Shards, in_shards, write_shards
from pipeline.corpus.tables import write_landmarks
from pipeline.features.landmarks import mouth_opening
from pipeline.features.windows import from_int16
from pipeline.systems.speech import speech_features
from pipeline.systems.system import Drawn, Driving, System
from pipeline.training.data import ClipStore
from pipeline.video import write_video

TEST_SPLITS = ("test_sentences", "test")
# "Only slight noise" (Chen S. 2021, Fig. 8): seconds of it, and its root mean square, −60 dB of full scale.
SILENCE_S, NOISE = 2.0, 1e-3


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
    features = {name: getattr(store, name)[clip] for name in needs if name not in ("landmarks", "emotion")}
    if "landmarks" in needs:
        features["landmarks"] = landmarks
    if "emotion" in needs:
        features["emotion"] = emotion_of(clip, store)
    return Driving(len(landmarks), landmarks[0], **features)


def emotion_of(clip: str, store: ClipStore) -> str:
    """The clip's label; one whose emotion nobody noted is taken for neutral."""
    emotion = store.clips.loc[clip, "emotion"]
    return emotion if emotion in EMOTIONS else "NEU"


def seed_of(clip: str, seed: int) -> int:
    """The clip's own seed."""
    return crc32(f"{seed}/{clip}".encode())


def synthesise(
    name: str,
    system: System | None,
    store: ClipStore,
    out: Path,
    seed: int,
    fps: float,
    sample_rate: int,
    visible_mark: bool,
) -> None:
    """Generate every test clip from its first frame, its speech and its true landmarks; or make a reference of its frames.

    Leaves frames in shards (what is evaluated), the same as MP4 with the clip's own sound (what people look at), pictures of
    the maps that composed them, and the landmarks that a cascade predicted; of systems that an emotion conditions, every clip
    in all of them; of those that speech drives, photos in silence.
    system: what generates, or None where `name` is one of REFERENCES.
    """

    def clips() -> Iterator[tuple[str, np.ndarray]]:
        for clip in tqdm(in_shards(store.ids(*TEST_SPLITS)), f"synthesis of {name}", unit="clip", disable=None):
            crops = store.crops[clip]
            if system is None:
                frames = REFERENCES[name](crops)
            else:
                driving = driving_of(clip, store, system.needs)
                drawn = list(system.frames(crops[0], driving, seed_of(clip, seed)))
                frames = np.stack([frame.image for frame in drawn])
                if drawn[0].colour is not None:
                    save_maps(out / "maps" / f"{clip}.png", drawn)
                if system.landmarks:
                    predicted[clip] = system.landmarks(driving, seed_of(clip, seed))
            sound = from_int16(store.waveform[clip])
            write_clip(out / "videos" / f"{clip}.mp4", frames, sound, name, fps, sample_rate, visible_mark)
            yield clip, frames

    predicted: dict[str, np.ndarray] = {}
    write_shards(out / "frames", clips())
    if predicted:
        write_landmarks(out / "landmarks.parquet", predicted)
    if system and "emotion" in system.needs:
        synthesise_emotions(system, store, out, seed)
    if system and "landmarks" not in system.needs:
        write_shards(out / "silence", silence(system, store, seed, sample_rate))


def synthesise_emotions(system: System, store: ClipStore, out: Path, seed: int) -> None:
    """Every test clip's photo and speech in each emotion: shards in out/emotions/EMOTION. Nothing but the emotion differs.

    In its own emotion a clip is what it is in out/frames.
    """
    own = Shards(out / "frames")

    def clips(emotion: str) -> Iterator[tuple[str, np.ndarray]]:
        for clip in tqdm(in_shards(own), f"{system.name}: {emotion}", unit="clip", disable=None):
            driving = driving_of(clip, store, system.needs)
            if driving.emotion == emotion:
                yield clip, own[clip]
            else:
                yield (
                    clip,
                    _images(system, store.crops[clip][0], replace(driving, emotion=emotion), seed_of(clip, seed)),
                )

    for emotion in EMOTIONS:
        write_shards(out / "emotions" / emotion, clips(emotion))


def silence(system: System, store: ClipStore, seed: int, sample_rate: int) -> Iterator[tuple[str, np.ndarray]]:
    """The photos of `silent_clips` while nobody speaks: clip → frames, in the order of `in_shards`."""
    n_frames = round(SILENCE_S * system.preprocessing["fps"])
    for clip in in_shards(silent_clips(store)):
        noise = NOISE * np.random.default_rng(seed_of(clip, seed)).standard_normal(round(SILENCE_S * sample_rate))
        features = speech_features(noise.astype(np.float32), sample_rate, n_frames, system)
        if "emotion" in system.needs:
            features["emotion"] = emotion_of(clip, store)
        driving = Driving(n_frames, store.landmarks.landmarks(clip)[0], **features)
        yield clip, _images(system, store.crops[clip][0], driving, seed_of(clip, seed))


def silent_clips(store: ClipStore) -> list[str]:
    """The photos that are to keep still, two of each test subject: with the mouth the most closed, and the most open.

    Both, as in Chen S. 2021, Fig. 8: a mouth that is shut whatever the photo is still as well, but is not the photo's.
    """
    clips = store.clips.loc[store.ids(*TEST_SPLITS)]
    opening = {clip: float(mouth_opening(store.landmarks.landmarks(clip)[0])) for clip in clips.index}
    subjects = clips.groupby(["split", "subject"], dropna=False).groups.values()
    return sorted({choose(of_one, key=opening.get) for of_one in subjects for choose in (min, max)})


def _images(system: System, photo: np.ndarray, driving: Driving, seed: int) -> np.ndarray:
    return np.stack([frame.image for frame in system.frames(photo, driving, seed)])


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
