"""Sinha et al. 2020, "Identity-Preserving Realistic Talking Face Generation", §III-B: eye blinks out of noise alone.

A recurrent network turns noise into displacements of the points of eyes and brows. Nothing says when to blink: the network
learns when, how long and how often from the distribution of real displacements, which the maximum mean discrepancy compares.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.training.recipe import Terms

# The 22 points of the eye region: brows and eyes (iBUG).
EYE_REGION = [*range(17, 27), *range(36, 48)]
NOISE_SIZE = 10  # §IV
# §IV draws z from N(μ, σ²) and says neither. With σ = 1 the network begins almost linear, and noise that passes through it
# linearly makes eyes tremble; with 3 its gates saturate, as rare events need.
NOISE_STD = 3.0
# Widths σ of the kernel, times `spread`: the wide one reaches from open eyes to a blink, the narrow one sees its shape. The
# paper does not give σ.
BANDWIDTHS = (0.5, 2.0)


# Frames that the network runs before the first one that is kept: its state is then no longer the nought that it began with.
WARM_UP = 10


@dataclass(frozen=True)
class Settings:
    """units: of the recurrent layer; components: principal components of the training displacements."""

    units: int
    components: int


class Windows(NamedTuple):
    """What a training step sees: windows of T frames cut from real clips, and noise for as many or fewer generated ones."""

    real: Tensor  # (N, T, 44), canonical displacements of EYE_REGION (x0, y0, x1, …), in eye distances
    noise: Tensor  # (M, warm-up + T, 10)
    # Of all training windows:
    unit: Tensor  # (2, 22), `spread`
    low: Tensor  # (44,), least displacements
    high: Tensor  # (44,), greatest displacements

    @property
    def n_frames(self) -> int:
        return len(self.real) * self.real.shape[1]


class BlinkNet(nn.Module):
    """Noise → GRU → coefficients of the principal components → displacements (§IV, Fig. 5).

    Between state and coefficients stands a layer of leaky ReLUs: each is a threshold, which a rare event needs.
    """

    def __init__(self, s: Settings):
        super().__init__()
        self.settings = s
        self.rnn = nn.GRU(NOISE_SIZE, s.units, batch_first=True)
        self.coefficients = nn.Sequential(
            nn.Linear(s.units, s.units), nn.LeakyReLU(0.2), nn.Linear(s.units, s.components)
        )
        self.displacements = nn.Linear(s.components, 2 * len(EYE_REGION))

    def start_from(self, mean: np.ndarray, components: np.ndarray, deviations: np.ndarray) -> None:
        """Begin the last layer as the principal components (§IV): mean (44,), components (k, 44), deviations (k,).

        Each component is multiplied by its standard deviation, so that coefficients of about 1 make motion of real size.
        """
        with torch.no_grad():
            self.displacements.weight.copy_(torch.from_numpy((components * deviations[:, None]).T))
            self.displacements.bias.copy_(torch.from_numpy(mean))

    def forward(self, noise: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(N, T, 10) → displacements (N, T, 44) in eye distances, and the state with which the next frames go on."""
        x, state = self.rnn(noise, state)
        return self.displacements(self.coefficients(x)), state


def kernel(x: Tensor, y: Tensor, sigma: Tensor) -> Tensor:
    """exp(−|x − y|²/2σ) of Eq. 5, with σ where a Gaussian has σ², of all pairs: (…, N, D), (…, M, D), (…) → (…, N, M)."""
    x, y = (sample / sigma[..., None, None].sqrt() for sample in (x, y))
    # −|x − y|²/2 = x·y − |x|²/2 − |y|²/2 as a single product of matrices: this is where training spends its time.
    x_half, y_half = (sample.square().sum(-1, keepdim=True) / 2 for sample in (x, y))
    left = torch.cat([x, -x_half, torch.ones_like(x_half)], dim=-1)
    right = torch.cat([y, torch.ones_like(y_half), -y_half], dim=-1)
    return torch.exp(left @ right.transpose(-1, -2))


