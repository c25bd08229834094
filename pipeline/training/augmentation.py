"""Random changes of colour and light (Maity 2024, §4.3.2): the same for all images of a clip, so that it does not flicker.

The thesis names the changes. Chances and ranges are about those of the published code of its predecessor, Eskimez 2021.
kornia, a fifth of a second to load, is loaded by the changes that it makes: few trainings make any.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

# Images (N, 3, H, W) in 0 … 1 → the same changed, perhaps beyond 0 … 1.
Change = Callable[[Tensor, np.random.Generator], Tensor]


def brightness(images: Tensor, rng: np.random.Generator) -> Tensor:
    from kornia.enhance import adjust_brightness

    return adjust_brightness(images, rng.uniform(-0.2, 0.2), clip_output=False)


def contrast(images: Tensor, rng: np.random.Generator) -> Tensor:
    """About mid-grey: about the mean of each image, frames would differ."""
    return 0.5 + rng.uniform(0.8, 1.2) * (images - 0.5)


def gamma(images: Tensor, rng: np.random.Generator) -> Tensor:
    from kornia.enhance import adjust_gamma

    return adjust_gamma(images, rng.uniform(0.8, 1.2))


def local_contrast(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Contrast-limited adaptive histogram equalisation, of the luminance alone, in 8 × 8 tiles."""
    from kornia.color import rgb_to_ycbcr, ycbcr_to_rgb
    from kornia.enhance import equalize_clahe

    luminance, colours = rgb_to_ycbcr(images).split([1, 2], dim=1)
    return ycbcr_to_rgb(torch.cat([equalize_clahe(luminance, rng.uniform(1, 4), (8, 8)), colours], dim=1))


def hue_saturation_value(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Up to 40° of hue; 0.2 of saturation and value."""
    from kornia.color import hsv_to_rgb, rgb_to_hsv

    hue, saturation, value = rgb_to_hsv(images).unbind(1)
    hue = (hue + rng.uniform(-2 / 9, 2 / 9) * np.pi) % (2 * np.pi)
    saturation, value = ((x + rng.uniform(-0.2, 0.2)).clamp(0, 1) for x in (saturation, value))
    return hsv_to_rgb(torch.stack([hue, saturation, value], dim=1))


def channel_shuffle(images: Tensor, rng: np.random.Generator) -> Tensor:
    return images[:, rng.permutation(3).tolist()]


def rgb_shift(images: Tensor, rng: np.random.Generator) -> Tensor:
    return images + torch.tensor(rng.uniform(-0.08, 0.08, (3, 1, 1)), dtype=images.dtype)


def noise(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Normal, of a variance of 10 to 50 (of 255²); one pattern for all frames, since no network could foresee others."""
    deviation = np.sqrt(rng.uniform(10, 50)) / 255
    pattern = rng.standard_normal(images.shape[1:], np.float32)
    return images + deviation * torch.from_numpy(pattern)


# Each comes with its chance, in this order.
CHANGES: tuple[tuple[Change, float], ...] = (
    (brightness, 0.2),
    (contrast, 0.2),
    (gamma, 0.2),
    (local_contrast, 0.2),
    (hue_saturation_value, 0.2),
    (channel_shuffle, 0.2),
    (rgb_shift, 0.2),
    (noise, 0.25),
)


def augment_some(images: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    """Images of one excerpt, its photo among them, changed as by `augment` in `share` of the excerpts."""
    return augment(images, rng) if rng.random() < share else images


def augment(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Images of one clip, (N, 3, H, W) in −1 … 1, changed by what `rng` draws."""
    changed = (images + 1) / 2
    for change, chance in CHANGES:
        if rng.random() < chance:
            changed = change(changed, rng).clamp(0, 1)
    return 2 * changed - 1
