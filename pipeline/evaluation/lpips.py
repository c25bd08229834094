"""LPIPS, version 0.1 (Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric"): AlexNet's
maps, weighted as people judged."""

from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.blocks.perceptual import DEVIATION, MEAN
from pipeline.errors import UserError

# Files of a folder: AlexNet's weights as torchvision has them, and those of its maps' channels, of the package lpips.
BACKBONE, HEADS = "alexnet-owt-7be5be79.pth", "alex.pth"
# Filters, kernel, stride and padding of AlexNet's convolutions (Krizhevsky 2014); before the second and third lies a pooling.
CONVOLUTIONS = ((64, 11, 4, 2), (192, 5, 1, 2), (384, 3, 1, 1), (256, 3, 1, 1), (256, 3, 1, 1))
POOLED = (1, 2)


class LPIPS(nn.Module):
    """Two stacks of images (N, 3, H, W) in −1 … 1 → distances (N,), ≥ 0."""

    def __init__(self):
        super().__init__()
        layers, channels = [], 3
        for k, (filters, kernel, stride, padding) in enumerate(CONVOLUTIONS):
            layers += [nn.MaxPool2d(3, stride=2)] if k in POOLED else []
            layers += [nn.Conv2d(channels, filters, kernel, stride, padding), nn.ReLU()]
            channels = filters
        self.features = nn.Sequential(*layers)
        self.heads = nn.ParameterList(torch.ones(1, filters, 1, 1) for filters, *_ in CONVOLUTIONS)
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None], persistent=False)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Equation 1: squared differences of unit vectors along channels, weighted, mean over the map, sum of the layers."""
        maps = zip(self._maps(one), self._maps(other), self.heads, strict=True)
        return torch.stack([((a - b) ** 2 * head).sum(dim=1).mean(dim=(1, 2)) for a, b, head in maps]).sum(dim=0)

    def _maps(self, images: Tensor) -> list[Tensor]:
        x, maps = ((images + 1) / 2 - self.mean) / self.deviation, []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                maps.append(x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10))
        return maps


def load_lpips(folder: Path) -> LPIPS:
    """The network of a folder with BACKBONE and HEADS, in evaluation mode. Raises UserError where one is missing or another."""
    network = LPIPS()
    backbone, heads = (_read(folder / name) for name in (BACKBONE, HEADS))
    try:
        features = {name: x for name, x in backbone.items() if name.startswith("features.")}
        lines = {f"heads.{k}": heads[f"lin{k}.model.1.weight"] for k in range(len(CONVOLUTIONS))}
        network.load_state_dict(features | lines)
    except (KeyError, RuntimeError, AttributeError) as error:
        raise UserError(
            f"{folder}: {BACKBONE} and {HEADS} are not AlexNet and LPIPS's weights of it ({type(error).__name__}); torchvision "
            "publishes the one, the package lpips holds the other (lpips/weights/v0.1)"
        ) from error
    return network.eval().requires_grad_(False)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        where = (
            "torchvision publishes it" if path.name == BACKBONE else "the package lpips holds it (lpips/weights/v0.1)"
        )
        what = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({type(error).__name__})"
        raise UserError(f"{path} {what}; {where}") from error
