"""Convolution blocks that the papers share."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Down(nn.Sequential):
    """Convolution, instance normalisation, leaky ReLU (0.2); (N, C, H, W) → (N, C', H/stride, W/stride), rounded up.

    The papers write (filters, kernel, stride). A kernel as large as its stride divides the map into patches, without padding.
    `normalise=False` leaves the convolution alone: on a 1×1 map instance normalisation would erase everything.
    """

    def __init__(self, channels: int, filters: int, kernel: int, stride: int, normalise: bool = True):
        super().__init__(nn.Conv2d(channels, filters, kernel, stride, padding=0 if kernel == stride else kernel // 2))
        if normalise:
            self.extend([nn.InstanceNorm2d(filters), nn.LeakyReLU(0.2)])


class Up(nn.Module):
    """Nearest-neighbour upsampling by 2, convolution, then instance normalisation and leaky ReLU, or another activation."""

    def __init__(self, channels: int, filters: int, kernel: int, activation: nn.Module | None = None):
        super().__init__()
        # An even kernel has no centre: one more row and column of padding at the end keeps the size.
        self.padding = ((kernel - 1) // 2, kernel // 2) * 2
        self.convolution = nn.Conv2d(channels, filters, kernel)
        self.after = activation or nn.Sequential(nn.InstanceNorm2d(filters), nn.LeakyReLU(0.2))

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        return self.after(self.convolution(F.pad(x, self.padding)))


def repeat(x: Tensor, n: int) -> Tensor:
    """(…) → (n, …): the same for each of n frames, without a copy."""
    return x.expand(n, *x.shape)


def concatenate(*maps: Tensor | None) -> Tensor:
    """Channel-wise concatenation of those maps (N, C, H, W) that a system has."""
    return torch.cat([x for x in maps if x is not None], dim=1)


def lower_half_error(truth: Tensor, fake: Tensor) -> Tensor:
    """Mean absolute error of the lower half, where speech shows, of frames (T, 3, S, S) in −1 … 1: a number from 0 to 2."""
    return (fake - truth)[:, :, truth.shape[2] // 2 :].abs().mean()
