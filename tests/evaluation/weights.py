"""Files of weights as they are published, of the right shapes, with numbers drawn by a seed."""

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn


def filled(shapes: dict[str, torch.Size]) -> dict[str, Tensor]:
    """Weights drawn by NumPy, those of each name others, with which values neither vanish nor grow from layer to layer."""
    return {
        name: _drawn(name, shape, np.random.default_rng(k)) for k, (name, shape) in enumerate(sorted(shapes.items()))
    }


def _drawn(name: str, shape: torch.Size, rng: np.random.Generator) -> Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    if name.endswith(("running_var", "bn.weight")):
        return torch.tensor(rng.uniform(0.5, 1.5, shape)).float()
    deviation = 0.1 if len(shape) < 2 else math.sqrt(2 / math.prod(shape[1:]))  # He et al. 2015
    return torch.tensor(rng.normal(0, deviation, shape)).float()


def images(n: int, size: int) -> Tensor:
    """Noise (n, 3, size, size), whole numbers 0 … 255."""
    return torch.tensor(np.random.default_rng(1).integers(0, 256, (n, 3, size, size))).float()


def write_inception(path: Path, shapes: dict[str, torch.Size]) -> None:
    torch.save(filled(shapes) | {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}, path)


# Shapes of AlexNet's convolutions in torchvision's file, by their number among its layers.
ALEXNET = {0: (64, 3, 11, 11), 3: (192, 64, 5, 5), 6: (384, 192, 3, 3), 8: (256, 384, 3, 3), 10: (256, 256, 3, 3)}


def write_lpips(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shapes = {}
    for layer, shape in ALEXNET.items():
        shapes |= {f"features.{layer}.weight": torch.Size(shape), f"features.{layer}.bias": torch.Size(shape[:1])}
    classifier = {"classifier.6.weight": torch.zeros(1000, 4096)}
    torch.save(filled(shapes) | classifier, folder / "alexnet-owt-7be5be79.pth")
    heads = {f"lin{k}.model.1.weight": torch.Size((1, shape[0], 1, 1)) for k, shape in enumerate(ALEXNET.values())}
    torch.save({name: x.abs() for name, x in filled(heads).items()}, folder / "alex.pth")


class Video(nn.Module):
    """Called as I3D is: the means of a video's thirds in time, by channel, in the first of its 400 features."""

    def forward(self, x: Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False) -> Tensor:
        if not (rescale and resize and return_features):
            raise RuntimeError("not called as StyleGAN-V does")
        features = torch.zeros(x.shape[0], 400)
        features[:, :3] = (x / 255 * 2 - 1).mean(dim=[2, 3, 4])
        features[:, 3:6] = x[:, :, : x.shape[2] // 2].mean(dim=[2, 3, 4]) / 255
        return features


def write_i3d(path: Path) -> None:
    torch.jit.script(Video()).save(path)
