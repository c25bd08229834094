"""What makes trained networks faster draws the same."""

import pytest
import torch

from pipeline.blocks.inference import in_blocks


@pytest.mark.parametrize("bias", [True, False])
def test_a_convolution_in_blocks_is_the_same(bias):
    torch.manual_seed(0)
    convolution, x = torch.nn.Conv2d(3, 4, 7, bias=bias, padding=3), torch.randn(2, 3, 10, 12)
    torch.testing.assert_close(in_blocks(convolution)(x), convolution(x))
