"""Images as networks take and give them, and as arrays."""

import numpy as np
import torch
from torch import Tensor


def images_to_tensor(images: np.ndarray) -> Tensor:
    """uint8 (T, S, S, 3) → float32 (T, 3, S, S) in −1 … 1 (Kesim & Erzin §4.2)."""
    return torch.tensor(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float() / 127.5 - 1


def heatmaps_to_tensor(heatmaps: np.ndarray) -> Tensor:
    """uint8 (T, S, S) → float32 (T, 1, S, S) in 0 … 1."""
    return torch.tensor(np.ascontiguousarray(heatmaps))[:, None].float() / 255


def tensor_to_images(frames: Tensor) -> np.ndarray:
    """float (T, 3, S, S) in −1 … 1 → uint8 (T, S, S, 3)."""
    return ((frames.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
