"""Sinha 2020, §III-A: speech moves the landmarks of the mean face.

On the person's own face (`features.canonical.retarget`, Eq. 1) they drive the texture. The network has no memory: frames are
the batch. A batch is an excerpt of consecutive frames of one clip, because the temporal term compares neighbours.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.features.landmarks import MOUTH
from pipeline.training.recipe import Terms

# What speech moves: jaw, nose and lips. The other 22 points, eyes and brows, belong to the blinks (§III-B).
SPOKEN = [*range(17), *range(27, 36), *range(48, 68)]


@dataclass(frozen=True)
class Settings:
    """What `LandmarkNet` is built from; saved with its weights."""

    symbols: int  # of the character features: 29 letters, or 42 phones
    components: int  # principal components of the displacements
    width: float  # factor on the number of filters


class Speech(NamedTuple):
    """T consecutive frames of a clip: character scores, and where they move the mean face, in distances of its eyes."""

    characters: Tensor  # (T, 16, symbols): 16 steps about each frame
    displacements: Tensor  # (T, 68, 2)

    @property
    def n_frames(self) -> int:
        return len(self.characters)


class LandmarkNet(nn.Module):
    """Character features → displacements of the mean face's landmarks (§III-A, Fig. 4): four convolutions, two linear layers.

    Buffers: what `face_statistics` knows of the training split's faces, so that displacements can be put on a face.
    """

    def __init__(self, s: Settings):
        super().__init__()
        self.settings = s
        filters = [16, *(max(4, round(n * s.width)) for n in (64, 128, 256, 256))]
        layers, symbols = [], s.symbols
        for n, m in pairwise(filters):
            layers += [nn.Conv2d(n, m, (1, 3), stride=(1, 2), padding=(0, 1)), nn.LeakyReLU(0.2)]
            symbols = -(-symbols // 2)
        self.encoder = nn.Sequential(*layers)
        self.decoder = nn.Sequential(
            nn.Linear(filters[-1] * symbols, s.components), nn.Linear(s.components, 2 * len(SPOKEN))
        )
        self.register_buffer("mean_neutral", torch.zeros(68, 2))
        self.register_buffer("opening_motion", torch.zeros(68, 2))
        self.register_buffer("neutral_gap", torch.zeros(()))

    def start_from(self, mean: np.ndarray, components: np.ndarray, faces: dict[str, np.ndarray]) -> None:
        """The last layer begins as the principal components of the displacements of SPOKEN (§IV): mean (D,), components (k, D).

        faces: what `face_statistics` gives.
        """
        with torch.no_grad():
            self.decoder[-1].weight.copy_(torch.from_numpy(components.T))
            self.decoder[-1].bias.copy_(torch.from_numpy(mean))
        for name, value in faces.items():
            getattr(self, name).copy_(torch.as_tensor(value))

    def forward(self, characters: Tensor) -> Tensor:
        """(T, 16, symbols) → (T, 68, 2) in distances of the mean face's eyes; 0 at eyes and brows."""
        encoded = self.encoder(characters.unsqueeze(2)).flatten(1)  # the 16 steps are channels of a 1 × symbols map
        spoken = self.decoder(encoded).unflatten(1, (len(SPOKEN), 2))
        displacements = spoken.new_zeros(len(spoken), 68, 2)
        displacements[:, SPOKEN] = spoken
        return displacements


def landmark_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Eq. 2: squared distance, summed over the points' coordinates as the norm is, mean over frames. (T, 68, 2) each."""
    return (real - fake).square().sum(dim=(1, 2)).mean()


def landmark_temporal_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Eq. 3: the same of the differences of successive frames; the first of the T frames counts as 0."""
    return (real - fake).diff(dim=0).square().sum() / len(real)


class AudioToLandmark(nn.Module):
    """The landmark network with its losses (Eq. 4); nothing judges it."""

    judged_for = {}

    def __init__(self, s: Settings):
        super().__init__()
        self.generator = LandmarkNet(s)

    def generate(self, speech: Speech) -> Tensor:
        return self.generator(speech.characters)

    def discriminator_terms(self, speech: Speech, fake: Tensor) -> Terms:
        return {}

    def generator_terms(self, speech: Speech, fake: Tensor) -> Terms:
        return {
            "landmark": lambda: landmark_loss(speech.displacements, fake.float()),
            "temporal": lambda: landmark_temporal_loss(speech.displacements, fake.float()),
        }

    def validation_error(self, speech: Speech, fake: Tensor) -> Tensor:
        """Mean distance of the mouth's points, in % of the eyes' distance."""
        return 100 * (fake.float() - speech.displacements)[:, MOUTH].norm(dim=-1).mean()
