"""What makes trained networks draw the same faster."""

import torch
from torch import nn

# Whether this processor multiplies bfloat16 natively.
NATIVE_BFLOAT16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def in_blocks(convolution: nn.Conv2d) -> nn.Sequential:
    """The same convolution for 2×2 pixels at a time: one of stride 2 with four times the filters, each the kernel at another
    place. Four filters leave three quarters of a vector register empty, sixteen fill it."""
    size, filters = convolution.kernel_size[0], convolution.out_channels
    bias = convolution.bias
    blocks = nn.Conv2d(convolution.in_channels, 4 * filters, size + 1, 2, convolution.padding, bias=bias is not None)
    with torch.no_grad():
        blocks.weight.zero_()
        for k in range(4):
            y, x = divmod(k, 2)
            blocks.weight[k::4, :, y : y + size, x : x + size] = convolution.weight
        if bias is not None:
            blocks.bias.copy_(bias.repeat_interleave(4))
    return nn.Sequential(blocks, nn.PixelShuffle(2))
