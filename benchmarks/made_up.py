"""Made-up clips, as the stages before training leave them: trainings on them need no corpus, and tests know what is in them."""

import shutil
from collections.abc import Mapping, Sequence
from itertools import cycle, groupby, islice
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.corpus.about import read_about, write_about
from pipeline.corpus.layouts import EMOTIONS
from pipeline.corpus.shards import in_shards, shard_of, write_shards
from pipeline.corpus.tables import frames_table, write_table_shard
from pipeline.papers.chen_s.action_units import AUS, AUClassifier, AUClassifierSettings, AudioToAU, AudioToAUSettings
from pipeline.parameters import Faces
from pipeline.training.trained import fields_of, save_network

SUBJECTS = ["1001", "1001", "1002", "1002", "1001", "1003"]
SPLITS = ["train", "train", "train", "validation", "test_sentences", "test"]


def write_data(folder: Path, lengths: Sequence[int]) -> None:
    """Clips of so many frames each, clip0, clip1, …: crops of 64 px, landmarks, heatmaps, mel spectra, MFCC and characters."""
    rng, clips = np.random.default_rng(0), _names(lengths)
    (folder / "clips").mkdir()
    described = {"clip": clips, "subject": _each(clips, SUBJECTS), "split": _each(clips, SPLITS)}
    pd.DataFrame(described).to_parquet(folder / "clips" / "clips.parquet")
    shards = {"alignment/small/crops": {}, "heatmaps/images": {}, "audio_features/mel": {}}
    for clip, n in zip(clips, lengths, strict=True):
        shards["alignment/small/crops"][clip] = rng.integers(0, 255, (n, 64, 64, 3)).astype(np.uint8)
        shards["heatmaps/images"][clip] = rng.integers(0, 255, (n, 64, 64)).astype(np.uint8)
        shards["audio_features/mel"][clip] = rng.normal(0, 0.3, (round(n * 2.42), 60)).astype(np.float32)
    for name, arrays in shards.items():
        write_shards(folder / name, ((clip, arrays[clip]) for clip in in_shards(arrays)))
    np.save(folder / "alignment" / "small" / "template.npy", rng.normal(32, 10, (68, 2)))
    write_faces(folder, lengths)
    write_abouts(folder)


def write_abouts(folder: Path) -> None:
    """What the stages say of how they made it."""
    template = np.load(folder / "alignment" / "small" / "template.npy").tolist()
    landmarks = {"backend": "dlib", "redetect_every": 25, "max_missing": 0.1}
    faces = {"transform": "per_frame", "image_size": 64, "face_parsing": None, "template": template}
    write_about(folder / "alignment" / "small", fps=25.0, landmarks=landmarks, **faces)
    write_about(folder / "heatmaps", sigma=1.0)
    write_about(folder / "action_units", labels={"action_units": "landmarks"})
    speech = {"sample_rate": 22050, "mel_bands": 60, "window_ms": 33.0}
    write_about(folder / "audio_features", sample_rate=22050, mel=speech)
    characters = {"backend": "ctc", "model": None, "symbols": [*" abcdefghijklmnopqrstuvwxyz'", ""]}
    write_about(folder / "character_features", characters=characters, steps=16)


def write_faces(folder: Path, lengths: Sequence[int]) -> None:
    """Landmarks of made-up people whose lower lip goes up and down, their neutral faces, and audio features that say so."""
    rng, clips = np.random.default_rng(1), _names(lengths)
    mean = np.load(folder / "alignment" / "small" / "template.npy")
    mean[[67, 66, 65]] = mean[[61, 62, 63]] + [0, 0.5]
    # Level eyes, the person's right one on the left.
    mean[36:42] += [20, 25] - mean[36:42].mean(axis=0)
    mean[42:48] += [44, 25] - mean[42:48].mean(axis=0)
    landmarks, neutral, characters, mfcc = {}, {}, {}, {}
    for clip, n in zip(clips, lengths, strict=True):
        opening = 2 * np.sin(np.arange(n)) ** 2
        neutral[clip] = (mean + rng.normal(0, 0.05, (68, 2))).astype(np.float32)
        track = np.repeat(neutral[clip][None], n, axis=0)
        track[:, [*range(55, 60), *range(65, 68)], 1] += opening[:, None]
        landmarks[clip] = track + rng.normal(0, 0.02, track.shape).astype(np.float32)
        characters[clip] = rng.uniform(-1, 0, (n, 16, 29)).astype(np.float32)
        characters[clip][:, :, 0] = -10 * opening[:, None]
        mfcc[clip] = rng.normal(0, 1, (4 * n, 12)).astype(np.float32)
        mfcc[clip][:, 0] = 10 * np.repeat(opening, 4)
    write_shards(folder / "alignment" / "small" / "neutral", ((clip, neutral[clip]) for clip in in_shards(clips)))
    write_shards(folder / "character_features" / "windows", ((clip, characters[clip]) for clip in in_shards(clips)))
    write_shards(folder / "audio_features" / "mfcc", ((clip, mfcc[clip]) for clip in in_shards(clips)))
    tables = {clip: {"points": landmarks[clip]} for clip in clips}
    _write_tables(folder / "alignment" / "small" / "landmarks", tables)


