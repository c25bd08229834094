"""AT-net and its loss: published size, equations by hand, no seam between pieces."""

import pytest
import torch

from pipeline.papers.atvgnet.at_net import ATNet, AudioToLandmark, Settings, Speech

PAPER = Settings(width=1.0, boost=[1.0] * 6)
SMALL = Settings(width=1 / 16, boost=[1.0] * 6)


def test_the_number_of_parameters_is_the_published_one():
    with torch.device("meta"):
        assert sum(p.numel() for p in ATNet(PAPER).parameters()) / 1e6 == pytest.approx(30.1, abs=0.05)


def test_landmarks_are_the_boosted_components_on_the_mean_shape():
    """Eq. 4 with a basis that moves the first and the last number of the face."""
    torch.manual_seed(0)
    network = ATNet(Settings(1 / 16, [1.0, 3.0])).eval()
    network.mean.fill_(0.5)
    network.basis[0, 0] = network.basis[1, -1] = 1
    components, _ = network(torch.randn(2, 4, 28, 12), torch.zeros(2, 2))
    landmarks = network.landmarks(components, network.settings.boost)
    assert components.shape == (2, 4, 2) and landmarks.shape == (2, 4, 68, 2)
    torch.testing.assert_close(landmarks[:, :, 0, 0], 0.5 + components[..., 0])
    torch.testing.assert_close(landmarks[:, :, -1, 1], 0.5 + 3 * components[..., 1])
    assert (landmarks[:, :, 1:-1] == 0.5).all()
    torch.testing.assert_close(network.project(landmarks), components * torch.tensor([1.0, 3.0]))
    torch.testing.assert_close(network.project(network.landmarks(components)), components)


def test_speech_goes_on_without_a_seam():
    network = ATNet(SMALL).eval()
    network.basis.normal_()
    mfcc, example = torch.randn(1, 9, 28, 12) * 10, torch.randn(1, 6)
    whole, _ = network(mfcc, example)
    first, state = network(mfcc[:, :4], example)
    second, _ = network(mfcc[:, 4:], example, state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole)
    again, _ = network(mfcc[:, 4:], example)
    assert not torch.allclose(again, second)


def test_atnet_hears_the_past_and_not_the_future():
    network = ATNet(SMALL).eval()
    mfcc, example = torch.randn(1, 6, 28, 12) * 10, torch.zeros(1, 6)
    changed = mfcc.clone()
    changed[:, 3] += 5
    before, after = (network(x, example)[0] for x in (mfcc, changed))
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert (before[:, 3:] != after[:, 3:]).all()


def test_errors_of_atnet():
    """Components that are all off by 2 → 4; a mouth moved by (0.03, 0.04) eye distances at a component of 1 → 10 % at 2."""
    objective = AudioToLandmark(ATNet(SMALL))
    moved = torch.zeros(68, 2)
    moved[48:] = torch.tensor([0.03, 0.04])
    moved[:48] = 1
    objective.generator.basis[0] = moved.flatten()
    batch = Speech(torch.zeros(1, 2, 28, 12), torch.zeros(1, 6), torch.zeros(1, 2, 6), torch.zeros(1, 2, 68, 2))
    fake = torch.full((1, 2, 6), 2.0)
    assert objective.generator_terms(batch, fake)["components"]().item() == pytest.approx(4)
    assert objective.validation_error(batch, fake).item() == pytest.approx(10, rel=1e-4)
    assert objective.discriminator_terms(batch, fake) == {}


def test_a_perfect_prediction_has_no_error_whatever_is_boosted_in_use():
    objective = AudioToLandmark(ATNet(Settings(1 / 16, [1.0, 3.0])))
    objective.generator.basis.normal_()
    truth = torch.randn(1, 4, 2)
    landmarks = objective.generator.landmarks(truth)
    batch = Speech(torch.zeros(1, 4, 28, 12), torch.zeros(1, 2), truth, landmarks)
    assert objective.validation_error(batch, truth).item() == 0 < objective.validation_error(batch, 0.6 * truth).item()
