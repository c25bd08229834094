"""Do mouth and speech belong together at this moment? Two streams, both to one embedding, in SyncNet's form.

Chung & Zisserman 2016, "Out of time: automated lip sync in the wild", in small: the lower half of the face in five frames, and
the speech of the same 0.2 s. Trained on minutes where theirs saw hundreds of hours, and so told less to begin with: what a
face and a voice are like on average over a clip is removed. The loss is that of their successor (Chung, Chung & Kang 2019,
"Perfect match"): which of a clip's moments is heard, of all of its moments. Face and voice are the same in all of them, and
say nothing.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.evaluation.lip_sync.speech import COEFFICIENTS, COLUMNS
from pipeline.training.recipe import Terms

FRAMES = 5  # of a window
MOUTH = (32, 64)  # pixels to which the lower half of a crop is brought
CHANNELS = (24, 32, 64, 64)
EMBEDDING = 64
QUIET = 5.0  # logarithm of the energy of a noise of one step of 16 bits: below, silence is silence
SHARPNESS = 8.0  # of the softmax: factor on cosines


@dataclass(frozen=True)
class Settings:
    """width: factor on the number of filters; dropout: share of what is left out before the embedding."""

    width: float
    dropout: float


class Batch(NamedTuple):
    """Clips or excerpts, as they are seen and heard."""

    frames: Tensor  # (B, T, 3, S, S) in −1 … 1
    speech: Tensor  # (B, T, 13, 20), as by `speech_windows`

    @property
    def n_frames(self) -> int:
        return self.frames.shape[0] * self.frames.shape[1]


class Embedded(NamedTuple):
    """Windows that begin at each frame but the last four, as points on the unit sphere: (B, T − 4, E) each."""

    seen: Tensor
    heard: Tensor


class SyncNetwork(nn.Module):
    """Windows of frames and of speech → embeddings, near each other where they belong together."""

    def __init__(self, s: Settings):
        super().__init__()
        self.settings = s
        channels = [max(1, round(n * s.width)) for n in CHANNELS]
        # The first layer sees the frames of a window together (as SyncNet's), the others each window as a picture.
        self.moving = nn.Sequential(
            nn.Conv3d(1, channels[0], (FRAMES, 5, 5), stride=(1, 2, 2), padding=(0, 2, 2)), nn.LeakyReLU(0.2)
        )
        self.mouth = nn.Sequential(
            nn.BatchNorm2d(channels[0]),
            *(layer for c, n in pairwise(channels) for layer in _convolution(c, n, stride=2)),
            nn.Flatten(),
            nn.Dropout(s.dropout),
            nn.LazyLinear(EMBEDDING),
        )
        strides = ((1, 2), 2, 2)
        self.speech = nn.Sequential(
            *_convolution(1, channels[0], stride=1),
            *(
                x
                for (c, n), stride in zip(pairwise(channels), strides, strict=True)
                for x in _convolution(c, n, stride)
            ),
            nn.Flatten(),
            nn.Dropout(s.dropout),
            nn.LazyLinear(EMBEDDING),
        )
        with torch.no_grad():  # the linear layers learn how much there is
            self.mouth(torch.zeros(2, channels[0], MOUTH[0] // 2, MOUTH[1] // 2))
            self.speech(torch.zeros(2, 1, COEFFICIENTS, COLUMNS))

    def forward(self, frames: Tensor, speech: Tensor) -> Embedded:
        """frames: (B, T, 3, S, S) in −1 … 1; speech: (B, T, 13, 20) → Embedded of T − 4 windows."""
        n_windows = frames.shape[1] - FRAMES + 1
        seen = self.moving(mouths(frames)).transpose(1, 2)
        heard = standardised(speech)[:, :n_windows]
        pairs = zip((self.mouth, self.speech), (seen.flatten(0, 1), heard.flatten(0, 1)[:, None]), strict=True)
        return Embedded(*(F.normalize(network(x)).unflatten(0, (-1, n_windows)) for network, x in pairs))


def _convolution(channels: int, filters: int, stride: int | tuple[int, int]) -> tuple[nn.Module, ...]:
    return nn.Conv2d(channels, filters, 3, stride, padding=1), nn.BatchNorm2d(filters), nn.LeakyReLU(0.2)


def mouths(frames: Tensor) -> Tensor:
    """The lower half of faces in grey, less its mean over the clip: (B, T, 3, S, S) → (B, 1, T, 32, 64)."""
    lower = frames[..., frames.shape[3] // 2 :, :].mean(dim=2)
    if lower.shape[2:] != MOUTH:
        lower = F.interpolate(lower, MOUTH, mode="bilinear", antialias=True, align_corners=False)
    moving = lower - lower.mean(dim=1, keepdim=True)
    spread = moving.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    return (moving / (spread + 0.02))[:, None]  # so that a still mouth is left still


def standardised(speech: Tensor) -> Tensor:
    """(B, T, 13, 20), each coefficient with mean 0 and deviation 1 over the clip: loudness, voice, microphone are removed."""
    speech = torch.cat([speech[:, :, :1].clamp(min=QUIET), speech[:, :, 1:]], dim=2)
    apart = speech - speech.mean(dim=(1, 3), keepdim=True)
    return apart / (apart.square().mean(dim=(1, 3), keepdim=True).sqrt() + 0.1)


class Synchronisation(nn.Module):
    """The network and its loss: which of a clip's windows of speech belongs to this one of the face, and the reverse."""

    judged_for = {}

    def __init__(self, generator: SyncNetwork):
        super().__init__()
        self.generator = generator

    def generate(self, batch: Batch) -> Embedded:
        return self.generator(batch.frames, batch.speech)

    def discriminator_terms(self, batch: Batch, embedded: Embedded) -> Terms:
        return {}

    def generator_terms(self, batch: Batch, embedded: Embedded) -> Terms:
        return {"matching": lambda: matching_loss(embedded)}

    def validation_error(self, batch: Batch, embedded: Embedded) -> Tensor:
        return matching_loss(embedded)


def matching_loss(embedded: Embedded) -> Tensor:
    """Cross-entropy of the partner among the windows of its clip, both ways; ln W where the network knows nothing."""
    alike = SHARPNESS * embedded.seen.float() @ embedded.heard.float().transpose(1, 2)
    partner = torch.arange(alike.shape[1], device=alike.device).expand(alike.shape[:2])
    return (F.cross_entropy(alike.transpose(1, 2), partner) + F.cross_entropy(alike, partner)) / 2
