"""Landmarks as one grayscale image: each a 2-D Gaussian about its point (Kesim & Erzin §4.1)."""

import numpy as np


def landmark_heatmaps(landmarks: np.ndarray, image_size: int, sigma: float) -> np.ndarray:
    """Draw exp(−d²/2σ²) about every landmark.

    landmarks: (T, 68, 2) in crop pixels; sigma in the same. Returns uint8 (T, image_size, image_size): 255 on a landmark.
    The Gaussians are joined by their maximum (the paper does not say), so that close points do not outshine lone ones.
    """
    grid = np.arange(image_size, dtype=np.float32)
    points = np.asarray(landmarks, np.float32)
    # The 2-D Gaussian is the product of two 1-D ones: (T, 68, S) each.
    x, y = (np.exp(-0.5 * ((grid - points[..., axis, None]) / sigma) ** 2) for axis in (0, 1))
    heatmaps = np.zeros((len(points), image_size, image_size), np.float32)
    for k in range(points.shape[1]):
        np.maximum(heatmaps, y[:, k, :, None] * x[:, k, None, :], out=heatmaps)
    return np.rint(255 * heatmaps).astype(np.uint8)
