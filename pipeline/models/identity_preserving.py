"""Sinha 2020, "Identity-Preserving Realistic Talking Face Generation", without its blinks.

Speech moves the landmarks of the mean face (§III-A, `LandmarkNet`); on the person's own face (`features.canonical.retarget`,
Eq. 1) they turn one photo into frames (§III-C, `TextureGenerator`). Neither network has a memory: frames are the batch. A batch
is an excerpt of consecutive frames of one clip, because the temporal terms compare neighbours.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.linalg import vector_norm

from pipeline.features.heatmap import landmark_heatmaps
from pipeline.features.landmarks import EYES, MOUTH, inter_ocular_distance
from pipeline.models.blocks import lower_half_error
from pipeline.models.gan import discriminator_lsgan, generator_lsgan

# What speech moves: jaw, nose and lips. The other 22 points, eyes and brows, belong to the blinks (§III-B).
SPOKEN = [*range(17), *range(27, 36), *range(48, 68)]


@dataclass(frozen=True)
class LandmarkSettings:
    """What `LandmarkNet` is built from; saved with its weights."""

    symbols: int  # of the character features: 29 letters, or 42 phones
    components: int  # principal components of the displacements
    width: float  # factor on the number of filters
    boost: float = 1.0  # factor on the displacements in synthesis


@dataclass(frozen=True)
class TextureSettings:
    """What the texture networks are built from; saved with their weights."""

    width: float  # factor on the number of filters


class Speech(NamedTuple):
    """T consecutive frames of a clip: character scores, and where they move the mean face, in distances of its eyes."""

    characters: Tensor  # (T, 16, symbols): 16 steps about each frame
    displacements: Tensor  # (T, 68, 2)

    @property
    def n_frames(self) -> int:
        return len(self.characters)


class Video(NamedTuple):
    """T consecutive frames of a clip, and a photo of the person. Images are in −1 … 1, landmark images in 0 … 1."""

    photo: Tensor  # (3, S, S)
    photo_landmarks: Tensor  # (1, S, S)
    landmarks: Tensor  # (T, 1, S, S)
    frames: Tensor  # (T, 3, S, S)

    @property
    def n_frames(self) -> int:
        return len(self.frames)


class Frames(NamedTuple):
    """What the texture generator draws of T frames."""

    image: Tensor  # (T, 3, S, S), −1 … 1
    colour: Tensor  # (T, 3, S, S), −1 … 1
    change: Tensor  # (T, 1, S, S), 0 … 1: 1 where the colour stands, 0 where the photo does


def scaled(width: float, *filters: int) -> list[int]:
    return [max(4, round(n * width)) for n in filters]


class LandmarkNet(nn.Module):
    """Character features → displacements of the mean face's landmarks (§III-A, Fig. 4): four convolutions, two linear layers.

    Buffers: what `face_statistics` knows of the training split's faces, so that displacements can be put on a face.
    """

    def __init__(self, s: LandmarkSettings):
        super().__init__()
        self.settings = s
        filters = [16, *scaled(s.width, 64, 128, 256, 256)]
        layers, symbols = [], s.symbols
        for n, m in pairwise(filters):
            layers += [nn.Conv2d(n, m, (1, 3), stride=(1, 2), padding=(0, 1)), nn.LeakyReLU(0.2)]
            symbols = -(-symbols // 2)
        self.encoder = nn.Sequential(*layers)
        self.decoder = nn.Sequential(
            nn.Linear(filters[-1] * symbols, s.components), nn.Linear(s.components, 2 * len(SPOKEN))
        )
        self.register_buffer("mean_neutral", torch.zeros(68, 2))
        self.register_buffer("opening_motion", torch.zeros(68, 2))
        self.register_buffer("neutral_gap", torch.zeros(()))

    def start_from(self, mean: np.ndarray, components: np.ndarray, faces: dict[str, np.ndarray]) -> None:
        """The last layer begins as the principal components of the displacements of SPOKEN (§IV): mean (D,), components (k, D).

        faces: what `face_statistics` gives.
        """
        with torch.no_grad():
            self.decoder[-1].weight.copy_(torch.from_numpy(components.T))
            self.decoder[-1].bias.copy_(torch.from_numpy(mean))
        for name, value in faces.items():
            getattr(self, name).copy_(torch.as_tensor(value))

    def forward(self, characters: Tensor) -> Tensor:
        """(T, 16, symbols) → (T, 68, 2) in distances of the mean face's eyes; 0 at eyes and brows."""
        encoded = self.encoder(characters.unsqueeze(2)).flatten(1)  # the 16 steps are channels of a 1 × symbols map
        spoken = self.decoder(encoded).unflatten(1, (len(SPOKEN), 2))
        displacements = spoken.new_zeros(len(spoken), 68, 2)
        displacements[:, SPOKEN] = spoken
        return displacements


