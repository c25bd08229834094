"""Clips for training and synthesis, read from the memory-mapped shards."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pipeline.corpus.about import read_about
from pipeline.corpus.shards import Shards
from pipeline.corpus.tables import Tables
from pipeline.errors import UserError
from pipeline.features.smoothing import steadied

T = TypeVar("T")
# So many clips of a table stay in memory: of landmarks 0.2 GB, if each has 75 frames.
RESIDENT = 4096


class ResidentTables(Tables):
    """Tables whose clips are read once: that takes milliseconds, and a training asks for each in every epoch."""

    def __init__(self, folder: Path):
        super().__init__(folder)
        self.kept = lru_cache(RESIDENT)(super().__getitem__)

    def __getitem__(self, clip: str) -> dict[str, np.ndarray]:
        return self.kept(clip)


FACES = ("fps", "landmarks", "face_parsing", "transform", "image_size", "template")
# What the stages before training leave of each clip: the stage's folder and what in it, how it is read, and what of the stage's
# about.json says how it was made. {faces} stands for one of params.yaml's `faces`.
SOURCES = {
    "crops": ("alignment/{faces}", "crops", Shards, FACES),
    "neutral": ("alignment/{faces}", "neutral", Shards, FACES),
    "landmarks": ("alignment/{faces}", "landmarks", ResidentTables, FACES),
    "heatmaps": ("heatmaps", "images", Shards, ("sigma",)),
    "action_units": ("action_units", "units", ResidentTables, ("labels",)),
    "waveform": ("audio_features", "waveform", Shards, ("sample_rate",)),
    "waveform_8000": ("audio_features", "waveform_8000", Shards, ()),
    "mel": ("audio_features", "mel", Shards, ("mel",)),
    "mfcc": ("audio_features", "mfcc", Shards, ()),
    "characters": ("character_features", "windows", Shards, ("characters",)),
}


class ClipStore:
    """The named sources (keys of SOURCES) as attributes, clip → array; and the table of those clips that each of them holds.

    faces: whose crops and landmarks these are, as a paper's parameters name them.
    """

    crops: Shards
    neutral: Shards
    landmarks: Tables
    heatmaps: Shards
    action_units: Tables
    waveform: Shards
    waveform_8000: Shards
    mel: Shards
    mfcc: Shards
    characters: Shards

    def __init__(self, data: Path, faces: str, *sources: str):
        self.data, self.faces, self.sources = data, faces, sources
        for source in sources:
            _, kind, reader, _ = SOURCES[source]
            setattr(self, source, reader(self._folder(source) / kind))
        clips = pd.read_parquet(data / "clips" / "clips.parquet").set_index("clip")
        self.clips = clips[[all(clip in getattr(self, source) for source in sources) for clip in clips.index]]

    def ids(self, *splits: str) -> list[str]:
        """Clips of the splits, in the order of their ids."""
        return sorted(self.clips.index[self.clips["split"].isin(splits)])

    @property
    def train(self) -> list[str]:
        """The training clips. Raises UserError where none is left."""
        clips = self.ids("train")
        if not clips:
            raise UserError("no clip is left to train on; data/**/rejected.parquet says why")
        return clips

    @property
    def validation(self) -> list[str]:
        """The validation clips; a corpus too small to spare any is validated on the first of those that it trains on."""
        return self.ids("validation") or self.train[:4]

    def steadied(self, clip: str) -> np.ndarray:
        """The clip's landmarks as networks learn them: float32 (T, 68, 2), crop pixels."""
        return steadied(self.landmarks.landmarks(clip))

    def n_frames(self, clip: str) -> int:
        """The clip's number of frames."""
        return self.landmarks.frames(clip) if "landmarks" in self.sources else len(self.crops[clip])

    @property
    def preprocessing(self) -> dict[str, Any]:
        """How the sources were made, by what the stages that made them say of it."""
        how = {}
        for source in self.sources:
            *_, keys = SOURCES[source]
            if keys:
                about = read_about(self._folder(source))
                how |= {key: about[key] for key in keys}
        return how

    def digest(self) -> str:
        """SHA-256 of all files that the sources consist of, and of the table of clips."""
        folders = [self._folder(source) / SOURCES[source][1] for source in self.sources]
        shards = [path for folder in folders for path in folder.glob("shard-*")]
        total = hashlib.sha256()
        for path in sorted([self.data / "clips" / "clips.parquet", *shards]):
            with path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
        return total.hexdigest()

    def _folder(self, source: str) -> Path:
        """Of the stage that made it."""
        return self.data / SOURCES[source][0].format(faces=self.faces)


