"""Generate the test clips by every trained system, and the references; write clips for people to look at."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from pipeline.corpus.about import read_about, write_about
from pipeline.corpus.layouts import EMOTIONS
from pipeline.corpus.shards import Shards, in_shards, write_shards
from pipeline.corpus.tables import Tables, write_landmarks
from pipeline.features.landmarks import mouth_opening
from pipeline.features.windows import from_int16
from pipeline.papers.interface import Drawn, Driving
from pipeline.references import REFERENCES
from pipeline.shown import enlarged, mark, provenance
from pipeline.systems.system import System
from pipeline.video import write_video

TEST_SPLITS = ("test_sentences", "test")
# "Only slight noise" (Chen S. 2021, Fig. 8): seconds of it, and its root mean square, −60 dB of full scale.
SILENCE_S, NOISE = 2.0, 1e-3


class HeldOutClips:
    """The test clips that came through every stage, the same for all systems, as one of `faces` shows them.

    table: a row per clip (split, subject, sentence, emotion). about: how the crops were made. By clip: crops uint8
    (T, S, S, 3); landmarks (T, 68, 2) in crop pixels; speech float32 (samples,) in −1 … 1 at `sample_rate` Hz.
    """

    def __init__(self, data: Path, faces: str, sample_rate: int):
        table = pd.read_parquet(data / "usable_clips.parquet").set_index("clip")
        self.table = table[table["split"].isin(TEST_SPLITS)]
        self.faces, aligned = faces, data / "alignment" / faces
        self.crops, self._landmarks = Shards(aligned / "crops"), Tables(aligned / "landmarks")
        self.about = read_about(aligned)
        self._waveforms = Shards(data / "audio_features" / "waveform")
        self.sample_rate = sample_rate

    def landmarks(self, clip: str) -> np.ndarray:
        return self._landmarks.landmarks(clip)

    def speech(self, clip: str) -> np.ndarray:
        return from_int16(self._waveforms[clip])

    def emotion(self, clip: str) -> str:
        """The clip's label; one whose emotion nobody noted is taken for neutral."""
        emotion = self.table.loc[clip, "emotion"]
        return emotion if emotion in EMOTIONS else "NEU"

    def driving(self, clip: str, system: System) -> Driving:
        """What drives a system to say what the clip says, from the clip's first frame."""
        landmarks, sound = self.landmarks(clip), self.speech(clip)
        return system.driving(
            len(landmarks), landmarks[0], sound, self.sample_rate, landmarks=landmarks, emotion=self.emotion(clip)
        )


def seed_of(clip: str, seed: int) -> int:
    """The clip's own seed."""
    return crc32(f"{seed}/{clip}".encode())


def make_references(clips: HeldOutClips, out: Path, videos: Path) -> None:
    """The test clips' own frames as each of REFERENCES: what they are compared with, in shards below out/NAME, and as MP4.

    Beside the truth and the still photo lie their landmarks; in `out`, what was said of how the crops were made.
    """

    def made(name: str) -> Iterator[tuple[str, np.ndarray]]:
        for clip in progress(clips.table.index, name):
            frames = REFERENCES[name](clips.crops[clip])
            path = videos / name / f"{clip}.mp4"
            write_clip(path, frames, clips.speech(clip), clips.about["fps"], clips.sample_rate)
            yield clip, frames

    for name in REFERENCES:
        write_shards(out / name / "frames", made(name))
    for name in ("static", "ground_truth"):
        landmarks = {clip: REFERENCES[name](clips.landmarks(clip)) for clip in in_shards(clips.table.index)}
        write_landmarks(out / name / "landmarks.parquet", landmarks)
    write_about(out, **clips.about)


