"""Sinha 2020, §III-C: a photo and the landmarks of its face in motion → frames, composed by an attention map.

The networks have no memory: frames are the batch. A batch is an excerpt of consecutive frames of one clip, because the temporal
term compares neighbours.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.blocks.composition import Frames, attention_loss, frames_of, root_mean_squares
from pipeline.blocks.gan import discriminator_lsgan, generator_lsgan
from pipeline.blocks.layers import lower_half_error
from pipeline.features.heatmap import landmark_heatmaps
from pipeline.features.landmarks import EYES, MOUTH, inter_ocular_distance
from pipeline.training.recipe import Terms


@dataclass(frozen=True)
class Settings:
    """What the texture networks are built from; saved with their weights."""

    width: float  # factor on the number of filters
    sigma: float  # of landmark images, pixels

    def filters(self, *numbers: int) -> list[int]:
        """The published numbers of filters, scaled by the width."""
        return [max(4, round(n * self.width)) for n in numbers]


class Video(NamedTuple):
    """T consecutive frames of a clip, and a photo of the person. Images are in −1 … 1, landmark images in 0 … 1."""

    photo: Tensor  # (3, S, S)
    photo_landmarks: Tensor  # (1, S, S)
    landmarks: Tensor  # (T, 1, S, S)
    frames: Tensor  # (T, 3, S, S)

    @property
    def n_frames(self) -> int:
        return len(self.frames)


def convolution(layer: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    """A convolution, affine instance normalisation, ReLU: the generator's only kind of layer."""
    return nn.Sequential(layer, nn.InstanceNorm2d(layer.out_channels, affine=True), nn.ReLU())


class ResidualBlock(nn.Module):
    def __init__(self, n: int):
        super().__init__()
        layers = convolution(nn.Conv2d(n, n, 3, 1, 1, bias=False))
        self.layers = layers.extend(convolution(nn.Conv2d(n, n, 3, 1, 1, bias=False))[:2])

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class TextureGenerator(nn.Module):
    """Photo, and the difference of two landmark images → frames (Fig. 6); the layers are GANimation's (Pumarola 2018)."""

    def __init__(self, s: Settings):
        super().__init__()
        self.settings = s
        a, b, c = s.filters(64, 128, 256)
        self.landmark_encoder = nn.Sequential(
            convolution(nn.Conv2d(1, a, 7, 1, 3, bias=False)), convolution(nn.Conv2d(a, a, 3, 1, 1, bias=False))
        )
        self.encoder_decoder = nn.Sequential(
            convolution(nn.Conv2d(3 + a, a, 7, 1, 3, bias=False)),
            convolution(nn.Conv2d(a, b, 4, 2, 1, bias=False)),
            convolution(nn.Conv2d(b, c, 4, 2, 1, bias=False)),
            *(ResidualBlock(c) for _ in range(6)),
            convolution(nn.ConvTranspose2d(c, b, 4, 2, 1, bias=False)),
            convolution(nn.ConvTranspose2d(b, a, 4, 2, 1, bias=False)),
        )
        self.colour = nn.Sequential(nn.Conv2d(a, 3, 7, 1, 3, bias=False), nn.Tanh())
        self.change = nn.Sequential(nn.Conv2d(a, 1, 7, 1, 3, bias=False), nn.Sigmoid())

    def forward(self, photo: Tensor, photo_landmarks: Tensor, landmarks: Tensor) -> Frames:
        """photo (3, S, S) in −1 … 1; landmark images (1, S, S) of the photo and (T, 1, S, S) of the frames, in 0 … 1."""
        # Both heads at once: three filters and one leave most of a vector register empty.
        heads = torch.cat([self.colour[0].weight, self.change[0].weight])
        last = F.conv2d(self.features(photo, photo_landmarks, landmarks), heads, padding=3)
        # Eq. 6 with `change` = 1 − att: the paper's attention is 1 where the photo stays, `change` is 1 where it is drawn anew.
        return frames_of(last, photo)

    def features(self, photo: Tensor, photo_landmarks: Tensor, landmarks: Tensor) -> Tensor:
        """What both heads see: (T, C, S, S)."""
        motion = self.landmark_encoder(landmarks) - self.landmark_encoder(photo_landmarks[None])
        photos = photo.expand(len(landmarks), -1, -1, -1)
        return self.encoder_decoder(torch.cat([motion, photos], dim=1))


