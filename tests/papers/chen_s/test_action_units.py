"""The networks and Eqs. 1–3 of Chen S. 2021 against numbers by hand."""

import math

import numpy as np
import pytest
import torch

from pipeline.papers.chen_s.action_units import (
    AU_LOSS,
    AUS,
    AUClassifier,
    AUClassifierRecognition,
    AUClassifierSettings,
    AudioToAU,
    AudioToAURecognition,
    AudioToAUSettings,
    Faces,
    Speech,
    au_loss,
    lower_face,
    occurrence_weights,
    weighted_bce,
    weighted_dice,
)

ONES = torch.ones(5)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def labels(*shape, seed=1):
    return (normal(*shape, 5, seed=seed) > 0).float()


def listener(width=0.0625):
    torch.manual_seed(0)
    return AudioToAU(AudioToAUSettings(width))


def classifier(image_size=64, width=0.0625):
    torch.manual_seed(0)
    return AUClassifier(AUClassifierSettings(image_size, width))


def test_weights_are_inverse_to_the_rates():
    """1/r is 2, 4, 4, 2, 2, in sum 14: w = 5/7, 10/7, 10/7, 5/7, 5/7."""
    found = occurrence_weights(torch.tensor([0.5, 0.25, 0.25, 0.5, 0.5]))
    torch.testing.assert_close(found, torch.tensor([5.0, 10, 10, 5, 5]) / 7)


def test_what_never_occurs_has_the_least_weight():
    """As if it occurred as often as the commonest: 1/r is 2, 2, 4, 2, 2, in sum 12."""
    found = occurrence_weights(torch.tensor([0.5, 0.0, 0.25, 0.5, 0.5]))
    torch.testing.assert_close(found, torch.tensor([10.0, 10, 20, 10, 10]) / 12)
    torch.testing.assert_close(occurrence_weights(torch.zeros(5)), ONES)


def test_a_very_rare_unit_does_not_take_all_the_weight():
    """One frame in a thousand counts as one in twenty: 1/r is 2, 20, 2, 2, 2, in sum 28."""
    found = occurrence_weights(torch.tensor([0.5, 0.001, 0.5, 0.5, 0.5]))
    torch.testing.assert_close(found, torch.tensor([10.0, 100, 10, 10, 10]) / 28)


def test_cross_entropy_of_the_undecided_is_log_two():
    weights = occurrence_weights(torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5]))
    assert weighted_bce(torch.zeros(3, 4, 5), labels(3, 4), weights).item() == pytest.approx(math.log(2))


def test_cross_entropy_by_hand():
    """One frame: ŷ = .8 where it occurs with weight 3, the others absent and ŷ = .5 with weight ½."""
    logits = torch.tensor([[math.log(4), 0, 0, 0, 0]])
    truth, weights = torch.tensor([[1.0, 0, 0, 0, 0]]), torch.tensor([3, 0.5, 0.5, 0.5, 0.5])
    expected = -(3 * math.log(0.8) + 4 * 0.5 * math.log(0.5)) / 5
    assert weighted_bce(logits, truth, weights).item() == pytest.approx(expected)


def test_dice_of_one_frame_is_equation_two():
    """ŷ = ½ and ε = 1: 1 − 2/2.25 where y = 1, 1 − 1/1.25 where y = 0; weights 2, 2, 0, 0, 1."""
    truth, weights = torch.tensor([[1.0, 0, 0, 1, 0]]), torch.tensor([2.0, 2, 0, 0, 1])
    expected = (2 * (1 - 2 / 2.25) + 3 * (1 - 1 / 1.25)) / 5
    assert weighted_dice(torch.zeros(1, 5), truth, weights).item() == pytest.approx(expected)


def test_dice_is_of_all_frames_together():
    """Four frames, y = 1 0 0 0, ŷ = ½ throughout: 1 − (2 · ½ + 1)/(1 + 4 · ¼ + 1) = ⅓; frame by frame it would be less."""
    truth = torch.zeros(4, 5)
    truth[0] = 1
    assert weighted_dice(torch.zeros(4, 5), truth, ONES).item() == pytest.approx(1 / 3)


def test_the_loss_is_the_sum_and_nought_for_certainty():
    truth = labels(2, 6)
    logits, weights = normal(2, 6, 5), occurrence_weights(truth.mean(dim=(0, 1)))
    parts = weighted_bce(logits, truth, weights) + weighted_dice(logits, truth, weights)
    assert au_loss(logits, truth, weights).item() == pytest.approx(parts.item())
    assert au_loss(50 * (2 * truth - 1), truth, weights).item() == pytest.approx(0, abs=1e-6)
    assert au_loss(-5 * (2 * truth - 1), truth, weights).item() > 5


def test_frames_without_labels_do_not_count():
    logits, truth = normal(2, 6, 5).requires_grad_(), labels(2, 6)
    expected = au_loss(logits[:, :4], truth[:, :4], ONES).item()
    truth[:, 4:] = torch.nan
    loss = au_loss(logits, truth, ONES)
    assert loss.item() == pytest.approx(expected)
    loss.backward()
    assert logits.grad[:, :4].all() and not logits.grad[:, 4:].any()


