import math

import pytest
import torch

from pipeline.evaluation.emotion_classifier.network import (
    BORDER,
    Batch,
    EmotionClassifier,
    EmotionRecognition,
    Settings,
    standardised,
)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return EmotionClassifier(Settings(image_size=64, width=0.25, dropout=0.3)).eval()


def clips(*shape):
    return torch.rand(*shape, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_a_clip_has_a_score_for_each_emotion_whatever_its_length(network):
    assert network(clips(2, 5)).shape == network(clips(2, 1)).shape == (2, 6)


@pytest.mark.parametrize("image_size", [64, 96, 128])
def test_every_size_of_crop_is_taken(image_size):
    network = EmotionClassifier(Settings(image_size, 0.25, 0)).eval()
    assert network(torch.zeros(1, 2, 3, image_size, image_size)).shape == (1, 6)


def test_the_order_of_frames_does_not_matter_and_their_repetition_neither(network):
    frames = clips(1, 4)
    expected = network(frames)
    torch.testing.assert_close(network(frames.flip(1)), expected)
    torch.testing.assert_close(network(frames.repeat(1, 3, 1, 1, 1)), expected)


def test_light_and_contrast_do_not_matter():
    """What is brighter by a constant is the same, and what has twice the contrast nearly so."""
    images = 0.4 * clips(2)
    torch.testing.assert_close(standardised(images + 0.3), standardised(images), atol=1e-4, rtol=0)
    doubled = torch.corrcoef(torch.stack([standardised(2 * images).flatten(), standardised(images).flatten()]))
    assert doubled[0, 1] > 0.99


def test_an_even_image_is_left_even_and_the_border_is_cut():
    border = round(64 * BORDER)
    face = standardised(torch.full((1, 3, 64, 64), 0.7))
    assert face.shape == (1, 1, 64 - border, 64 - 2 * border)
    assert face.abs().max() < 1e-3


def test_background_does_not_matter(network):
    """What lies so far outside that no neighbourhood reaches the face."""
    frames = clips(1, 2)
    changed = frames.clone()
    changed[..., :3] = 1
    changed[..., :3, :] = -1
    torch.testing.assert_close(network(changed), network(frames))


def test_undecided_is_ln_6_and_sure_is_nought():
    """−ln(1/6) where all scores are equal; 0 where the right one is far above."""
    system = EmotionRecognition(torch.nn.Identity())
    batch = Batch(clips(1, 1), torch.tensor([2]))
    even, sure = torch.zeros(1, 6), torch.zeros(1, 6)
    sure[0, 2] = 50
    assert system.generator_terms(batch, even)["cross_entropy"]().item() == pytest.approx(math.log(6))
    assert system.validation_error(batch, sure).item() == pytest.approx(0, abs=1e-6)
    assert not system.discriminator_terms(batch, even)