class PatchDiscriminator(nn.Sequential):
    """Are these real frames? (T, 3, S, S) → (T, 1, s, s): one number per patch of 70 × 70 pixels, without a sigmoid (§IV).

    PatchGAN (Isola 2017) with instance normalisation.
    """

    def __init__(self, s: Settings):
        a, b, c, d = s.filters(64, 128, 256, 512)
        layers = [nn.Conv2d(3, a, 4, 2, 1), nn.LeakyReLU(0.2)]
        for n, m, stride in ((a, b, 2), (b, c, 2), (c, d, 1)):
            layers += [nn.Conv2d(n, m, 4, stride, 1), nn.InstanceNorm2d(m, affine=True), nn.LeakyReLU(0.2)]
        super().__init__(*layers, nn.Conv2d(d, 1, 4, 1, 1))


def pixel_mask(template: np.ndarray, image_size: int) -> Tensor:
    """α of Eq. 7: 5 at the mouth's and eyes' landmarks, falling to 1 within about half the eyes' distance. (68, 2) → (S, S).

    The paper gives no values. The training split's mean face in the crop stands for every aligned face.
    """
    points = np.concatenate([template[MOUTH], template[EYES]])
    near = landmark_heatmaps(points[None], image_size, sigma=inter_ocular_distance(template) / 5)[0] / 255
    return torch.tensor(1 + 4 * near, dtype=torch.float32)


def pixel_loss(real: Tensor, fake: Tensor, mask: Tensor) -> Tensor:
    """Eq. 7, mean over frames, colours and pixels. real, fake: (T, 3, S, S) in −1 … 1; mask: (S, S)."""
    return (mask * (real - fake).abs()).mean()


def texture_temporal_loss(frames: Frames) -> Tensor:
    """Eq. 12: as Eq. 11, of the differences of successive change and colour maps; the first of the T frames counts as 0."""
    return sum(root_mean_squares(x.diff(dim=0)).sum() / len(x) for x in (frames.change, frames.colour))


class LandmarkToTexture(nn.Module):
    """Texture generator and discriminator with their losses. mask: α of Eq. 7."""

    judged_for = {}

    def __init__(self, s: Settings, mask: Tensor):
        super().__init__()
        self.generator, self.discriminator = TextureGenerator(s), PatchDiscriminator(s)
        self.mask = mask

    def generate(self, video: Video) -> Frames:
        return self.generator(video.photo, video.photo_landmarks, video.landmarks)

    def discriminator_terms(self, video: Video, fake: Frames) -> Terms:
        """Eq. 8, of Eq. 10 the discriminator's part."""
        judge = self.discriminator
        return {
            "adversarial": lambda: discriminator_lsgan(judge(video.frames).float(), judge(fake.image).float()),
        }

    def generator_terms(self, video: Video, fake: Frames) -> Terms:
        """The terms of Eq. 14."""
        return {
            "pixel": lambda: pixel_loss(video.frames, fake.image, self.mask.to(video.frames.device)),
            "adversarial": lambda: generator_lsgan(self.discriminator(fake.image).float()),  # Eq. 9
            "regularisation": lambda: attention_loss(fake.change) + texture_temporal_loss(fake),  # Eq. 13
        }

    def validation_error(self, video: Video, fake: Frames) -> Tensor:
        """See `lower_half_error`."""
        return lower_half_error(video.frames, fake.image)
