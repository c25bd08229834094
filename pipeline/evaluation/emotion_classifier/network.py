"""Which emotion a clip shows: the judge of generated clips, trained on real ones only.

No paper's network. The emotion discriminator of Maity 2024 (§4.1) cannot judge: it is trained against the generator that it
would judge, and knows a seventh class, "fake". Its strided convolutions over each frame are taken over; what the face does
while it speaks is averaged out over the clip.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.blocks.layers import Down
from pipeline.corpus.layouts import EMOTIONS
from pipeline.training.recipe import Terms

CHANNELS = (16, 32, 64, 64)  # of layers that halve the map
LUMA = (0.299, 0.587, 0.114)  # of red, green, blue (ITU-R BT.601)
# Of crops of 64 px: what lies so near the upper border and either side is hair and background; and the window of
# `standardised`. Without either, a person whom training did not see is hardly ever recognised.
BORDER, NEIGHBOURHOOD = 8 / 64, 9 / 64


@dataclass(frozen=True)
class Settings:
    """image_size: of the crops; width: factor on the number of filters; dropout: share of the clip's features left out."""

    image_size: int
    width: float
    dropout: float


class Batch(NamedTuple):
    """Frames of clips, and which emotion each shows."""

    frames: Tensor  # (B, T, 3, S, S) in −1 … 1
    emotion: Tensor  # int64 (B,), as in EMOTIONS

    @property
    def n_frames(self) -> int:
        return self.frames.shape[0] * self.frames.shape[1]


class EmotionClassifier(nn.Module):
    """Frames → convolutions → features of each frame, their mean over the clip → scores of the emotions."""

    def __init__(self, s: Settings):
        super().__init__()
        self.settings = s
        channels = [1, *(max(1, round(n * s.width)) for n in CHANNELS)]
        self.frame = nn.Sequential(*(Down(c, n, 3, 2) for c, n in pairwise(channels)))
        maps = self.frame(standardised(torch.zeros(1, 3, s.image_size, s.image_size)))
        # Flattened, not averaged over the map: faces are aligned, and where a brow is says what it does.
        self.features = nn.Sequential(nn.Flatten(), nn.Linear(maps.numel(), 64), nn.LeakyReLU(0.2))
        self.scores = nn.Sequential(nn.Dropout(s.dropout), nn.Linear(64, len(EMOTIONS)))

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, 3, S, S) in −1 … 1 → scores before the softmax (B, 6)."""
        features = self.features(self.frame(standardised(frames.flatten(0, 1))))
        return self.scores(features.unflatten(0, frames.shape[:2]).mean(dim=1))


def standardised(images: Tensor) -> Tensor:
    """The face in grey, with the mean and spread of each pixel's neighbourhood removed: complexion and light are not emotion.

    (N, 3, S, S) in −1 … 1 → (N, 1, S − b, S − 2b), without the BORDER of b pixels above and either side.
    """
    size = images.shape[-1]
    window, border = 2 * round(NEIGHBOURHOOD * size / 2 - 0.5) + 1, round(BORDER * size)

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, window, stride=1, padding=window // 2, count_include_pad=False)

    grey = (images * images.new_tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)
    variance = (mean(grey**2) - mean(grey) ** 2).clamp(min=0)
    face = (grey - mean(grey)) / (variance.sqrt() + 0.05)  # so that even skin is left even
    return face[..., border:, border : size - border]


class EmotionRecognition(nn.Module):
    """The network and its loss. Nothing judges it but the labels."""

    judged_for = {}

    def __init__(self, generator: EmotionClassifier):
        super().__init__()
        self.generator = generator

    def generate(self, batch: Batch) -> Tensor:
        return self.generator(batch.frames)

    def discriminator_terms(self, batch: Batch, scores: Tensor) -> Terms:
        return {}

    def generator_terms(self, batch: Batch, scores: Tensor) -> Terms:
        return {"cross_entropy": lambda: F.cross_entropy(scores.float(), batch.emotion)}

    def validation_error(self, batch: Batch, scores: Tensor) -> Tensor:
        return F.cross_entropy(scores.float(), batch.emotion)
