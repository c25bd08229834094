"""Published closed forms, and values measured with other implementations on scikit-image's astronaut."""

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from pipeline.evaluation.image import psnr, ssim

ASTRONAUT = skimage.data.astronaut()
NOISY = np.clip(np.rint(ASTRONAUT + np.random.default_rng(0).normal(0, 10, ASTRONAUT.shape)), 0, 255).astype(np.uint8)
BLURRED = np.stack(
    [np.rint(gaussian_filter(ASTRONAUT[..., c].astype(float), 1)).astype(np.uint8) for c in range(3)], axis=-1
)


def flat(value):
    return np.full((1, 32, 32, 3), value, np.uint8)


@pytest.mark.parametrize(("step", "decibels"), [(1, 48.1308), (5, 34.1514), (10, 28.1308), (16, 24.0484)])
def test_psnr_of_a_constant_error(step, decibels):
    """20·log10(255 / step); 16² would wrap to nought in eight bits."""
    assert psnr(flat(100), flat(100 + step)) == pytest.approx([decibels], abs=1e-4)
    assert psnr(flat(100 + step), flat(100)) == pytest.approx([decibels], abs=1e-4)


def test_psnr_ends():
    assert psnr(flat(0), flat(255)) == pytest.approx([0])
    assert psnr(flat(7), flat(7)) == pytest.approx([58.92], abs=0.01)  # the cap: rounding noise


@pytest.mark.parametrize(
    ("image", "decibels", "similarity"), [(NOISY, 28.57470, 0.633818), (BLURRED, 29.59000, 0.924600)]
)
def test_measured_elsewhere(image, decibels, similarity):
    assert psnr(ASTRONAUT[None], image[None]) == pytest.approx([decibels], abs=1e-5)
    assert ssim(ASTRONAUT[None], image[None]) == pytest.approx([similarity], abs=1e-6)


@pytest.mark.parametrize(("size", "similarity"), [(128, 0.94283), (64, 0.98965)])
def test_ssim_rises_as_noise_is_averaged_away(size, similarity):
    """One and the same noise at other sizes of crop: why the size is part of the result."""
    small = [cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)[None] for image in (ASTRONAUT, NOISY)]
    assert ssim(*small) == pytest.approx([similarity], abs=1e-5)


def test_psnr_is_a_mean_of_frames_not_of_errors():
    truth = np.zeros((2, 16, 16, 3), np.uint8)
    generated = truth.copy()
    generated[0] += 5
    generated[1] += 50
    assert psnr(truth, generated).mean() == pytest.approx((34.1514 + 14.1514) / 2, abs=1e-3)


@pytest.mark.parametrize(("step", "expected"), [(1, 0.99995051), (10, 0.99547644), (16, 0.98908897)])
def test_ssim_of_constants(step, expected):
    """(2·100·(100 + d) + C1) / (100² + (100 + d)² + C1): no variance is left."""
    assert ssim(flat(100), flat(100 + step)) == pytest.approx([expected], abs=1e-8)


def test_ssim_ends():
    assert ssim(ASTRONAUT[None], ASTRONAUT[None]) == pytest.approx([1])
    assert ssim(flat(0), flat(255)) == pytest.approx([9.9990001e-5], abs=1e-9)
    grey = np.repeat(np.array(Image.fromarray(ASTRONAUT).convert("L"))[None, ..., None], 3, axis=-1)
    assert ssim(grey, 255 - grey) == pytest.approx([-0.137316], abs=1e-6)  # can be negative, and is not clipped


@pytest.mark.parametrize("size", [11, 64, 131])
def test_ssim_is_scikit_images(size):
    truth = ASTRONAUT[100 : 100 + size, 180 : 180 + size]
    for other in (NOISY, BLURRED):
        generated = other[100 : 100 + size, 180 : 180 + size]
        wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
        expected = structural_similarity(truth, generated, channel_axis=-1, **wang)
        assert ssim(truth[None], generated[None]) == pytest.approx([expected], abs=1e-12)
