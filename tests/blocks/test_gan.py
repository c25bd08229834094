import math

import pytest
import torch

from pipeline.blocks.gan import (
    discriminator_bce,
    discriminator_lsgan,
    feature_matching,
    generator_bce,
    generator_lsgan,
)


def test_an_undecided_discriminator_costs_log_2():
    undecided = torch.zeros(7, 1)
    assert discriminator_bce(undecided, undecided).item() == pytest.approx(math.log(2))
    assert generator_bce(undecided).item() == pytest.approx(math.log(2))


def test_by_hand():
    """D(real) = 0.8, D(fake) = 0.4: −(log 0.8 + log 0.6) / 2 and −log 0.4."""
    real, fake = torch.logit(torch.tensor([[0.8]])), torch.logit(torch.tensor([[0.4]]))
    assert discriminator_bce(real, fake).item() == pytest.approx(-(math.log(0.8) + math.log(0.6)) / 2)
    assert generator_bce(fake).item() == pytest.approx(-math.log(0.4))


def test_a_fooled_discriminator_costs_the_generator_nothing():
    assert generator_bce(torch.full((3, 1), 30.0)).item() == pytest.approx(0, abs=1e-6)


def test_lsgan_of_an_undecided_discriminator():
    """D = ½ everywhere: ½ · ¼ + ½ · ¼, and ½ · ¼ (Sinha, Eqs. 8, 9)."""
    undecided = torch.full((7, 1, 6, 6), 0.5)
    assert discriminator_lsgan(undecided, undecided).item() == pytest.approx(1 / 4)
    assert generator_lsgan(undecided).item() == pytest.approx(1 / 8)


def test_lsgan_by_hand():
    """D(real) = 0.8, 1.2 and D(fake) = −1, 0: ½ · 0.04 + ½ · ½; ½ · (4 + 1)/2. A score too high costs as one too low."""
    real, fake = torch.tensor([0.8, 1.2]), torch.tensor([-1.0, 0.0])
    assert discriminator_lsgan(real, fake).item() == pytest.approx(0.27)
    assert generator_lsgan(fake).item() == pytest.approx(1.25)


def test_feature_matching_sums_the_layers_means():
    real = [torch.zeros(2, 3, 4, 4), torch.zeros(2, 5, 2, 2)]
    fake = [torch.full((2, 3, 4, 4), 2.0), torch.full((2, 5, 2, 2), 3.0)]
    assert feature_matching(real, fake).item() == pytest.approx(4 + 9)
    assert feature_matching(real, real).item() == 0
