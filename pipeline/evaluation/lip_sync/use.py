"""A judge of sync looks at a clip and hears it: the network that a stage trains, or the published one."""

import math
from collections.abc import Callable
from functools import cache, partial
from hashlib import file_digest
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.blocks.images import images_to_tensor
from pipeline.errors import UserError
from pipeline.evaluation.lip_sync import published
from pipeline.evaluation.lip_sync.network import FRAMES, Embedded, Settings, SyncNetwork
from pipeline.evaluation.lip_sync.speech import speech_windows
from pipeline.evaluation.sync import LEAST_FRAMES, REACH, SYNC
from pipeline.training.trained import load_network, read_trained

# Frames uint8 (T, S, S, 3) and their speech (T, 13, 20) → embeddings of T − 4 windows.
Judge = Callable[[np.ndarray, np.ndarray], Embedded]


@cache
def load(path: Path, fps: float) -> Judge:
    """The judge in the folder of a trained network, or the published one in its file, of clips of so many frames a second.

    Raises UserError where there is none, or it knows no such clips.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist; it is to judge sync: {published.NAME}, or a folder such as sync@small")
    network, embed, own_fps = _read(path)
    if fps != own_fps:
        raise UserError(f"{path} judges the sync of {own_fps:g} frames a second, and these are {fps:g}")
    return partial(embed, network)


def described(path: Path) -> str:
    """The judge in words, for a signature."""
    how = f"windows of {FRAMES} frames, lags within ±{REACH}, zeros beyond the ends"
    if path.is_dir():
        return f"{path.name}, trained by key {read_trained(path)['key']}; {how}"
    with path.open("rb") as file:
        return f"{path.name}, SHA-256 {file_digest(file, 'sha256').hexdigest()[:16]}; {how}"


def _read(path: Path) -> tuple[nn.Module, Callable[..., Embedded], float]:
    """A network, what embeds clips by it, and the frames a second that it knows."""
    if path.is_file():
        return published.load(path), published.embed, published.FPS
    network, about = load_network(path, SyncNetwork, Settings)
    return network, _embed, about["preprocessing"]["fps"]


def _embed(network: SyncNetwork, frames: np.ndarray, speech: np.ndarray) -> Embedded:
    seen, heard = network(images_to_tensor(frames)[None], torch.from_numpy(speech)[None])
    return Embedded(seen[0], heard[0])


@torch.inference_mode()
def lip_sync(judge: Judge, frames: np.ndarray, waveform: np.ndarray, sample_rate: int, fps: float) -> dict[str, float]:
    """SYNC of a clip: uint8 (T, S, S, 3) and its speech, float mono in −1 … 1. NaN where it is too short."""
    if len(frames) < LEAST_FRAMES:
        return dict.fromkeys(SYNC, math.nan)
    return synchrony(*judge(frames, speech_windows(waveform, sample_rate, len(frames), fps)))


def synchrony(seen: Tensor, heard: Tensor) -> dict[str, float]:
    """SYNC of a clip's windows: embeddings (W, E) of faces and of speech.

    The distance at a lag is the mean of the faces' windows from the speech's so many windows earlier; of these, what would lie
    beyond either end is zero. The offset is the lag of the least distance, positive: the face is late, as in `mouth_lag`. The
    confidence is how much less it is than the median (Chung & Zisserman 2016, §3.2; edges as in their program).
    """
    padded, n = F.pad(heard, (0, 0, REACH, REACH)), len(seen)
    lags = range(-REACH, REACH + 1)
    by_lag = torch.stack([F.pairwise_distance(seen, padded[REACH - lag :][:n]).mean() for lag in lags])
    least = int(by_lag.argmin())
    values = lags[least], by_lag.quantile(0.5) - by_lag[least], by_lag[least]
    return {name: float(value) for name, value in zip(SYNC, values, strict=True)}