def landmark_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Eq. 2: squared distance, summed over the points' coordinates as the norm is, mean over frames. (T, 68, 2) each."""
    return (real - fake).square().sum(dim=(1, 2)).mean()


def landmark_temporal_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Eq. 3: the same of the differences of successive frames; the first of the T frames counts as 0."""
    return (real - fake).diff(dim=0).square().sum() / len(real)


class AudioToLandmark(nn.Module):
    """The landmark network with its losses (Eq. 4); nothing judges it. weights: "landmark", "temporal"."""

    def __init__(self, s: LandmarkSettings, weights: dict[str, float]):
        super().__init__()
        self.generator, self.weights = LandmarkNet(s), weights

    def generate(self, speech: Speech) -> Tensor:
        return self.generator(speech.characters)

    def discriminator_terms(self, speech: Speech, fake: Tensor) -> dict[str, Tensor]:
        return {}

    def generator_terms(self, speech: Speech, fake: Tensor) -> dict[str, Tensor]:
        losses = {"landmark": landmark_loss, "temporal": landmark_temporal_loss}
        return {name: losses[name](speech.displacements, fake.float()) for name, w in self.weights.items() if w}

    def validation_error(self, speech: Speech, fake: Tensor) -> Tensor:
        """Mean distance of the mouth's points, in % of the eyes' distance."""
        return 100 * (fake.float() - speech.displacements)[:, MOUTH].norm(dim=-1).mean()


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

    def __init__(self, s: TextureSettings):
        super().__init__()
        a, b, c = scaled(s.width, 64, 128, 256)
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
        motion = self.landmark_encoder(landmarks) - self.landmark_encoder(photo_landmarks[None])
        photos = photo.expand(len(landmarks), -1, -1, -1)
        features = self.encoder_decoder(torch.cat([motion, photos], dim=1))
        colour, change = self.colour(features), self.change(features)
        # Eq. 6 with `change` = 1 − att: the paper's attention is 1 where the photo stays, `change` is 1 where it is drawn anew.
        return Frames(change * colour + (1 - change) * photo, colour, change)


class PatchDiscriminator(nn.Sequential):
    """Are these real frames? (T, 3, S, S) → (T, 1, s, s): one number per patch of 70 × 70 pixels, without a sigmoid (§IV).

    PatchGAN (Isola 2017) with instance normalisation.
    """

    def __init__(self, s: TextureSettings):
        a, b, c, d = scaled(s.width, 64, 128, 256, 512)
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


def attention_loss(change: Tensor) -> Tensor:
    """Eq. 11, ‖1 − att‖₂ = ‖change‖₂: toward the photo. Root mean square over pixels, mean over frames."""
    return root_mean_squares(change).mean()


def texture_temporal_loss(frames: Frames) -> Tensor:
    """Eq. 12: as Eq. 11, of the differences of successive change and colour maps; the first of the T frames counts as 0."""
    return sum(root_mean_squares(x.diff(dim=0)).sum() / len(x) for x in (frames.change, frames.colour))


def root_mean_squares(maps: Tensor) -> Tensor:
    """The L2 norm of each map, over that of a map of ones, so that it does not grow with the image: (T, C, S, S) → (T,)."""
    return vector_norm(maps.float(), dim=(1, 2, 3)) / maps[0].numel() ** 0.5


class LandmarkToTexture(nn.Module):
    """Texture generator and discriminator with their losses. weights (Eq. 14): "pixel", "adversarial", "regularisation"."""

    def __init__(self, s: TextureSettings, weights: dict[str, float], mask: Tensor):
        super().__init__()
        self.generator, self.discriminator = TextureGenerator(s), PatchDiscriminator(s)
        self.weights, self.mask = weights, mask

    def generate(self, video: Video) -> Frames:
        return self.generator(video.photo, video.photo_landmarks, video.landmarks)

    def discriminator_terms(self, video: Video, fake: Frames) -> dict[str, Tensor]:
        """Eq. 8, of Eq. 10 the discriminator's part."""
        if not self.weights["adversarial"]:
            return {}
        real, fake = self.discriminator(video.frames), self.discriminator(fake.image)
        return {"adversarial": discriminator_lsgan(real.float(), fake.float())}

    def generator_terms(self, video: Video, fake: Frames) -> dict[str, Tensor]:
        """The terms of Eq. 14, unweighted."""
        terms = {}
        if self.weights["pixel"]:
            terms["pixel"] = pixel_loss(video.frames, fake.image, self.mask.to(video.frames.device))
        if self.weights["adversarial"]:
            terms["adversarial"] = generator_lsgan(self.discriminator(fake.image).float())  # Eq. 9
        if self.weights["regularisation"]:
            terms["regularisation"] = attention_loss(fake.change) + texture_temporal_loss(fake)  # Eq. 13
        return terms

    def validation_error(self, video: Video, fake: Frames) -> Tensor:
        return lower_half_error(video.frames, fake.image)
