"""Composed frames against their closed form, and how a map of change begins."""

import numpy as np
import pytest
import torch

from pipeline.blocks.composition import (
    FIRST_CHANGE,
    Frames,
    attention_loss,
    begin_near_photo,
    frames_of,
    terms_with,
)
from pipeline.blocks.images import images_to_tensor
from pipeline.papers.images import drawn

SHAPE = (2, 5, 4, 8, 8)


def test_four_channels_are_a_convex_combination_and_three_the_frame():
    """By NumPy, in double precision."""
    last, photo = torch.randn(SHAPE) * 3, torch.rand(2, 1, 3, 8, 8) * 2 - 1
    frames = frames_of(last, photo)
    colour, change = np.tanh(last[:, :, :3].double()), 1 / (1 + np.exp(-last[:, :, 3:].double()))
    np.testing.assert_allclose(frames.colour, colour, atol=1e-6)
    np.testing.assert_allclose(frames.change, change, atol=1e-6)
    np.testing.assert_allclose(frames.image, change * colour + (1 - change) * photo.double(), atol=1e-6)
    redrawn = frames_of(last[:, :, :3], photo)
    assert torch.equal(redrawn.image, last[:, :, :3].tanh()) and redrawn.colour is redrawn.change is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_change_a_frame_is_the_photo_bit_for_bit(dtype):
    """Whatever is drawn, and in whatever arithmetic; with change everywhere it is the colour."""
    photo = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    last = torch.randn(SHAPE[1:]) * 3
    for logit, expected in ((-200.0, "photo"), (200.0, "colour")):
        last[:, 3] = logit
        frames = list(drawn(frames_of(last.to(dtype), images_to_tensor(photo[None]))))
        assert len(frames) == 5 and all(np.all(frame.change == (0 if expected == "photo" else 255)) for frame in frames)
        for frame in frames:
            np.testing.assert_array_equal(frame.image, photo if expected == "photo" else frame.colour)


def test_frames_that_are_redrawn_have_no_maps():
    (frame,) = drawn(Frames(torch.zeros(1, 1, 3, 8, 8)))
    assert frame.image.shape == (8, 8, 3) and frame.colour is frame.change is None


def test_a_map_of_change_begins_small_and_frames_without_one_as_they_are():
    four, three = torch.nn.Conv2d(2, 4, 1), torch.nn.Conv2d(2, 3, 1)
    before = four.bias.clone(), three.bias.clone()
    begin_near_photo(four.bias)
    begin_near_photo(three.bias)
    change = frames_of(four(torch.zeros(1, 2, 8, 8)), torch.zeros(1, 3, 8, 8)).change
    torch.testing.assert_close(change, torch.full_like(change, FIRST_CHANGE))
    assert torch.equal(four.bias[:3], before[0][:3]) and torch.equal(three.bias, before[1])


def test_attention_loss_is_the_root_mean_square():
    change = torch.stack([torch.full((1, 6, 6), 0.5), torch.ones(1, 6, 6)])
    assert attention_loss(change).item() == pytest.approx(0.75)
    assert attention_loss(change[None]).item() == pytest.approx(0.75)


def test_only_composed_frames_have_a_term_of_change():
    weights = {"pixel": 1.0, "change": 0.5}
    assert terms_with(True, weights) == weights and terms_with(False, weights) == {"pixel": 1.0}
