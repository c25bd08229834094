"""Layers that both of ATVGnet's networks are built of.

The numbers of filters are those of the authors' published code at 128 px: the paper leaves them out. B excerpts of T frames
are a batch; frames are folded into the batch for all but the recurrent cells.
"""

from torch import Tensor, nn

FACE = 2 * 68  # numbers that 68 landmarks are


def scaled(width: float, *numbers: int) -> list[int]:
    """The published numbers of filters, scaled by the width."""
    return [max(4, round(n * width)) for n in numbers]


def initialise(network: nn.Module, width: float) -> None:
    """Weights N(0, 0.02²), biases 0, scales of batch normalisation N(1, 0.02²); recurrent layers keep PyTorch's own.

    The paper says a deviation of 0.2, the published code 0.02. Narrower layers sum fewer terms: theirs grows by 1/√width.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
        elif isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02 / width**0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def convolution(channels: int, filters: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU; (N, C, H, W) → (N, filters, H/stride, W/stride).

    The statistics are taken over all frames and excerpts of a batch. For layers that see the photo alone these are B maps
    only: with one excerpt a batch they would be the photo's own, which the running ones used afterwards are not.
    """
    return nn.Sequential(
        nn.Conv2d(channels, filters, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(filters), nn.ReLU()
    )


def upconvolution(channels: int, filters: int) -> nn.Sequential:
    """Transposed convolution (3, stride 2), batch normalisation, ReLU; (N, C, H, W) → (N, filters, 2H, 2W)."""
    return nn.Sequential(
        nn.ConvTranspose2d(channels, filters, 3, 2, padding=1, output_padding=1, bias=False),
        nn.BatchNorm2d(filters),
        nn.ReLU(),
    )


class Residual(nn.Module):
    """Two convolutions, added to their input; dropout between them, as published at a width of 1.

    Narrower layers have less to spare: theirs drop as much less as they are narrower.
    """

    def __init__(self, filters: int, width: float):
        super().__init__()
        second = convolution(filters, filters)[:2]
        self.layers = nn.Sequential(*convolution(filters, filters), nn.Dropout(0.5 * min(1.0, width)), *second)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def over_frames(x: Tensor, n: int) -> Tensor:
    """(B, …) → (B · n, …): the same for each of n frames."""
    return x[:, None].expand(-1, n, *x.shape[1:]).flatten(0, 1)
