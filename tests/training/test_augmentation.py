"""Changes of colour and light: the same for a whole clip, by the generator's draws, within the images' range."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from pipeline.training import augmentation
from pipeline.training.augmentation import CHANGES, augment


@pytest.fixture
def images():
    """Six smooth frames, the last of them the first again."""
    g = torch.Generator().manual_seed(0)
    frames = torch.nn.functional.interpolate(torch.rand(6, 3, 5, 5, generator=g), 64, mode="bilinear") * 2 - 1
    frames[5] = frames[0]
    return frames


def only(monkeypatch, change):
    monkeypatch.setattr(augmentation, "CHANGES", ((change, 1.0),))


@pytest.mark.parametrize("change", [change for change, _ in CHANGES], ids=lambda change: change.__name__)
def test_each_change_changes_all_frames_alike_and_stays_in_range(change, images, monkeypatch):
    only(monkeypatch, change)
    changed = augment(images, np.random.default_rng(2))
    assert changed.shape == images.shape and changed.dtype == torch.float32 and changed.abs().max() <= 1
    assert (changed - images).abs().mean() > 1e-3
    torch.testing.assert_close(changed[5], changed[0])


def test_equal_generators_draw_equal_changes(images):
    drawn = [augment(images, np.random.default_rng([0, k])) for k in (0, 0, 1, 2, 3)]
    assert torch.equal(drawn[0], drawn[1])
    assert any(not torch.equal(drawn[0], other) for other in drawn[2:])


def test_brightness_is_added(images, monkeypatch):
    only(monkeypatch, augmentation.brightness)
    difference = (augment(images / 4, np.random.default_rng(2)) - images / 4).flatten()
    assert difference.std() < 1e-6 and 0.01 < difference.abs().mean() <= 0.4  # ±0.2 of 0 … 1 is ±0.4 of −1 … 1


def test_a_channel_shuffle_is_an_order_of_the_same_channels(images, monkeypatch):
    only(monkeypatch, augmentation.channel_shuffle)
    changed = augment(images, np.random.default_rng(2))
    order = [next(k for k in range(3) if torch.allclose(images[:, k], changed[:, n], atol=1e-6)) for n in range(3)]
    assert sorted(order) == [0, 1, 2]


def test_noise_has_the_deviation_that_is_said(images, monkeypatch):
    """Variance 10 … 50 of 255 levels: 3.2 … 7.1 levels."""
    only(monkeypatch, augmentation.noise)
    levels = [(augment(images / 2, np.random.default_rng(k)) - images / 2).std().item() * 127.5 for k in range(20)]
    assert 3 < min(levels) < 4.5 and 6 < max(levels) < 7.3


def test_local_contrast_leaves_grey_grey(monkeypatch):
    """It is of the luminance alone."""
    only(monkeypatch, augmentation.local_contrast)
    grey = torch.linspace(-0.9, 0.9, 64).expand(2, 3, 64, 64)
    changed = augment(grey, np.random.default_rng(2))
    torch.testing.assert_close(changed[:, 0], changed[:, 1], atol=0.02, rtol=0)


def test_who_changes_no_colours_loads_no_kornia():
    """A new process; it takes a fifth of a second, which most trainings can do without."""
    code = "import sys, pipeline.training.augmentation; sys.exit('kornia' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
