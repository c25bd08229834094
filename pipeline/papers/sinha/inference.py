"""The texture generator in use: the same frames, faster."""

import torch
from torch import Tensor, nn

from pipeline.blocks.composition import Frames, frames_of
from pipeline.blocks.inference import NATIVE_BFLOAT16, in_blocks
from pipeline.papers.sinha.texture_net import TextureGenerator


class TextureInUse(nn.Module):
    """A texture generator's frames, to within a grey level, in half of its time; without bfloat16, in three quarters.

    Its arithmetic is bfloat16 where the machine multiplies that natively; the heads are one convolution of blocks of pixels.
    """

    def __init__(self, network: TextureGenerator):
        super().__init__()
        self.network, colour, change = network, network.colour[0], network.change[0]
        heads = nn.Conv2d(colour.in_channels, 4, colour.kernel_size, 1, colour.padding, bias=False)
        heads.weight = nn.Parameter(torch.cat([colour.weight, change.weight]))
        self.heads = in_blocks(heads)

    @torch.autocast("cpu", torch.bfloat16, enabled=NATIVE_BFLOAT16)
    def forward(self, photo: Tensor, photo_landmarks: Tensor, landmarks: Tensor) -> Frames:
        """As of `TextureGenerator`."""
        return frames_of(self.heads(self.network.features(photo, photo_landmarks, landmarks)), photo)
