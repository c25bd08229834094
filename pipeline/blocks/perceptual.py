"""Perceptual losses on the features of VGG-19 (Chen S. 2021, Eq. 5; Maity 2024, §4.2).

The papers take a network trained on ImageNet. Its weights are the user's to give; where none are given, fixed random ones stand
in, at a width that training can afford. They too compare edges, colours and textures over growing fields, without knowing
what matters to people; what a model was trained with, it says (`Origin`).
"""

from collections.abc import Callable
from hashlib import file_digest
from pathlib import Path
from typing import TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.errors import UserError

# Configuration E of Simonyan & Zisserman (2014), Table 1: filters of its convolutions, all 3×3, between the max-poolings.
FILTERS = ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4)
# ImageNet's, of RGB in 0 … 1.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SEED = 0


class Origin(TypedDict):
    """Where the features' weights come from."""

    weights: str  # "ImageNet file" or "random"
    detail: str  # the file's SHA-256, or the seed and the width


class VGG19(nn.Module):
    """The convolutions of VGG-19; images (N, 3, H, W) in −1 … 1 → maps behind each of the five max-poolings.

    Which layers the papers compare, neither says; those behind the poolings are what the published code of Maity's
    predecessor takes. Images are brought to ImageNet's mean and deviation, with which the weights were trained. `width`
    is a factor on the number of filters.
    """

    def __init__(self, width: float = 1.0):
        super().__init__()
        layers, channels = [], 3
        for block in FILTERS:
            for filters in block:
                layers += [nn.Conv2d(channels, max(1, round(filters * width)), 3, padding=1), nn.ReLU(inplace=True)]
                channels = max(1, round(filters * width))
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        x, maps = ((images + 1) / 2 - self.mean) / self.deviation, []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                maps.append(x)
        return maps


def load_vgg19(path: str | Path | None, width: float) -> tuple[VGG19, Origin]:
    """The network, frozen, in evaluation mode: by the weights of a file, or random ones (He et al. 2015) of that `width`.

    path: the usual checkpoint, such as vgg19-dcbb9e9d.pth (its classifier is not used). Raises UserError where it is missing,
    cannot be read, or is not of this layout.
    """
    if path is None:
        network = _random(width)
        origin = Origin(weights="random", detail=f"seed {SEED}, width {width:g}")
        print("perceptual loss: no perceptual.vgg19 is given; fixed random weights stand in for ImageNet's")
    else:
        network, path = VGG19(), Path(path)
        if not path.exists():
            raise UserError(f"params.yaml: perceptual.vgg19: {path} does not exist")
        try:
            weights = torch.load(path, map_location="cpu", weights_only=True)
            network.load_state_dict({k: v for k, v in weights.items() if k.startswith("features.")})
        except Exception as error:
            raise UserError(
                f"params.yaml: perceptual.vgg19: {path} does not hold VGG-19 in its usual layout ({type(error).__name__});"
                " vgg19-dcbb9e9d.pth does"
            ) from error
        with path.open("rb") as file:
            origin = Origin(weights="ImageNet file", detail=f"SHA-256 {file_digest(file, 'sha256').hexdigest()}")
        print(f"perceptual loss: VGG-19 of {path}")
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last), origin


def _random(width: float) -> VGG19:
    generator = torch.Generator().manual_seed(SEED)
    network = VGG19(width)
    for layer in network.features:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(layer.bias)
    return network


def perceptual_l1(features: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """Mean absolute difference of the features, mean of the layers (Chen S., Eq. 5).

    features: `VGG19`, frozen. real, fake: (N, 3, H, W) in −1 … 1; gradients go to `fake` only. The equation's norm is a sum
    over elements, of which the first layers have most by far; here it is their mean, as in Johnson et al. (2016), whom the
    paper follows.
    """
    return _mean_of_layers(F.l1_loss, features, real, fake)


def perceptual_mse(features: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """Mean squared difference of the features, mean of the layers (Maity, §4.2). Arguments as above."""
    return _mean_of_layers(F.mse_loss, features, real, fake)


def _mean_of_layers(
    distance: Callable[[Tensor, Tensor], Tensor], features: nn.Module, real: Tensor, fake: Tensor
) -> Tensor:
    with torch.no_grad():
        wanted = features(real)
    pairs = zip(features(fake), wanted, strict=True)
    return torch.stack([distance(made.float(), real.float()) for made, real in pairs]).mean()
