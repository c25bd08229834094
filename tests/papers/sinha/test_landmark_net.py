"""Speech to landmarks against the paper's text and equations (Sinha 2020, §III-A)."""

import numpy as np
import pytest
import torch

from pipeline.features.landmarks import EYES
from pipeline.features.pca import fit_pca
from pipeline.papers.sinha.landmark_net import (
    SPOKEN,
    AudioToLandmark,
    LandmarkNet,
    Settings,
    Speech,
    landmark_loss,
    landmark_temporal_loss,
)

LETTERS = Settings(symbols=29, components=5, width=0.125)


def speech(symbols=29, n=6) -> Speech:
    g = torch.Generator().manual_seed(0)
    return Speech(-10 * torch.rand(n, 16, symbols, generator=g), torch.randn(n, 68, 2, generator=g) / 50)


@pytest.mark.parametrize("symbols", [29, 42])
def test_displacements_of_what_speech_moves(symbols):
    """Four convolutions and two linear layers; eyes and brows stay."""
    net = LandmarkNet(Settings(symbols, components=5, width=0.125))
    kinds = [type(m) for m in net.modules()]
    assert kinds.count(torch.nn.Conv2d) == kinds.count(torch.nn.LeakyReLU) == 4 and kinds.count(torch.nn.Linear) == 2
    displacements = net(speech(symbols).characters)
    assert displacements.shape == (6, 68, 2)
    still = displacements.abs().sum(dim=(0, 2)) == 0
    assert still.nonzero().flatten().tolist() == [*range(17, 27), *range(36, 48)]
    assert len(SPOKEN) == 68 - 22


def test_the_last_layer_begins_as_principal_components():
    """Scores of a training sample come out as that sample, where five components hold all there is."""
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(40, 5)) @ rng.normal(size=(5, 2 * len(SPOKEN))) + 3
    mean, components, share = fit_pca(samples, 0.9999)
    assert len(components) == 5 and share == pytest.approx(1)
    faces = {"mean_neutral": np.full((68, 2), 7.0), "opening_motion": np.ones((68, 2)), "neutral_gap": 0.25}
    net = LandmarkNet(LETTERS)
    net.start_from(mean, components, faces)
    scores = torch.tensor((samples - mean) @ components.T, dtype=torch.float32)
    np.testing.assert_allclose(net.decoder[-1](scores).detach(), samples, atol=1e-4)
    assert net.state_dict()["mean_neutral"].unique().item() == 7 and net.neutral_gap.item() == 0.25


def test_losses_by_hand():
    """One point off by (3, 4) in the second of four frames: 25/4; it comes and goes: (25 + 25)/4."""
    real, fake = torch.zeros(4, 68, 2), torch.zeros(4, 68, 2)
    fake[1, 50] = torch.tensor([3.0, 4.0])
    assert landmark_loss(real, fake).item() == pytest.approx(25 / 4)
    assert landmark_temporal_loss(real, fake).item() == pytest.approx(50 / 4)
    assert landmark_temporal_loss(real, fake + 5).item() == pytest.approx(50 / 4)  # a constant error does not move
    assert landmark_temporal_loss(real[:1], fake[1:2]).item() == 0  # nothing to compare one frame with


def test_the_validation_error_by_hand():
    """Of the mouth's 20 points, two are a tenth of the eyes' distance off: 1 %."""
    model, example = AudioToLandmark(LETTERS), speech()
    fake = example.displacements.clone()
    fake[:, [48, 60], 0] += 0.1
    fake[:, :48] += 9
    assert model.validation_error(example, fake).item() == pytest.approx(1, rel=1e-4)


def test_the_terms_compare_with_the_true_displacements():
    """All points off by 0.1 in x, in the last of six frames: 68/100 of Eq. 2, once, and of Eq. 3, which sees it come."""
    model, example = AudioToLandmark(LETTERS), speech()
    fake = example.displacements.clone()
    fake[-1, :, 0] += 0.1
    terms = {name: term().item() for name, term in model.generator_terms(example, fake).items()}
    assert terms == {"landmark": pytest.approx(0.68 / 6, rel=1e-4), "temporal": pytest.approx(0.68 / 6, rel=1e-4)}
    assert model.discriminator_terms(example, fake) == {}


def test_speech_can_be_learnt():
    torch.manual_seed(0)
    model, example = AudioToLandmark(LETTERS), speech()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    example.displacements[:, 17:27] = example.displacements[:, EYES] = 0
    before = model.validation_error(example, model.generate(example)).item()
    for _ in range(150):
        terms = model.generator_terms(example, model.generate(example))
        optimizer.zero_grad()
        (terms["landmark"]() + 0.5 * terms["temporal"]()).backward()
        optimizer.step()
    assert model.validation_error(example, model.generate(example)).item() < 0.5 * before
