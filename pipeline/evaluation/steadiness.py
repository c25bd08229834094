"""Whether what should keep still does: points of the head, and pixels of what does not move."""

from itertools import pairwise

import numpy as np

# Of the real clip's pixels, those are looked at that change least from frame to frame.
STILL_SHARE = 0.25


def flicker(truth: np.ndarray, generated: np.ndarray) -> float:
    """How much pixels flicker that hardly change in the real clip: uint8 (T, H, W, 3) each → grey levels, ≥ 0.

    The root mean square of `successive_deviation` over the STILL_SHARE of the pixels whose own is least in the truth. A share
    and no threshold, since cameras differ in noise. No source: the five papers show it in pictures. The truth has its camera's
    noise, and a still photo nought: what is far above the truth flickers. NaN for fewer than two frames.
    """
    if len(truth) < 2:
        return float("nan")
    real = successive_deviation(truth)
    still = real <= np.quantile(real, STILL_SHARE)
    return float(np.sqrt((successive_deviation(generated)[still] ** 2).mean()))


def successive_deviation(frames: np.ndarray) -> np.ndarray:
    """The deviation of each pixel from frame to frame, mean square of the channels: (T, H, W, 3) → (H, W), grey levels.

    The root of half of the mean square successive difference (von Neumann et al. 1941): of noise it is the standard deviation,
    and slow changes of light or pose add nothing. T is 2 or more.
    """
    squares = sum(np.square(b.astype(np.float32) - a).mean(axis=-1) for a, b in pairwise(frames))
    return np.sqrt(squares / (2 * (len(frames) - 1)))