# Frames that are validated on of each clip where the network of the last epoch is kept: whole clips would take a quarter of a
# training's time, and tell what plots show no better.
WATCHED = 25


class Excerpts(ABC):
    """An excerpt of every training clip an epoch, in random order; and of the validation clips `validated` frames, or all.

    length: frames of an excerpt; None = the whole clip. batch: so many are stacked along a first axis; None = each by itself,
    without such an axis. balance: above 0 an epoch has as many excerpts, but of clips drawn by lot, so that a person of n
    clips has a share of n^(1 − balance); at 1 all people have the same. What an epoch draws depends on the seed and its number
    only, so that a resumed run sees what an unbroken one does.
    """

    validated: int | None = None

    def __init__(self, store: ClipStore, length: int | None, batch: int | None = None, balance: float = 0):
        self.store, self.length, self.batch, self.balance = store, length, batch, balance
        self.train = store.train

    @abstractmethod
    def excerpt(self, clip: str, span: slice, rng: np.random.Generator, augment: bool) -> tuple[Tensor | None, ...]:
        """A NamedTuple of the clip's frames in `span`; augment: in training, where a mirror or another photo may be drawn."""

    def __len__(self) -> int:
        return -(-len(self.train) // (self.batch or 1))

    def epoch(self, seed: int, number: int) -> Iterator[tuple[Tensor | None, ...]]:
        rng = np.random.default_rng([seed, number])
        clips = self._drawn(rng) if self.balance else rng.permutation(self.train)
        return self._batches(self.excerpt(clip, self.span(clip, rng), rng, augment=True) for clip in clips)

    def validation(self, seed: int) -> Iterator[tuple[Tensor | None, ...]]:
        """Clip by clip, with the same draws every time."""
        for k, clip in enumerate(self.store.validation):
            span = slice(0, self.store.n_frames(clip))
            if self.validated:
                span = anywhere(span.stop, self.validated, np.random.default_rng([seed, k, self.validated]))
            yield from self._batches(iter([self.excerpt(clip, span, np.random.default_rng([seed, k]), augment=False)]))

    def span(self, clip: str, rng: np.random.Generator) -> slice:
        """Where the excerpt lies; of a clip that is no longer, all of it."""
        n_frames = self.store.n_frames(clip)
        return anywhere(n_frames, self.length or n_frames, rng)

    def _drawn(self, rng: np.random.Generator) -> np.ndarray:
        """As many clips as there are, with some of them again and others not, people balanced."""
        subjects = self.store.clips.loc[self.train, "subject"]
        chances = subjects.map(subjects.value_counts()).astype(float) ** -self.balance
        return rng.choice(self.train, len(self.train), p=chances / chances.sum())

    def _batches(self, excerpts: Iterator[tuple[Tensor | None, ...]]) -> Iterator[tuple[Tensor | None, ...]]:
        if self.batch is None:
            yield from excerpts
        while self.batch and (group := list(islice(excerpts, self.batch))):
            yield type(group[0])(*map(torch.stack, zip(*group, strict=True)))


def ahead(drawn: Iterable[T]) -> Iterator[T]:
    """The same, in the same order: the next is drawn by a thread while the last is learned from."""
    iterator, end = iter(drawn), object()
    with ThreadPoolExecutor(1, "ahead") as thread:
        coming = thread.submit(next, iterator, end)
        while (batch := coming.result()) is not end:
            coming = thread.submit(next, iterator, end)
            yield batch


def anywhere(n_frames: int, length: int, rng: np.random.Generator) -> slice:
    """A span of `length` of the frames, or of all where there are no more."""
    length = min(length, n_frames)
    start = int(rng.integers(n_frames - length + 1))
    return slice(start, start + length)


def held(span: slice, length: int, n_frames: int) -> np.ndarray:
    """The indices of `length` frames from the span's start. A clip that is shorter is held at its last frame: a batch has one
    length."""
    return np.minimum(span.start + np.arange(length), n_frames - 1)
