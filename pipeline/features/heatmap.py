"""Landmarks as one grayscale image: each a 2-D Gaussian about its point (Kesim & Erzin §4.1)."""

import numpy as np

_REACH = np.sqrt(2 * np.log(2 * 255))  # in σ: from here on, 255 times the Gaussian rounds to nothing
_PIECE = 16  # frames drawn at a time: they stay in the processor's cache, and a long clip costs no memory


def landmark_heatmaps(landmarks: np.ndarray, image_size: int, sigma: float) -> np.ndarray:
    """Draw exp(−d²/2σ²) about every landmark.

    landmarks: (T, 68, 2) in crop pixels; sigma in the same. Returns uint8 (T, image_size, image_size): 255 on a landmark.
    The Gaussians are joined by their maximum (the paper does not say), so that close points do not outshine lone ones.
    """
    pieces = np.array_split(np.asarray(landmarks, np.float32), -(-len(landmarks) // _PIECE))
    return np.concatenate([_draw(points, image_size, sigma) for points in pieces])


def _draw(points: np.ndarray, image_size: int, sigma: float) -> np.ndarray:
    reach = int(np.ceil(_REACH * sigma))
    margin = 2 * reach + 1
    # Only the square about a point is drawn. Points far outside are drawn about the next place that does not show.
    centres = np.rint(points).astype(int).clip(-reach - 1, image_size + reach)
    places = centres[..., None] + np.arange(-reach, reach + 1)
    # The 2-D Gaussian is the product of two 1-D ones: x and y (T, 68, 2 · reach + 1) each.
    x, y = np.moveaxis(np.exp(-0.5 * ((places - points[..., None]) / sigma) ** 2, dtype=np.float32), 2, 0)
    columns, rows = np.moveaxis(places + margin, 2, 0)
    frame = np.arange(len(points))[:, None, None]
    canvas = np.zeros((len(points), image_size + 2 * margin, image_size + 2 * margin), np.float32)
    for k in range(points.shape[1]):
        square = (frame, rows[:, k, :, None], columns[:, k, None, :])
        canvas[square] = np.maximum(canvas[square], y[:, k, :, None] * x[:, k, None, :])
    return np.rint(255 * canvas[:, margin:-margin, margin:-margin]).astype(np.uint8)