def add_the_rest(folder: Path, lengths: Sequence[int]) -> None:
    """All that any training asks for beside: emotions, speech, action units. Every clip is a training clip."""
    rng, clips = np.random.default_rng(3), _names(lengths)
    table = folder / "clips" / "clips.parquet"
    pd.read_parquet(table).assign(emotion=_each(clips, EMOTIONS), split="train").to_parquet(table)
    for name, per_frame in (("waveform_8000", 320), ("waveform", 882)):
        n_samples = per_frame * (max(lengths) + 1)
        speech = {clip: rng.integers(-9000, 9000, n_samples).astype(np.int16) for clip in clips}
        write_shards(folder / "audio_features" / name, ((clip, speech[clip]) for clip in in_shards(clips)))
    n_frames, units = dict(zip(clips, lengths, strict=True)), {}
    for clip in in_shards(clips):
        n = n_frames[clip]
        units[clip] = {f"AU{au:02d}_c": rng.integers(2, size=n).astype(np.float32) for au in AUS}
        units[clip] |= {f"AU{au:02d}_r": np.ones(n, np.float32) for au in AUS}
    _write_tables(folder / "action_units" / "units", units)


def add_pretrained(folder: Path, image_size: int, width: float) -> None:
    """Chen S.'s networks of action units, untrained."""
    networks = {
        "audio_to_au": (AudioToAU, AudioToAUSettings(width)),
        "au_classifier": (AUClassifier, AUClassifierSettings(image_size, width)),
    }
    for name, (kind, settings) in networks.items():
        about = {"settings": fields_of(settings), "occurrence": [0.5] * 5}
        save_network(folder / "trained" / "chen_s" / name, kind(settings).state_dict(), about)


def add_crops(folder: Path, lengths: Sequence[int], faces: Mapping[str, Faces]) -> None:
    """Crops of other sizes and transforms than those of `write_data`, by their names; their landmarks are those of 64 px."""
    clips, small = _names(lengths), folder / "alignment" / "small"
    n_frames = dict(zip(clips, lengths, strict=True))
    for name, how in faces.items():
        if name == small.name:
            continue
        made, size, rng = folder / "alignment" / name, how.image_size, np.random.default_rng(0)
        shutil.copytree(small, made, ignore=shutil.ignore_patterns("crops"))
        crops = ((clip, rng.integers(0, 255, (n_frames[clip], size, size, 3), np.uint8)) for clip in in_shards(clips))
        write_shards(made / "crops", crops)
        write_about(made, **read_about(small) | how.model_dump(include={"image_size", "transform"}))


def _names(lengths: Sequence[int]) -> list[str]:
    return [f"clip{k}" for k in range(len(lengths))]


def _each(clips: Sequence[str], values: Sequence[str]) -> list[str]:
    """A value for each clip, over and over again."""
    return list(islice(cycle(values), len(clips)))


def _write_tables(folder: Path, by_clip: Mapping[str, dict[str, np.ndarray]]) -> None:
    """One row per frame and clip, in shards."""
    for name, members in groupby(in_shards(by_clip), key=shard_of):
        tables = [(clip, frames_table(clip, by_clip[clip]), k) for k, clip in enumerate(members)]
        write_table_shard(folder, name, tables)