def test_a_batch_without_labels_teaches_nothing():
    logits = normal(2, 6, 5).requires_grad_()
    loss = au_loss(logits, torch.full((2, 6, 5), torch.nan), ONES)
    loss.backward()
    assert loss.item() == 0 and not logits.grad.any()


def test_what_speech_says_has_the_papers_size():
    said = AudioToAU(AudioToAUSettings(1.0))(normal(2, 3, 28, 12))
    assert said.features.shape == (2, 3, 320) and said.logits.shape == (2, 3, 5)


def test_each_action_unit_has_a_module_of_its_own():
    network = listener()
    said = network(normal(1, 6, 28, 12))
    said.logits[..., 2].sum().backward()
    assert {name.split(".")[1] for name, weight in network.named_parameters() if weight.grad.any()} == {"2"}
    # The last layer turns a unit's slice of the features into its logit.
    k = said.features.shape[-1] // len(AUS)
    torch.testing.assert_close(
        network.units[2].occurrence(said.features[..., 2 * k : 3 * k])[..., 0], said.logits[..., 2]
    )


def test_state_handed_on_leaves_no_seam():
    network, windows = listener().eval(), normal(2, 30, 28, 12)
    with torch.inference_mode():
        whole = network(windows)
        first = network(windows[:, :11])
        second = network(windows[:, 11:], first.state)
    torch.testing.assert_close(torch.cat([first.features, second.features], dim=1), whole.features)
    torch.testing.assert_close(torch.cat([first.logits, second.logits], dim=1), whole.logits)


def test_speech_is_measured_in_the_training_splits_deviations():
    network, windows = listener(), normal(1, 5, 28, 12)
    mfcc = 15 * np.random.default_rng(0).standard_normal((1000, 12), np.float32) - 7
    expected = network(windows).logits
    network.start_from(mfcc)
    shifted = windows * torch.from_numpy(mfcc.std(axis=0)) + torch.from_numpy(mfcc.mean(axis=0))
    torch.testing.assert_close(network(shifted).logits, expected)


def test_both_branches_are_heard():
    """What changes along the window only, and along the coefficients only, changes what is said."""
    network, silent = listener(), torch.zeros(1, 1, 28, 12)
    for change in (torch.linspace(-1, 1, 28)[:, None].expand(28, 12), torch.linspace(-1, 1, 12).expand(28, 12)):
        assert not torch.equal(network(silent + change).logits, network(silent).logits)


@pytest.mark.parametrize("image_size", [64, 96, 112])
def test_the_classifier_sees_lower_halves_of_any_size(image_size):
    frames = normal(3, 3, image_size, image_size)
    assert lower_face(frames).shape == (3, 3, image_size // 2, image_size)
    network = classifier(image_size)
    seen = network(lower_face(frames))
    assert seen.shape == (3, 5)
    frames[:, :, : image_size // 2] = 0
    assert torch.equal(network(lower_face(frames)), seen)


def test_the_classifiers_layers_are_the_papers():
    kinds = [type(layer).__name__ for layer in classifier() if type(layer).__name__ not in ("LeakyReLU", "Flatten")]
    assert kinds == [*["Conv2d", "Conv2d", "MaxPool2d"] * 2, *["Linear"] * 3]


@pytest.mark.parametrize("kind", ["speech", "faces"])
def test_training_recognises_what_is_there(kind):
    """AU25 where the input is loud, or bright: the loss falls to a fraction, and the sign of the logit is right."""
    truth = torch.zeros(4, 8, 5)
    truth[..., 3] = (torch.arange(8) % 4 < 2).float()
    bright = 2 * truth[..., 3, None, None] - 1
    if kind == "speech":
        batch = Speech(bright + 0.1 * normal(4, 8, 28, 12), truth)
        system = AudioToAURecognition(listener(0.25), occurrence_weights(truth.mean(dim=(0, 1))))
    else:
        batch = Faces(bright[..., None] + 0.1 * normal(4, 8, 3, 32, 64), truth)
        system = AUClassifierRecognition(classifier(64, 0.25), occurrence_weights(truth.mean(dim=(0, 1))))
    assert batch.n_frames == 32
    optimizer = torch.optim.Adam(system.parameters(), 5e-3)
    before = system.validation_error(batch, system.generate(batch)).item()
    for _ in range(40):
        optimizer.zero_grad()
        terms = system.generator_terms(batch, system.generate(batch))
        sum(weight * terms[name]() for name, weight in AU_LOSS.items()).backward()
        optimizer.step()
    logits = system.generate(batch)
    assert terms.keys() == AU_LOSS.keys() and not system.discriminator_terms(batch, logits)
    assert system.validation_error(batch, logits).item() < 0.2 * before
    assert torch.equal(logits > 0, truth > 0)
