"""Image metrics of one clip, per frame: RGB, uint8, at the crop's own size."""

import numpy as np
from skimage.metrics import structural_similarity

# Rounding to whole values alone makes this mean squared error: a frame can't be told from its original below it, and the
# cap (58.92 dB) keeps one identical frame from making a mean infinite.
LEAST_MSE = 1 / 12


def psnr(truth: np.ndarray, generated: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio in dB, 10·log10(255² / MSE); MSE over all pixels and the three channels of a frame.

    truth, generated: uint8 (T, H, W, 3). Returns float64 (T,), at most 58.92.
    """
    difference = truth.astype(np.float64) - generated
    return 10 * np.log10(255**2 / np.maximum((difference**2).mean(axis=(1, 2, 3)), LEAST_MSE))


def ssim(truth: np.ndarray, generated: np.ndarray) -> np.ndarray:
    """Structural similarity with the parameters of Wang et al. 2004: Gaussian window of 11×11, σ 1.5, population variance.

    truth, generated: uint8 (T, H, W, 3). Returns float64 (T,), mean over the channels, in −1 … 1.
    """
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    pairs = zip(truth, generated, strict=True)
    return np.array([structural_similarity(a, b, channel_axis=-1, **wang) for a, b in pairs])
