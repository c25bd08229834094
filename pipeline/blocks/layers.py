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
        self.convolution = nn.Conv2d(channels, filters, kernel)
        self.after = activation or nn.Sequential(nn.InstanceNorm2d(filters), nn.LeakyReLU(0.2))

    def forward(self, x: Tensor) -> Tensor:
        return self.after(convolve_upsampled(x, self.convolution.weight, self.convolution.bias))


def convolve_upsampled(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Nearest-neighbour upsampling by 2, then a convolution: (N, C, H, W), (F, C, k, k) → (N, F, 2H, 2W).

    Without the larger map: by a transposed convolution, whose kernel of k + 1 is what all of the 2×2 that a pixel becomes give.
    Of a 3×3 less than half of the products are left. Zeros beyond the edges; an even kernel has no centre, and one row and
    column of them more at the end keeps the size.
    """
    k = weight.shape[-1]
    once = torch.eye(k + 1, k, dtype=weight.dtype, device=weight.device)
    twice = once + once.roll(1, 0)
    larger = torch.einsum("ya,xb,fcab->cfyx", twice, twice, weight.flip(2, 3))
    return F.conv_transpose2d(x, larger, bias, 2, padding=k // 2, output_padding=k // 2 - (k - 1) // 2)


def convolve_joined(layer: nn.Conv2d, x: Tensor, skip: Tensor, upsample: bool = False) -> Tensor:
    """A convolution of frames' maps joined with their photo's: (B·T, C, h, w), (B, C', H, W) → (B·T, F, H, W).

    It is the sum of two convolutions, and the photo's is the same for all frames of a clip: computed once. upsample: the
    frames' maps by 2 first, to the size of the photo's.
    """
    of_frames, of_photo = layer.weight.split([x.shape[1], skip.shape[1]], dim=1)
    photo = F.conv2d(skip, of_photo, layer.bias, padding=layer.padding)
    frames = convolve_upsampled(x, of_frames) if upsample else F.conv2d(x, of_frames, padding=layer.padding)
    return (frames.unflatten(0, (len(skip), -1)) + photo[:, None]).flatten(0, 1)


def repeat(x: Tensor, n: int) -> Tensor:
    """(…) → (n, …): the same for each of n frames, without a copy."""
    return x.expand(n, *x.shape)


def concatenate(*maps: Tensor | None) -> Tensor:
    """Channel-wise concatenation of those maps (N, C, H, W) that a system has."""
    return torch.cat([x for x in maps if x is not None], dim=1)


def lower_half_error(truth: Tensor, fake: Tensor) -> Tensor:
    """Mean absolute error of the lower half, where speech shows, of frames (T, 3, S, S) in −1 … 1: a number from 0 to 2."""
    return (fake - truth)[:, :, truth.shape[2] // 2 :].abs().mean()
