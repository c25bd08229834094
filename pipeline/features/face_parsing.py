"""Face parsing by BiSeNet (Yu et al. 2018, "Bilateral Segmentation Network for Real-time Semantic Segmentation").

The variant whose weights are public, trained on CelebAMask-HQ: the spatial path (§3.1) is left out, and the map at 1/8 of a
ResNet-18 stands in for it. Modules bear the names that these weights have in their file (`79999_iter.pth` of
face-parsing.PyTorch), so that it is loaded strictly.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.errors import UserError

CLASSES = (
    *("background", "skin", "left_brow", "right_brow", "left_eye", "right_eye", "glasses", "left_ear", "right_ear"),
    *("earring", "nose", "mouth", "upper_lip", "lower_lip", "neck", "necklace", "cloth", "hair", "hat"),
)
# ImageNet's, of values in 0 … 1.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ConvBNReLU(nn.Module):
    """Convolution, batch normalisation, ReLU; (N, C, H, W) → (N, C', H, W)."""

    def __init__(self, channels: int, filters: int, kernel: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(filters)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class BasicBlock(nn.Module):
    """Residual block (He et al. 2016); (N, C, H, W) → (N, C', H/stride, W/stride)."""

    def __init__(self, channels: int, filters: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.downsample = nn.Identity()
        if channels != filters:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, filters, 1, stride, bias=False), nn.BatchNorm2d(filters)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.downsample(x) + self.bn2(self.conv2(y)))


class ResNet18(nn.Module):
    """ResNet-18 (He et al. 2016) without its classifier."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(BasicBlock(64, 64, 1), BasicBlock(64, 64, 1))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128, 1))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256, 1))
        self.layer4 = nn.Sequential(BasicBlock(256, 512, 2), BasicBlock(512, 512, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 3, H, W) → (N, 128, H/8, W/8), (N, 256, H/16, W/16), (N, 512, H/32, W/32)."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, padding=1)
        eighth = self.layer2(self.layer1(x))
        sixteenth = self.layer3(eighth)
        return eighth, sixteenth, self.layer4(sixteenth)


class AttentionRefinement(nn.Module):
    """Channels weighted by what the whole map holds (§3.2); (N, C, H, W) → (N, C', H, W)."""

    def __init__(self, channels: int, filters: int):
        super().__init__()
        self.conv = ConvBNReLU(channels, filters, 3)
        self.conv_atten = nn.Conv2d(filters, filters, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(filters)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x * torch.sigmoid(self.bn_atten(self.conv_atten(F.adaptive_avg_pool2d(x, 1))))


class ContextPath(nn.Module):
    """ResNet-18 whose deep maps, refined, are brought back to 1/8 of the image (§3.2)."""

    def __init__(self):
        super().__init__()
        self.resnet = ResNet18()
        self.arm16 = AttentionRefinement(256, 128)
        self.arm32 = AttentionRefinement(512, 128)
        self.conv_head32 = ConvBNReLU(128, 128, 3)
        self.conv_head16 = ConvBNReLU(128, 128, 3)
        self.conv_avg = ConvBNReLU(512, 128, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) → the map in the place of the spatial path's, and the context; both (N, 128, H/8, W/8)."""
        eighth, sixteenth, last = self.resnet(x)
        context = self.arm32(last) + self.conv_avg(F.adaptive_avg_pool2d(last, 1))
        context = self.arm16(sixteenth) + self.conv_head32(F.interpolate(context, sixteenth.shape[2:]))
        return eighth, self.conv_head16(F.interpolate(context, eighth.shape[2:]))


class FeatureFusion(nn.Module):
    """Both paths' maps in one, its channels weighted (§3.3); 2 × (N, 128, H, W) → (N, 256, H, W)."""

    def __init__(self):
        super().__init__()
        self.convblk = ConvBNReLU(256, 256, 1)
        self.conv1 = nn.Conv2d(256, 64, 1, bias=False)
        self.conv2 = nn.Conv2d(64, 256, 1, bias=False)

    def forward(self, spatial: Tensor, context: Tensor) -> Tensor:
        x = self.convblk(torch.cat([spatial, context], dim=1))
        return x + x * torch.sigmoid(self.conv2(F.relu(self.conv1(F.adaptive_avg_pool2d(x, 1)))))


class Head(nn.Module):
    """Scores of the classes; (N, C, H, W) → (N, 19, H, W)."""

    def __init__(self, channels: int, filters: int):
        super().__init__()
        self.conv = ConvBNReLU(channels, filters, 3)
        self.conv_out = nn.Conv2d(filters, len(CLASSES), 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(self.conv(x))


class BiSeNet(nn.Module):
    """Figure 2 (c), with ResNet-18's map in the place of the spatial path's."""

    def __init__(self):
        super().__init__()
        self.cp = ContextPath()
        self.ffm = FeatureFusion()
        self.conv_out = Head(256, 256)
        # Of the auxiliary losses (§3.3): only training needs these two, but the file has them.
        self.conv_out16 = Head(128, 64)
        self.conv_out32 = Head(128, 64)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W), normalised by MEAN and DEVIATION → scores (N, 19, H, W)."""
        scores = self.conv_out(self.ffm(*self.cp(images)))
        return F.interpolate(scores, images.shape[2:], mode="bilinear", align_corners=True)


def load_face_parsing(path: Path) -> BiSeNet:
    """The network of a checkpoint, in evaluation mode. Raises UserError where it is missing, damaged or another network's."""
    mend = "alignment.face_parsing takes the 79999_iter.pth of face-parsing.PyTorch, or null"
    if not path.is_file():
        raise UserError(f"{path} does not exist; {mend}")
    network = BiSeNet()
    try:
        # The public file is in the format of PyTorch before 1.6, which cannot be mapped into memory.
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:
        raise UserError(
            f"{path} is not a BiSeNet of 19 classes, or damaged ({type(error).__name__}); {mend}"
        ) from error
    return network.eval()


def face_parser(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """A checkpoint as a function: image uint8 (S, S, 3) → class of each pixel, uint8 (S, S). Made for S = 512."""
    network = load_face_parsing(path)

    @torch.inference_mode()
    def parse(image: np.ndarray) -> np.ndarray:
        x = (torch.from_numpy(image) / 255 - torch.tensor(MEAN)) / torch.tensor(DEVIATION)
        return network(x.permute(2, 0, 1)[None])[0].argmax(dim=0).to(torch.uint8).numpy()

    return parse