def mmd(real: Tensor, fake: Tensor, sigma: Tensor) -> Tensor:
    """Squared maximum mean discrepancy of two samples (Eq. 5): (…, N, D), (…, M, D), (…) → (…), from 0 (equal) to 2.

    Eq. 5 prints − before its last sum. MMD² is the squared distance of the means of both samples' images φ under the kernel,
    |E φ(x) − E φ(y)|² = E k(x, x') − 2 E k(x, y) + E k(y, y'): the last sign must be +, or else equal samples would not give
    0, and generated ones would be drawn together instead of apart.
    """
    return (
        kernel(real, real, sigma).mean((-2, -1))
        - 2 * kernel(real, fake, sigma).mean((-2, -1))
        + kernel(fake, fake, sigma).mean((-2, -1))
    )


def trajectories(windows: Tensor) -> tuple[Tensor, Tensor]:
    """Each point's way through each window, what §III-B compares the distributions of, and its motion over two frames.

    (N, T, 44) → (22, N, 2T), (22, N, 2T − 4). In the motion a blink is all there is: slow drift, as large as a blink, is gone.
    """
    ways, motion = (
        x.unflatten(-1, (-1, 2)).permute(2, 0, 1, 3).flatten(2) for x in (windows, windows[:, 2:] - windows[:, :-2])
    )
    return ways, motion


def spread(windows: Tensor) -> Tensor:
    """The total variance of each point's trajectories, half their mean squared distance: (N, T, 44) → (2, 22).

    The unit of the kernel's width. The usual one, the median distance, is that of two windows without a blink, as most are: a
    kernel so narrow takes a shallow blink and a deep one for equally wrong, and has no gradient from one to the other.
    """
    return torch.stack([x.var(dim=1).sum(dim=-1) for x in trajectories(windows)])


def window_mmd(real: Tensor, fake: Tensor, unit: Tensor) -> Tensor:
    """MMD² of the points' trajectories, (N, T, 44) and (M, T, 44), mean over points, ways and motion, and BANDWIDTHS.

    unit: (2, 22), of the kernel's width.
    """
    pairs = zip(trajectories(real), trajectories(fake), unit, strict=True)
    return torch.stack([mmd(x, y, width * u).mean() for x, y, u in pairs for width in BANDWIDTHS]).mean()


def beyond_range(fake: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Min-max regularisation (§III-B): how far displacements (…, 44) leave what training showed, in shares of that range.

    low, high: (44,), the least and greatest displacements of training. 0 within.
    """
    return ((F.relu(fake - high) + F.relu(low - fake)) / (high - low)).mean()


class Blink(nn.Module):
    """The network and its losses. Nothing judges it but the MMD."""

    judged_for = {}

    def __init__(self, generator: BlinkNet):
        super().__init__()
        self.generator = generator

    def generate(self, batch: Windows) -> Tensor:
        """(M, T, 44). The frames before the last T bring the state from nought to one of a face that has lived a while."""
        fake, _ = self.generator(batch.noise)
        return fake[:, -batch.real.shape[1] :]

    def discriminator_terms(self, batch: Windows, fake: Tensor) -> Terms:
        return {}

    def generator_terms(self, batch: Windows, fake: Tensor) -> Terms:
        """Eq. 5 and the regularisation."""
        return {
            "mmd": lambda: window_mmd(batch.real, fake, batch.unit),
            "range": lambda: beyond_range(fake, batch.low, batch.high),
        }

    def validation_error(self, batch: Windows, fake: Tensor) -> Tensor:
        return window_mmd(batch.real, fake, batch.unit)


def draw_noise(n: int, n_frames: int, rng: np.random.Generator) -> Tensor:
    """(n, n_frames, 10), independent and normal."""
    return NOISE_STD * torch.from_numpy(rng.standard_normal((n, n_frames, NOISE_SIZE), np.float32))


@torch.inference_mode()
def blink_displacements(network: BlinkNet, n_frames: int, seed: int) -> np.ndarray:
    """Canonical displacements, float32 (n_frames, 68, 2) in eye distances: 0 but for eyes and brows."""
    region, _ = network(draw_noise(1, WARM_UP + n_frames, np.random.default_rng(seed)))
    return on_the_face(region[0, WARM_UP:].numpy())


def on_the_face(region: np.ndarray) -> np.ndarray:
    """Displacements of the eye region (T, 44) among those of all points: (T, 68, 2)."""
    displacements = np.zeros((len(region), 68, 2), np.float32)
    displacements[:, EYE_REGION] = region.reshape(len(region), -1, 2)
    return displacements
