"""Chen S. 2021, "Talking Head Generation with Audio and Speech Related Facial Action Units": its two pre-trained networks.

The Audio-to-AU module hears action units in speech, and what it knows of each is part of what drives the generator; the AU
classifier sees them in the lower face, and judges by them what the generator draws (§3.1). Both are trained for the AU loss,
Eqs. 1–3. Sizes of layers are ours throughout: the paper gives their number, and the 64 features of each action unit. B excerpts
of T frames are a batch; action units stand in the order of AUS.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.features.windows import MFCC_COLUMNS, MFCC_SIZE
from pipeline.training.recipe import Terms

AUS = (10, 14, 20, 25, 26)  # those of speech (§3.1, Fig. 2)
# ε of Eq. 2, which the paper does not give: one frame's worth, so that a unit that occurs in no frame of a batch still has a
# gradient.
SMOOTH = 1.0
# A unit that occurs in a smaller share of the frames is weighted as if it occurred in this one. Without the bound, one that
# occurs in 6 of 9,450 frames (AU14, a speaker of GRID) takes 93 % of the weight, and a classifier whose layers all units share
# learns none of them.
RAREST = 0.05
# Weights of Eq. 3, which adds its two terms.
AU_LOSS = {"bce": 1.0, "dice": 1.0}


@dataclass(frozen=True)
class AudioToAUSettings:
    """What `AudioToAU` is built from; saved with its weights."""

    width: float  # factor on the number of filters and units (paper: 1)


@dataclass(frozen=True)
class AUClassifierSettings:
    """What `AUClassifier` is built from; saved with its weights."""

    image_size: int  # pixels of the whole crop, a multiple of 8 (paper: 112)
    width: float  # factor on the number of filters and units (paper: 1)


def scaled(width: float, *numbers: int) -> list[int]:
    return [max(4, round(n * width)) for n in numbers]


class AUs(NamedTuple):
    """What speech says of action units."""

    features: Tensor  # (B, T, 5 · 64 · width): f_au, what drives the generator
    logits: Tensor  # (B, T, 5), of the probability that each occurs
    state: tuple[tuple[Tensor, Tensor], ...]  # of the five modules' LSTM layers after the last frame


class AUModule(nn.Module):
    """Speech → one action unit: convolutions in the frequency and in the time domain, two LSTM layers, three linear layers.

    "Respectively convolved in the frequency domain and time domain" is read as two branches. One slides along the 12
    coefficients, with the window's 28 columns as channels; the other along the columns, with the coefficients as channels.
    """

    def __init__(self, width: float):
        super().__init__()
        filters, units, features = scaled(width, 64, 128, 64)
        self.frequency, self.time = (
            nn.Sequential(
                nn.Conv1d(channels, filters, 3, stride=2, padding=1),
                nn.LeakyReLU(0.2),
                nn.Conv1d(filters, filters, 3, stride=2, padding=1),
                nn.LeakyReLU(0.2),
                nn.Flatten(),
            )
            for channels in (MFCC_COLUMNS, MFCC_SIZE)
        )
        self.lstm = nn.LSTM(filters * (MFCC_SIZE + MFCC_COLUMNS) // 4, units, num_layers=2, batch_first=True)
        self.features = nn.Sequential(
            nn.Linear(units, units), nn.LeakyReLU(0.2), nn.Linear(units, features), nn.LeakyReLU(0.2)
        )
        self.occurrence = nn.Linear(features, 1)

    def forward(
        self, windows: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """(B, T, 28, 12) → features (B, T, 64 · width), logit (B, T, 1), state."""
        frames = windows.flatten(0, 1)
        heard = torch.cat([self.frequency(frames), self.time(frames.transpose(1, 2))], dim=1)
        x, state = self.lstm(heard.unflatten(0, windows.shape[:2]), state)
        features = self.features(x)
        return features, self.occurrence(features), state


class AudioToAU(nn.Module):
    """Speech → the five action units, by a module for each (§3.1).

    The features are the penultimate layers'. They shrink with the width as everything that they are concatenated with does.
    Buffers: mean and deviation of the training split's MFCC, whose raw values (some ± 15) would drive the LSTMs' gates shut.
    """

    def __init__(self, s: AudioToAUSettings):
        super().__init__()
        self.settings = s
        self.units = nn.ModuleList(AUModule(s.width) for _ in AUS)
        self.register_buffer("mean", torch.zeros(MFCC_SIZE))
        self.register_buffer("deviation", torch.ones(MFCC_SIZE))

    def start_from(self, mfcc: np.ndarray) -> None:
        """The training split's MFCC, (N, 12)."""
        self.mean.copy_(torch.from_numpy(mfcc.mean(axis=0)))
        self.deviation.copy_(torch.from_numpy(mfcc.std(axis=0)))

    def forward(self, windows: Tensor, state: tuple[tuple[Tensor, Tensor], ...] | None = None) -> AUs:
        """windows of MFCC (B, T, 28, 12); state: with that of an earlier call, frames go on from it without a seam."""
        windows = (windows - self.mean) / self.deviation
        states = state or (None,) * len(AUS)
        said = [unit(windows, s) for unit, s in zip(self.units, states, strict=True)]
        features, logits, states = zip(*said, strict=True)
        return AUs(torch.cat(features, dim=-1), torch.cat(logits, dim=-1), states)


