"""Clips for training and synthesis, read from the memory-mapped shards."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pipeline.corpus.shards import Shards
from pipeline.errors import UserError
from pipeline.features.windows import mel_windows
from pipeline.models.kesim_erzin import NOISE_SIZE, Clip


class ClipStore:
    """What the stages before training left of each clip: crops, heatmaps, mel; those that every stage kept."""

    def __init__(self, data: Path, columns_per_frame: float, context_frames: int):
        self.crops = Shards(data / "alignment" / "crops")
        self.heatmaps = Shards(data / "heatmaps" / "images")
        self.mel = Shards(data / "audio_features" / "mel")
        self.columns_per_frame, self.context_frames = columns_per_frame, context_frames
        clips = pd.read_parquet(data / "clips" / "clips.parquet").set_index("clip")
        self.clips = clips[
            [all(clip in kept for kept in (self.crops, self.heatmaps, self.mel)) for clip in clips.index]
        ]

    def ids(self, *splits: str) -> list[str]:
        """Clips of the splits, in the order of their ids."""
        return sorted(self.clips.index[self.clips["split"].isin(splits)])

    def clip(
        self,
        clip_id: str,
        noise: Tensor,
        speech: bool,
        landmarks: bool,
        span: slice = slice(None),
        mirror: bool = False,
    ) -> Clip:
        """A clip, or the frames of `span`, as the networks take it. The reference is the clip's first frame in any case."""
        crops, heatmaps = self.crops[clip_id], self.heatmaps[clip_id]
        flip = -1 if mirror else 1
        mel = None
        if speech:
            windows = mel_windows(self.mel[clip_id], len(crops), self.columns_per_frame, self.context_frames)
            mel = torch.from_numpy(windows[span].copy())
        return Clip(
            reference=images_to_tensor(crops[:1, :, ::flip])[0],
            noise=noise,
            frames=images_to_tensor(crops[span, :, ::flip]),
            mel=mel,
            heatmaps=heatmaps_to_tensor(heatmaps[span, :, ::flip]) if landmarks else None,
            reference_heatmap=heatmaps_to_tensor(heatmaps[:1, :, ::flip])[0] if landmarks else None,
        )


def images_to_tensor(images: np.ndarray) -> Tensor:
    """uint8 (T, S, S, 3) → float32 (T, 3, S, S) in −1 … 1 (Kesim & Erzin §4.2)."""
    return torch.tensor(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float() / 127.5 - 1


def heatmaps_to_tensor(heatmaps: np.ndarray) -> Tensor:
    """uint8 (T, S, S) → float32 (T, 1, S, S) in 0 … 1."""
    return torch.tensor(np.ascontiguousarray(heatmaps))[:, None].float() / 255


def tensor_to_images(frames: Tensor) -> np.ndarray:
    """float (T, 3, S, S) in −1 … 1 → uint8 (T, S, S, 3)."""
    return ((frames.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def noise_vector(*seed: int) -> Tensor:
    """The noise of one video (Kesim & Erzin §3.3): standard normal, the same for the same seed whatever was drawn before."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(NOISE_SIZE, np.float32))


class TrainingClips:
    """One excerpt of every training clip an epoch, in random order, half of the clips mirrored (Kesim & Erzin §4.1).

    What an epoch draws depends on the seed and its number only, so that a resumed run sees what an unbroken one does.
    """

    def __init__(self, store: ClipStore, speech: bool, landmarks: bool, excerpt_frames: int | None, seed: int):
        self.store, self.inputs = store, {"speech": speech, "landmarks": landmarks}
        self.excerpt_frames, self.seed = excerpt_frames, seed
        self.train = store.ids("train")
        # A corpus too small to spare clips for validation is validated on the first of those it trains on.
        self.validation = store.ids("validation") or self.train[:4]
        if not self.train:
            raise UserError("no clip is left to train on; data/*/rejected.parquet says why")

    def epoch(self, number: int) -> Iterator[Clip]:
        rng = np.random.default_rng([self.seed, number])
        for clip in rng.permutation(self.train):
            n_frames = len(self.store.crops[clip])
            excerpt = min(self.excerpt_frames or n_frames, n_frames)
            start = int(rng.integers(n_frames - excerpt + 1))
            noise = torch.from_numpy(rng.standard_normal(NOISE_SIZE, np.float32))
            span, mirror = slice(start, start + excerpt), bool(rng.integers(2))
            yield self.store.clip(clip, noise, **self.inputs, span=span, mirror=mirror)

    def validation_clips(self) -> Iterator[Clip]:
        """Whole clips, never mirrored, with the same noise every time."""
        for k, clip in enumerate(self.validation):
            yield self.store.clip(clip, noise_vector(self.seed, k), **self.inputs)
