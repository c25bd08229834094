"""Sharpness without a reference: the cumulative probability of blur detection, CPBD (Narvekar & Karam 2011)."""

import numpy as np
from PIL import Image
from scipy.ndimage import convolve
from skimage.feature import canny

BLOCK = 64  # pixels: the side of the blocks of which each has one contrast
EDGE_SHARE = 0.002  # of a block's pixels are edges where it has something to be sharp
BETA = 3.6  # of the psychometric function
# The width in pixels at which people begin to notice an edge's blur, by its block's contrast in grey levels.
CONTRAST, WIDTH_BELOW, WIDTH_ABOVE = 50, 5, 3
# An edge counts as sharp whose blur is seen with 63 %: the just noticeable one, 1 − 1/e, rounded to whole per cents.
JUST_NOTICEABLE = 63
REACH = 100  # pixels, how far to either side an edge is followed


def cpbd(frames: np.ndarray) -> np.ndarray:
    """CPBD of each frame's luminance (ITU-R 601, as Pillow rounds it): uint8 (T, H, W, 3) → (T,), 0 … 1, more is sharper.

    It grows with the crop: a figure means something beside the truth's of the same size. Less than 64 px have no block, and 0.
    """
    return np.array([unnoticed_blur(np.asarray(Image.fromarray(frame).convert("L"))) for frame in frames])


def unnoticed_blur(grey: np.ndarray) -> float:
    """CPBD of a picture, the share of its vertical edges whose blur people would not notice: uint8 (H, W) → 0 … 1.

    P(blur) = 1 − exp(−(w / w_JNB)^β) of an edge of width w; counted are those of P ≤ 63 % in blocks of 64×64 that hold edges.
    Parts of blocks at the right and below are left out; 0 without any edge. How edges are found, the paper leaves open. As in
    the port of the authors' program (PyPI's cpbd) by Canny in blocks, and for widths by horizontal Sobel gradients, thinned.
    """
    image = grey.astype(float)
    sharp = edges = 0
    for block, is_edge, widths in zip(*map(_blocks, (image, canny(image), edge_widths(image))), strict=True):
        if np.count_nonzero(is_edge) > EDGE_SHARE * BLOCK**2:
            widths = widths[widths > 0]
            noticeable = WIDTH_BELOW if int(np.ptp(block)) <= CONTRAST else WIDTH_ABOVE
            blur = 1 - np.exp(-((widths / noticeable) ** BETA))
            sharp += np.count_nonzero(np.round(100 * blur) <= JUST_NOTICEABLE)
            edges += len(widths)
    return sharp / edges if edges else 0.0


def edge_widths(image: np.ndarray) -> np.ndarray:
    """The width of each vertical edge along its row (Marziliano et al. 2004): float (H, W) → pixels (H, W), 0 where is none.

    An edge runs between the extrema of intensity on both sides of it. One whose gradient is not horizontal within 22.5° has no
    width, nor one on the picture's border.
    """
    gradient_y, gradient_x = np.gradient(image)
    # A gradient straight up or down counts as one to the right, as in the port.
    angle = np.where(gradient_x == 0, 0, np.arctan2(gradient_y, gradient_x))
    octant = np.abs(np.round(angle / (np.pi / 4)))
    edges = np.pad(sobel_edges(image)[1:-1, 1:-1], 1)
    return edges * np.select([octant == 0, octant == 4], [_rise(image), _rise(-image)])


def sobel_edges(image: np.ndarray) -> np.ndarray:
    """Where the horizontal gradient is strong, and greater than beside it in the row or in the column: bool (H, W)."""
    strength = convolve(image, np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]]) / 8) ** 2
    strength[strength <= 2 * np.sqrt(strength.mean())] = 0
    padded = np.pad(strength, 1)
    in_row = (strength > padded[1:-1, :-2]) & (strength > padded[1:-1, 2:])
    in_column = (strength > padded[:-2, 1:-1]) & (strength > padded[2:, 1:-1])
    return in_row | in_column


def _rise(image: np.ndarray) -> np.ndarray:
    """For how many pixels intensity rises to the right about each, from a minimum to a maximum: (H, W), 2 or more.

    The steps to both neighbours are taken for granted.
    """
    rises = np.pad(np.diff(image, axis=1) > 0, [(0, 0), (2, 2)])
    to_the_left, to_the_right = _run_lengths(rises)[:, :-3], _run_lengths(rises[:, ::-1])[:, ::-1][:, 3:]
    return 2 + np.minimum(to_the_left, REACH) + np.minimum(to_the_right, REACH)


def _run_lengths(flags: np.ndarray) -> np.ndarray:
    """How many flags in a row end at each: bool (H, W) → int (H, W)."""
    places = np.arange(flags.shape[1])
    return places - np.maximum.accumulate(np.where(flags, -1, places), axis=1)


def _blocks(values: np.ndarray) -> np.ndarray:
    """(H, W) → (n, BLOCK, BLOCK), whole ones only."""
    down, across = (side // BLOCK for side in values.shape)
    whole = values[: down * BLOCK, : across * BLOCK].reshape(down, BLOCK, across, BLOCK)
    return whole.swapaxes(1, 2).reshape(down * across, BLOCK, BLOCK)