class AUClassifier(nn.Sequential):
    """Lower halves of crops, (N, 3, S/2, S) in −1 … 1 → logits (N, 5): four convolutions, a max-pooling after every two, three
    linear layers (§3.1).

    Weights begin as He 2015 has them: seven layers without normalisation otherwise spend the first epochs calling all absent.
    """

    def __init__(self, s: AUClassifierSettings):
        a, b, hidden, last = scaled(s.width, 32, 64, 256, 64)
        convolutions = [
            layer
            for channels, filters in ((3, a), (a, b))
            for layer in (
                nn.Conv2d(channels, filters, 3, padding=1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(filters, filters, 3, padding=1),
                nn.LeakyReLU(0.2),
                nn.MaxPool2d(2),
            )
        ]
        super().__init__(
            *convolutions,
            nn.Flatten(),
            nn.Linear(b * (s.image_size // 8) * (s.image_size // 4), hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, last),
            nn.LeakyReLU(0.2),
            nn.Linear(last, len(AUS)),
        )
        self.settings = s
        for layer in self:
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, 0.2)
                nn.init.zeros_(layer.bias)


def lower_face(frames: Tensor) -> Tensor:
    """The lower half of frames, which the classifier sees: (…, S, S) → (…, S/2, S).

    The paper says "lower face"; its identity loss (Eq. 7) takes the upper half.
    """
    return frames[..., frames.shape[-2] // 2 :, :]


def occurrence_weights(rates: Tensor) -> Tensor:
    """w of Eq. 1, (5,) → (5,), mean 1: inverse to the rate at which each action unit occurs in the training split.

    Rates are bounded by RAREST. A unit that never occurs gets the least weight: that it is absent is easily learned.
    """
    rates = torch.where(rates > 0, rates.clamp(min=RAREST), rates.max().clamp(min=RAREST))
    return len(rates) / rates / (1 / rates).sum()


def known(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The frames whose labels are not missing (NaN): (…, 5) each → float32 (N, 5) each."""
    there = ~labels.isnan().any(dim=-1)
    return logits[there].float(), labels[there].float()


def weighted_bce(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Eq. 1, mean over the frames that have labels (0 where none has). logits, labels: (…, 5); weights: (5,)."""
    logits, labels = known(logits, labels)
    total = F.binary_cross_entropy_with_logits(logits, labels, weights.expand_as(labels), reduction="sum")
    return total / max(1, labels.numel())


def weighted_dice(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Eq. 2: products and squares are summed over the frames that have labels, as those of Milletari 2016 over a volume.

    Frame by frame the coefficient would say nothing about a rare unit that a crossentropy does not. Shapes as in Eq. 1.
    """
    logits, labels = known(logits, labels)
    found = logits.sigmoid()
    overlap = 2 * (labels * found).sum(dim=0) + SMOOTH
    return (weights * (1 - overlap / (labels.square() + found.square()).sum(dim=0).add(SMOOTH))).mean()


def au_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Eq. 3. logits (…, 5); labels (…, 5), 0 or 1, NaN in frames without; weights (5,), `occurrence_weights`."""
    return weighted_bce(logits, labels, weights) + weighted_dice(logits, labels, weights)


class Speech(NamedTuple):
    """What `AudioToAU` learns from."""

    windows: Tensor  # (B, T, 28, 12)
    labels: Tensor  # (B, T, 5): 1 where the unit occurs, 0 where not, NaN in frames without labels

    @property
    def n_frames(self) -> int:
        return self.windows.shape[0] * self.windows.shape[1]


class Faces(NamedTuple):
    """What `AUClassifier` learns from."""

    images: Tensor  # (B, T, 3, S/2, S) in −1 … 1: lower halves
    labels: Tensor  # (B, T, 5), as of speech

    @property
    def n_frames(self) -> int:
        return self.images.shape[0] * self.images.shape[1]


class Recognition(nn.Module):
    """A network that recognises action units, and what it is trained for (Eq. 3). au_weights: (5,), `occurrence_weights`."""

    judged_for = {}

    def __init__(self, generator: nn.Module, au_weights: Tensor):
        super().__init__()
        self.generator, self.au_weights = generator, au_weights

    def discriminator_terms(self, batch: Speech | Faces, logits: Tensor) -> Terms:
        return {}

    def generator_terms(self, batch: Speech | Faces, logits: Tensor) -> Terms:
        au_weights = self.au_weights.to(logits.device)
        return {
            "bce": lambda: weighted_bce(logits, batch.labels, au_weights),
            "dice": lambda: weighted_dice(logits, batch.labels, au_weights),
        }

    def validation_error(self, batch: Speech | Faces, logits: Tensor) -> Tensor:
        """One minus the clip's Dice coefficient, which is the F1 of probabilities, mean over the units. With the weights of
        Eq. 3 the rare units, of which a few clips say nothing, would choose the network."""
        return weighted_dice(logits, batch.labels, torch.ones(len(AUS), device=logits.device))


class AudioToAURecognition(Recognition):
    def generate(self, batch: Speech) -> Tensor:
        return self.generator(batch.windows).logits


class AUClassifierRecognition(Recognition):
    def generate(self, batch: Faces) -> Tensor:
        return self.generator(batch.images.flatten(0, 1)).unflatten(0, batch.labels.shape[:2])