def synthesise(system: System, clips: HeldOutClips, out: Path, videos: Path, seed: int, visible_mark: bool) -> None:
    """Generate every test clip from its first frame, its speech and its true landmarks.

    Leaves below `out` what is measured, in shards: frames; of systems that predict landmarks, these; of those that an emotion
    conditions, every clip in all of them; of those that speech drives, photos in silence; and whose truth to compare them with.
    In `videos`, what people look at: the frames with the clip's own sound as MP4, and pictures of the maps that composed them.
    """

    def generated() -> Iterator[tuple[str, np.ndarray]]:
        for clip in progress(clips.table.index, system.name):
            driving, own_seed = clips.driving(clip, system), seed_of(clip, seed)
            drawn = list(system.frames(clips.crops[clip][0], driving, own_seed))
            frames = np.stack([frame.image for frame in drawn])
            if drawn[0].colour is not None:
                save_maps(videos / "maps" / f"{clip}.png", drawn)
            if system.landmarks:
                predicted[clip] = system.landmarks(driving, own_seed)
            write_clip(
                videos / f"{clip}.mp4",
                map(mark, map(enlarged, frames)) if visible_mark else frames,
                clips.speech(clip),
                system.preprocessing.fps,
                clips.sample_rate,
                provenance(system),
            )
            yield clip, frames

    predicted: dict[str, np.ndarray] = {}
    write_shards(out / "frames", generated())
    write_about(out, faces=clips.faces)
    if predicted:
        write_landmarks(out / "landmarks.parquet", predicted)
    if "emotion" in system.needs:
        synthesise_emotions(system, clips, out, seed)
    if "landmarks" not in system.needs:
        write_shards(out / "silence", silence(system, clips, seed))


def synthesise_emotions(system: System, clips: HeldOutClips, out: Path, seed: int) -> None:
    """Every test clip's photo and speech in each emotion: shards in out/emotions/EMOTION. Nothing but the emotion differs.

    In its own emotion a clip is what it is in out/frames.
    """
    own = Shards(out / "frames")

    def generated(emotion: str) -> Iterator[tuple[str, np.ndarray]]:
        for clip in progress(own, f"{system.name}: {emotion}"):
            driving = clips.driving(clip, system)
            if driving.emotion == emotion:
                yield clip, own[clip]
            else:
                yield (
                    clip,
                    drawn_frames(system, clips.crops[clip][0], replace(driving, emotion=emotion), seed_of(clip, seed)),
                )

    for emotion in EMOTIONS:
        write_shards(out / "emotions" / emotion, generated(emotion))


def silence(system: System, clips: HeldOutClips, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """The photos of `silent_clips` while nobody speaks: clip → frames, in the order of `in_shards`."""
    n_frames = round(SILENCE_S * system.preprocessing.fps)
    for clip in in_shards(silent_clips(clips)):
        n_samples = round(SILENCE_S * clips.sample_rate)
        noise = (NOISE * np.random.default_rng(seed_of(clip, seed)).standard_normal(n_samples)).astype(np.float32)
        photo_landmarks, emotion = clips.landmarks(clip)[0], clips.emotion(clip)
        driving = system.driving(n_frames, photo_landmarks, noise, clips.sample_rate, emotion=emotion)
        yield clip, drawn_frames(system, clips.crops[clip][0], driving, seed_of(clip, seed))


def silent_clips(clips: HeldOutClips) -> list[str]:
    """The photos that are to keep still, two of each test subject: with the mouth the most closed, and the most open.

    Both, as in Chen S. 2021, Fig. 8: a mouth that is shut whatever the photo is still as well, but is not the photo's.
    """
    opening = {clip: float(mouth_opening(clips.landmarks(clip)[0])) for clip in clips.table.index}
    subjects = clips.table.groupby(["split", "subject"], dropna=False).groups.values()
    return sorted({choose(of_one, key=opening.get) for of_one in subjects for choose in (min, max)})


def progress(clips: Iterable[str], label: str) -> Iterator[str]:
    """Clips in the order of shards, with a bar."""
    return iter(tqdm(in_shards(clips), f"synthesis of {label}", unit="clip", disable=None))


def drawn_frames(system: System, photo: np.ndarray, driving: Driving, seed: int) -> np.ndarray:
    """All that a system draws of a photo, uint8 (n_frames, S, S, 3)."""
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
    fps: float,
    sample_rate: int,
    tags: dict[str, str] | None = None,
) -> None:
    """Write frames, uint8 (S, S, 3), with sound, shown at 256 px or more. tags: of the container."""
    write_video(path, map(enlarged, frames), fps, waveform, sample_rate, tags or {})
