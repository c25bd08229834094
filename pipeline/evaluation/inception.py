"""Inception-v3 as FID sees by it (Szegedy et al. 2016; Heusel et al. 2017): the network of TensorFlow's 2015 release.

Its average pooling leaves padding out of the mean, and its last block has a maximum in the place of that mean. Modules bear the
names that these weights have in their file (`pt_inception-2015-12-05-6726825d.pth` of pytorch-fid).
"""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.errors import UserError

IMAGE_SIZE = 299


class Layer(NamedTuple):
    """filters, kernel and stride of a convolution; with a stride of 2 nothing is padded."""

    filters: int
    kernel: int | tuple[int, int]
    stride: int = 1


class Convolution(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, channels: int, layer: Layer, padded: bool = True):
        super().__init__()
        filters, kernel, stride = layer
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (height // 2, width // 2) if padded and stride == 1 else 0
        self.conv = nn.Conv2d(channels, filters, (height, width), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(filters, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


# A branch of a block: layers in a row, by the branch's name; the last may be two, side by side.
Branches = dict[str, list[Layer | tuple[Layer, Layer]]]


class Mixed(nn.Module):
    """A block: branches, and one that pools, before a convolution where `pooled` says how many filters; all in a row."""

    def __init__(self, channels: int, branches: Branches, pool: nn.Module, pooled: int | None = None):
        super().__init__()
        self.chains, self.channels = [], 0
        for branch, layers in branches.items():
            inside, chain = channels, []
            for number, place in enumerate(layers, start=1):
                side_by_side = (place,) if isinstance(place, Layer) else place
                ends = [""] if len(side_by_side) == 1 else ["a", "b"]
                names = [f"{branch}_{number}{end}" if len(layers) > 1 else branch for end in ends]
                for name, layer in zip(names, side_by_side, strict=True):
                    self.add_module(name, Convolution(inside, layer))
                chain.append(names)
                inside = sum(layer.filters for layer in side_by_side)
            self.chains.append(chain)
            self.channels += inside
        self.pool = pool
        if pooled:
            self.branch_pool = Convolution(channels, Layer(pooled, 1))
        self.channels += pooled or channels

    def forward(self, x: Tensor) -> Tensor:
        made = [self._along(chain, x) for chain in self.chains]
        pooled = self.pool(x)
        return torch.cat([*made, self.branch_pool(pooled) if hasattr(self, "branch_pool") else pooled], dim=1)

    def _along(self, chain: list[list[str]], x: Tensor) -> Tensor:
        for names in chain:
            x = torch.cat([self.get_submodule(name)(x) for name in names], dim=1)
        return x


def _mean() -> nn.Module:
    return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)


def _fives(channels: int, pooled: int) -> Mixed:
    """Figure 5 of Szegedy et al., but for its 5×5."""
    branches: Branches = {
        "branch1x1": [Layer(64, 1)],
        "branch5x5": [Layer(48, 1), Layer(64, 5)],
        "branch3x3dbl": [Layer(64, 1), Layer(96, 3), Layer(96, 3)],
    }
    return Mixed(channels, branches, _mean(), pooled)


def _sevens(inside: int) -> Mixed:
    """Figure 6, n = 7. inside: filters between a branch's first and last layer."""
    across, down = (1, 7), (7, 1)
    branches: Branches = {
        "branch1x1": [Layer(192, 1)],
        "branch7x7": [Layer(inside, 1), Layer(inside, across), Layer(192, down)],
        "branch7x7dbl": [Layer(inside, 1), *(Layer(inside, k) for k in (down, across, down)), Layer(192, across)],
    }
    return Mixed(768, branches, _mean(), 192)


def _wide(channels: int, pool: nn.Module) -> Mixed:
    """Figure 7."""
    pair = Layer(384, (1, 3)), Layer(384, (3, 1))
    branches: Branches = {
        "branch1x1": [Layer(320, 1)],
        "branch3x3": [Layer(384, 1), pair],
        "branch3x3dbl": [Layer(448, 1), Layer(384, 3), pair],
    }
    return Mixed(channels, branches, pool, 192)


# Blocks that halve the map.
HALVING: dict[str, Branches] = {
    "Mixed_6a": {"branch3x3": [Layer(384, 3, 2)], "branch3x3dbl": [Layer(64, 1), Layer(96, 3), Layer(96, 3, 2)]},
    "Mixed_7a": {
        "branch3x3": [Layer(192, 1), Layer(320, 3, 2)],
        "branch7x7x3": [Layer(192, 1), Layer(192, (1, 7)), Layer(192, (7, 1)), Layer(192, 3, 2)],
    },
}


class Inception(nn.Sequential):
    """Images (N, 3, 299, 299) in −1 … 1 → features (N, 2048), the last map's mean."""

    def __init__(self):
        super().__init__()
        stem = {
            "Conv2d_1a_3x3": Convolution(3, Layer(32, 3, 2)),
            "Conv2d_2a_3x3": Convolution(32, Layer(32, 3), padded=False),
            "Conv2d_2b_3x3": Convolution(32, Layer(64, 3)),
            "pool_1": nn.MaxPool2d(3, stride=2),
            "Conv2d_3b_1x1": Convolution(64, Layer(80, 1)),
            "Conv2d_4a_3x3": Convolution(80, Layer(192, 3), padded=False),
            "pool_2": nn.MaxPool2d(3, stride=2),
        }
        fives = {"Mixed_5b": _fives(192, 32), "Mixed_5c": _fives(256, 64), "Mixed_5d": _fives(288, 64)}
        sevens = {f"Mixed_6{k}": _sevens(n) for k, n in zip("bcde", (128, 160, 160, 192), strict=True)}
        blocks = {
            **fives,
            "Mixed_6a": Mixed(288, HALVING["Mixed_6a"], nn.MaxPool2d(3, stride=2)),
            **sevens,
            "Mixed_7a": Mixed(768, HALVING["Mixed_7a"], nn.MaxPool2d(3, stride=2)),
            "Mixed_7b": _wide(1280, _mean()),
            "Mixed_7c": _wide(2048, nn.MaxPool2d(3, stride=1, padding=1)),
        }
        for name, module in (stem | blocks).items():
            self.add_module(name, module)

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).mean(dim=(2, 3))


def load_inception(path: Path) -> Inception:
    """The network of a file, in evaluation mode. Raises UserError where it is missing, damaged or another network's."""
    network = Inception()
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
        # Not its scores of 1008 classes.
        network.load_state_dict({name: x for name, x in weights.items() if not name.startswith("fc.")})
    except Exception as error:
        raise UserError(
            f"{path} does not hold FID's Inception-v3 ({type(error).__name__}); "
            "pt_inception-2015-12-05-6726825d.pth does, of pytorch-fid's releases on GitHub"
        ) from error
    return network.eval().requires_grad_(False)


@torch.inference_mode()
def inception_features(network: Inception, images: Tensor) -> Tensor:
    """Images (N, 3, S, S) in −1 … 1 → features (N, 2048), of any size, brought to 299 px as pytorch-fid does."""
    return network(F.interpolate(images, (IMAGE_SIZE, IMAGE_SIZE), mode="bilinear", align_corners=False))
