"""Losses of generative adversarial networks."""

import torch
from torch import Tensor
from torch.nn import functional as F


def discriminator_bce(real: Tensor, fake: Tensor) -> Tensor:
    """Binary cross entropy of logits: mean of −log D(real) and of −log(1 − D(fake)), averaged. Undecided: log 2."""
    return (
        F.binary_cross_entropy_with_logits(real, torch.ones_like(real))
        + F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
    ) / 2


def generator_bce(fake: Tensor) -> Tensor:
    """Non-saturating form (Goodfellow et al. 2014, §3): mean of −log D(fake)."""
    return F.binary_cross_entropy_with_logits(fake, torch.ones_like(fake))


def discriminator_lsgan(real: Tensor, fake: Tensor) -> Tensor:
    """Least squares (Mao et al. 2017; Sinha, Eq. 8): ½ E(D(real) − 1)² + ½ E D(fake)², without a sigmoid. D = ½: ¼."""
    return ((real - 1).square().mean() + fake.square().mean()) / 2


def generator_lsgan(fake: Tensor) -> Tensor:
    """Least squares (Sinha, Eq. 9): ½ E(D(fake) − 1)². D = ½: ⅛."""
    return (fake - 1).square().mean() / 2


def feature_matching(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """Squared distance of a discriminator's features of paired frames, summed over its layers (Kesim & Erzin, Eq. 1).

    real, fake: a list over layers of (N, C, H, W). The paper writes the squared norm, a sum over a layer's elements; here it is
    their mean, without which the first layer (65,536 elements at 64 px) would outweigh all else, and λ = 100 make no sense.
    """
    return sum(F.mse_loss(f, r) for r, f in zip(real, fake, strict=True))
