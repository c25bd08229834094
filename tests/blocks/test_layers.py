"""The blocks against what they save."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.blocks.layers import convolve_joined, convolve_upsampled


@pytest.mark.parametrize("kernel", [2, 3])
def test_an_upsampled_convolution_is_one_of_the_larger_map(kernel):
    """Its gradients, too, and at the edges."""
    torch.manual_seed(0)
    x, weight = torch.randn(2, 3, 5, 4, dtype=torch.float64), torch.randn(6, 3, kernel, kernel, dtype=torch.float64)
    bias = torch.randn(6, dtype=torch.float64)
    larger = F.pad(x.repeat_interleave(2, 2).repeat_interleave(2, 3), (kernel - 2, 1) * 2)
    torch.testing.assert_close(convolve_upsampled(x, weight, bias), F.conv2d(larger, weight, bias))
    learning = [t.requires_grad_() for t in (x, weight, bias)]
    assert torch.autograd.gradcheck(convolve_upsampled, learning)


@pytest.mark.parametrize("upsample", [False, True])
def test_a_joined_convolution_is_one_of_the_concatenated_maps(upsample):
    torch.manual_seed(0)
    layer, skip = nn.Conv2d(5, 4, 3, padding=1), torch.randn(2, 2, 8, 8)
    x = torch.randn(6, 3, *((4, 4) if upsample else (8, 8)))
    larger = F.interpolate(x, size=(8, 8), mode="nearest")
    joined = torch.cat([larger, skip.repeat_interleave(3, dim=0)], dim=1)
    torch.testing.assert_close(convolve_joined(layer, x, skip, upsample), layer(joined), atol=1e-5, rtol=1e-5)
