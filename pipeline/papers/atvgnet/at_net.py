"""Chen L. et al. 2019, "Hierarchical Cross-Modal Talking Face Generation with Dynamic Pixel-Wise Loss": AT-net.

The first half of ATVGnet's cascade: speech → landmarks on a mean face, held in a few principal components (Eqs. 3, 4).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.features.landmarks import MOUTH
from pipeline.features.windows import MFCC_COLUMNS, MFCC_SIZE
from pipeline.papers.atvgnet.layers import FACE, convolution, initialise, scaled
from pipeline.training.recipe import Terms


@dataclass(frozen=True)
class Settings:
    """What AT-net is built from; saved with its weights."""

    width: float  # factor on the number of filters and units (paper: 1)
    boost: Sequence[float]  # ω of Eq. 4, for each component, in use (published: 1, 2.2, 2.4, 2.6, 2.8, 3)


class ATNet(nn.Module):
    """Audio transformation network, Ψ: MFCC windows → principal components of landmarks on the mean face (Eqs. 3, 4).

    It holds what it has to know of faces as buffers, in eye distances of the mean neutral face: M `mean` (136,), U^T `basis`
    (k, 136), `mean_neutral` (68, 2), against which landmarks become displacements that can be put on another face, and what
    `canonical.neutral_from_photo` needs to find the neutral face of a photo.
    """

    def __init__(self, s: Settings):
        super().__init__()
        k = len(s.boost)
        self.settings = s
        a, b, c, d, hidden, audio, units = scaled(s.width, 64, 128, 256, 512, 2048, 256, 256)
        self.audio_encoder = nn.Sequential(
            *convolution(1, a),
            *convolution(a, b),
            nn.MaxPool2d(3, (1, 2)),
            *convolution(b, c),
            *convolution(c, c),
            *convolution(c, d),
            nn.MaxPool2d(3, (2, 2)),
            nn.Flatten(),
            nn.Linear(d * ((MFCC_COLUMNS - 2 - 1) // 2) * (((MFCC_SIZE - 1) // 2 - 1) // 2), hidden),
            nn.ReLU(),
            nn.Linear(hidden, audio),
            nn.ReLU(),
        )
        self.landmark_encoder = nn.Sequential(nn.Linear(k, audio), nn.ReLU(), nn.Linear(audio, d), nn.ReLU())
        self.lstm = nn.LSTM(audio + d, units, num_layers=3, batch_first=True)
        self.decoder = nn.Linear(units, k)
        self.register_buffer("mean", torch.zeros(FACE))
        self.register_buffer("basis", torch.zeros(k, FACE))
        self.register_buffer("mean_neutral", torch.zeros(68, 2))
        self.register_buffer("opening_motion", torch.zeros(68, 2))
        self.register_buffer("neutral_gap", torch.zeros(()))
        initialise(self, s.width)

    def project(self, landmarks: Tensor) -> Tensor:
        """Principal components of landmarks on the mean face: (…, 68, 2) → (…, k)."""
        return (landmarks.flatten(-2) - self.mean) @ self.basis.T

    def landmarks(self, components: Tensor, boost: Sequence[float] | None = None) -> Tensor:
        """Eq. 4: (…, k) → (…, 68, 2) on the mean face about the crop's centre, in its eye distances. boost: ω; None = 1."""
        components = components if boost is None else components * torch.tensor(boost)
        return (components @ self.basis + self.mean).unflatten(-1, (68, 2))

    def forward(self, mfcc: Tensor, example: Tensor, state: tuple | None = None) -> tuple[Tensor, tuple]:
        """mfcc (B, T, 28, 12); example h_p (B, k), of a face of the person; state, as an earlier call returned it.

        Returns h_t (B, T, k) of Eq. 3, and the state.
        """
        audio = self.audio_encoder(mfcc.flatten(0, 1)[:, None]).unflatten(0, mfcc.shape[:2])
        face = self.landmark_encoder(example)[:, None].expand(-1, mfcc.shape[1], -1)
        hidden, state = self.lstm(torch.cat([audio, face], dim=-1), state)
        return self.decoder(hidden).float(), state


class Speech(NamedTuple):
    """B excerpts of T frames for AT-net."""

    mfcc: Tensor  # (B, T, 28, 12)
    example: Tensor  # (B, k): h_p
    components: Tensor  # (B, T, k): the truth
    landmarks: Tensor  # (B, T, 68, 2): the truth, on the mean face, in eye distances

    @property
    def n_frames(self) -> int:
        return self.mfcc.shape[0] * self.mfcc.shape[1]


class AudioToLandmark(nn.Module):
    """AT-net and what it is trained for: the squared error of the principal components. Nothing judges it."""

    judged_for = {}

    def __init__(self, generator: ATNet):
        super().__init__()
        self.generator = generator

    def generate(self, batch: Speech) -> Tensor:
        return self.generator(batch.mfcc, batch.example)[0]

    def discriminator_terms(self, batch: Speech, fake: Tensor) -> Terms:
        return {}

    def generator_terms(self, batch: Speech, fake: Tensor) -> Terms:
        return {"components": lambda: F.mse_loss(fake, batch.components)}

    def validation_error(self, batch: Speech, fake: Tensor) -> Tensor:
        """Mean distance of the mouth's points, in % of the eyes' distance; without ω, by which the truth would be wrong."""
        return 100 * (self.generator.landmarks(fake) - batch.landmarks)[..., MOUTH, :].norm(dim=-1).mean()
