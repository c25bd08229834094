"""Values of PyPI's cpbd 1.0.7 (its import of scipy.ndimage.imread taken out) on scikit-image's pictures, and edges whose widths
are known."""

import numpy as np
import pytest
import skimage.data
from PIL import Image
from scipy.ndimage import gaussian_filter

from pipeline.evaluation.sharpness import cpbd, edge_widths, unnoticed_blur

CAMERA = skimage.data.camera()
ASTRONAUT = skimage.data.astronaut()
LUMINANCE = np.array(Image.fromarray(ASTRONAUT).convert("L"))


def blurred(picture, sigma):
    return np.rint(gaussian_filter(picture.astype(float), sigma)).astype(np.uint8)


@pytest.mark.parametrize(
    ("picture", "sigma", "expected"),
    [
        (CAMERA, 0, 0.748166),
        (CAMERA, 0.5, 0.674510),
        (CAMERA, 1, 0.348118),
        (CAMERA, 2, 0.016053),
        (LUMINANCE, 0, 0.383682),
        (LUMINANCE, 1, 0.126565),
        (LUMINANCE, 3, 0),
    ],
)
def test_it_says_what_the_port_says(picture, sigma, expected):
    assert unnoticed_blur(blurred(picture, sigma) if sigma else picture) == pytest.approx(expected, abs=1e-6)


def falling(width, contrast):
    """Rows 128 px high that fall by `contrast` to 20 about column 96, by a smooth step of `width` px: uint8 (128, 192)."""
    t = np.clip((np.arange(192) - 96) / width + 0.5, 0, 1)
    row = 20 + contrast * (1 - (3 * t**2 - 2 * t**3))
    return np.tile(np.rint(row), (128, 1)).astype(np.uint8)


@pytest.mark.parametrize(("step", "width"), [(2, 2), (3, 4), (4, 4), (5, 6), (6, 6)])
def test_an_edge_is_as_wide_as_it_rises_or_falls(step, width):
    for picture in (falling(step, 180), falling(step, 180)[:, ::-1]):
        widths = edge_widths(picture.astype(float))
        # All but the first and the last row.
        assert widths[widths > 0].tolist() == [width] * 126


@pytest.mark.parametrize(
    ("step", "contrast", "expected"),
    [(2, 40, 1), (2, 200, 1), (6, 40, 0), (6, 200, 0), (4, 50, 1), (4, 51, 0)],
)
def test_what_width_is_noticed_depends_on_the_contrast(step, contrast, expected):
    """4 px are below the 5 of contrasts up to 50, and above the 3 of higher ones."""
    assert unnoticed_blur(falling(step, contrast)) == expected
    assert unnoticed_blur(falling(step, contrast)[:, ::-1]) == expected


def test_it_is_a_share_of_edges():
    half = np.concatenate([falling(2, 200)[:64], falling(8, 200)[64:]])
    assert unnoticed_blur(half) == pytest.approx(0.5, abs=0.01)


def test_only_vertical_edges_in_whole_blocks_count():
    assert unnoticed_blur(falling(2, 200).T) == 0
    assert unnoticed_blur(np.full((128, 128), 90, np.uint8)) == 0
    assert unnoticed_blur(falling(2, 200)[:63]) == 0
    # A row of blocks too low to count, however blurred.
    assert unnoticed_blur(np.concatenate([falling(2, 200), falling(8, 200)[:63]])) == 1


def test_a_clip_has_one_for_each_frame_of_its_luminance():
    soft = np.stack([blurred(ASTRONAUT[..., c], 1) for c in range(3)], axis=-1)
    grey = np.array(Image.fromarray(soft).convert("L"))
    assert cpbd(np.stack([ASTRONAUT, soft])) == pytest.approx([0.383682, unnoticed_blur(grey)], abs=1e-6)
