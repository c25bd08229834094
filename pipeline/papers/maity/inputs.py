"""What Maity's generator is given beside a photo and an emotion, in training and in use alike: speech and noise."""

import numpy as np
import torch
from torch import Tensor

from pipeline.features.windows import from_int16
from pipeline.papers.maity.networks import FRAME_SAMPLES, NOISE_SIZE, heard_samples

WAVEFORM_RATE = 8000  # Hz, of the stored waveform
QUIET = 0.02  # the least peak that speech is taken to have: 34 dB below full scale


def prepared(samples: np.ndarray, fps: float) -> np.ndarray:
    """The speech as the encoder takes it: stored int16 at 8 kHz → float32 in −1 … 1, without its mean, its peak 1 (published);
    what is quieter than any speech is not made as loud.

    The encoder steps by FRAME_SAMPLES a frame. On another clock than 25 frames a second the speech is stretched to that.
    """
    waveform = from_int16(samples)
    step = WAVEFORM_RATE / (FRAME_SAMPLES * fps)
    if step != 1:
        waveform = np.interp(np.arange(0, len(waveform), step), np.arange(len(waveform)), waveform).astype(np.float32)
    waveform = waveform - waveform.mean()
    return waveform / max(np.abs(waveform).max(), QUIET)


def heard(waveform: np.ndarray, start: int, stop: int) -> Tensor:
    """What the frames start … stop − 1 are made of; beyond the speech's ends stands silence."""
    wanted = heard_samples(start, stop)
    before, after = max(0, -wanted.start), max(0, wanted.stop - len(waveform))
    inside = waveform[max(0, wanted.start) : max(0, wanted.stop)]
    return torch.from_numpy(np.pad(inside, (before, after))[: wanted.stop - wanted.start])


def draw_noise(n_frames: int, rng: np.random.Generator) -> Tensor:
    """A new vector every frame, standard normal (§4.1.3): (n_frames, NOISE_SIZE)."""
    return torch.from_numpy(rng.standard_normal((n_frames, NOISE_SIZE), np.float32))
