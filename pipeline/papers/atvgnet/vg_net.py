"""Chen L. et al. 2019, "Hierarchical Cross-Modal Talking Face Generation with Dynamic Pixel-Wise Loss": VG-net.

The second half of ATVGnet's cascade: a photo and landmarks → frames, each a blend of the photo and of what is drawn anew
(Eqs. 5–7), trained by the dynamic pixel loss (Eq. 8) and a discriminator that regresses landmarks (Eq. 9).
"""

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.blocks.composition import Frames, frames_of
from pipeline.blocks.gan import discriminator_bce, generator_bce
from pipeline.blocks.layers import lower_half_error
from pipeline.features.landmarks import MOUTH
from pipeline.papers.atvgnet.layers import FACE, Residual, convolution, initialise, over_frames, scaled, upconvolution
from pipeline.training.recipe import Terms


@dataclass(frozen=True)
class Settings:
    """What VG-net and its discriminator are built from; saved with the weights."""

    image_size: int  # pixels, a multiple of 32 (paper: 128)
    width: float  # factor on the number of filters and units (paper: 1)


class State(NamedTuple):
    """What VG-net hands on from one piece of a video to the next: the photo, encoded, and the recurrent state."""

    middle: Tensor  # i'_p (B, C, S/4, S/4)
    deep: Tensor  # f_img(i_p) (B, D, S/16, S/16)
    shape: tuple[Tensor, Tensor]  # f_lmark(p_p) at either depth (B, ·, S/16, S/16)
    hidden: Tensor  # (B, D, S/16, S/16)


class ConvGRU(nn.Module):
    """Gated recurrent unit whose products are convolutions (3, dilation 2): h' = n + z (h − n)."""

    def __init__(self, channels: int, units: int):
        super().__init__()
        self.input = nn.Conv2d(channels, 3 * units, 3, padding=2, dilation=2)
        self.recurrent = nn.Conv2d(units, 3 * units, 3, padding=2, dilation=2)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, T, C, H, W), h (B, units, H, W) → h of every frame (B, T, units, H, W), and the last."""
        inputs = self.input(x.flatten(0, 1)).unflatten(0, x.shape[:2])  # of all frames at once
        outputs = []
        for reset_in, update_in, new_in in (step.chunk(3, dim=1) for step in inputs.unbind(1)):
            reset, update, new = self.recurrent(h).chunk(3, dim=1)
            new = torch.tanh(new_in + torch.sigmoid(reset_in + reset) * new)
            h = new + torch.sigmoid(update_in + update) * (h - new)
            outputs.append(h)
        return torch.stack(outputs, dim=1), h


class VGNet(nn.Module):
    """Visual generation network, Φ: a photo, its landmarks, and the landmarks of T frames → frames (Eqs. 5–7).

    Landmarks are the person's own, scaled about the crop's centre: −1 … 1 spans the crop.
    """

    def __init__(self, s: Settings):
        super().__init__()
        self.settings = s
        size = s.image_size // 16
        e, a, b, c, d = scaled(s.width, 32, 64, 128, 256, 512)
        self.image_encoder = nn.Sequential(
            nn.ReflectionPad2d(3),
            nn.Conv2d(3, a, 7, bias=False),
            nn.BatchNorm2d(a),
            nn.ReLU(),
            *convolution(a, a, 3, 2),
            *convolution(a, b, 3, 2),
        )
        self.deep_encoder = nn.Sequential(*convolution(b, c, 3, 2), *convolution(c, d, 3, 2))
        # 64 numbers, seen as 1×8×8 at 128 px. A smaller map gets more channels: at 64 px 16 numbers would not hold a face.
        planes = max(1, 64 // size**2)
        self.landmark_map = nn.Sequential(
            nn.Linear(FACE, planes * size**2), nn.ReLU(), nn.Unflatten(1, (planes, size, size))
        )
        self.landmark_encoder = nn.ModuleList([convolution(planes, c), convolution(c, d)])
        self.attention = nn.Sequential(
            *upconvolution(2 * c, c), *upconvolution(c, b), nn.Conv2d(b, 1, 3, padding=1), nn.Sigmoid()
        )
        self.fuse = convolution(2 * d, b)
        self.gru = ConvGRU(b, d)
        self.decoder = nn.Sequential(
            *(Residual(d, s.width) for _ in range(9)), *upconvolution(d, c), *upconvolution(c, b)
        )
        self.last = nn.Sequential(*upconvolution(b, a), *upconvolution(a, e))
        self.heads = nn.Conv2d(e, 4, 7, padding=3)  # colour and change at once
        initialise(self, s.width)

    def encode(self, landmarks: Tensor) -> tuple[Tensor, Tensor]:
        """f_lmark at either depth: (N, 68, 2) → (N, 256, S/16, S/16), (N, 512, S/16, S/16)."""
        first, second = self.landmark_encoder
        shallow = first(self.landmark_map(landmarks.flatten(1)))
        return shallow, second(shallow)

    def start(self, photo: Tensor, photo_landmarks: Tensor) -> State:
        """The state before the first frame: all that depends on the photo only."""
        middle = self.image_encoder(photo)
        deep = self.deep_encoder(middle)
        return State(middle, deep, self.encode(photo_landmarks), torch.zeros_like(deep))

    def forward(
        self, photo: Tensor, photo_landmarks: Tensor, landmarks: Tensor, state: State | None = None
    ) -> tuple[Frames, State]:
        """photo (B, 3, S, S) in −1 … 1; photo_landmarks (B, 68, 2); landmarks (B, T, 68, 2). `change` is α of Eq. 8.

        With the state that an earlier call returned, the frames go on from that call's without a seam (in evaluation mode).
        """
        dtype, (n, t) = self.gru.input.weight.dtype, landmarks.shape[:2]
        if state is None:
            state = self.start(photo.to(dtype), photo_landmarks.to(dtype))
        shallow, shape = self.encode(landmarks.flatten(0, 1).to(dtype))
        photo_shallow, photo_shape = (over_frames(x, t) for x in state.shape)
        fused = self.fuse(torch.cat([over_frames(state.deep, t), shape - photo_shape], dim=1))  # Eq. 5
        attention = self.attention(torch.cat([shallow, photo_shallow], dim=1))  # Eq. 6
        recurrent, hidden = self.gru(fused.unflatten(0, (n, t)), state.hidden)
        drawn = self.decoder(recurrent.flatten(0, 1))
        features = drawn * attention + over_frames(state.middle, t) * (1 - attention)  # Eq. 7
        heads = self.heads(self.last(features)).float().unflatten(0, (n, t))
        return frames_of(heads, photo[:, None]), state._replace(hidden=hidden)


class Discriminator(nn.Module):
    """Frames and the photo's landmarks → a score for the sequence, D_s, and landmarks of each frame, D_p (Eq. 9, Figure 3).

    As in the published code both are read from the same LSTM; the figure shows D_p frame by frame.
    """

    def __init__(self, s: Settings):
        super().__init__()
        a, b, c, d, units = scaled(s.width, 64, 128, 256, 512, 256)
        self.frame_encoder = nn.Sequential(
            *(nn.Conv2d(3, a, 3, 2, 1), nn.ReLU()),
            *(*convolution(a, b, 3, 2), *convolution(b, c, 3, 2), *convolution(c, d, 3, 2)),
            *(nn.Flatten(), nn.Linear(d * (s.image_size // 16) ** 2, d), nn.ReLU()),
        )
        self.landmark_encoder = nn.Sequential(nn.Linear(FACE, c), nn.ReLU(), nn.Linear(c, d), nn.ReLU())
        self.lstm = nn.LSTM(2 * d, units, num_layers=3, batch_first=True)
        self.score = nn.Linear(units, 1)
        self.regression = nn.Linear(units, FACE)

    def forward(self, frames: Tensor, photo_landmarks: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, 3, S, S), (B, 68, 2) → logits of D_s (B, 1), the mean over frames; landmarks by D_p (B, T, 68, 2)."""
        x = self.frame_encoder(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        face = self.landmark_encoder(photo_landmarks.flatten(1))[:, None].expand_as(x)
        x, _ = self.lstm(torch.cat([x, face], dim=-1))
        moved = torch.tanh(self.regression(x)).float().unflatten(-1, (68, 2))
        return self.score(x).mean(dim=1), photo_landmarks[:, None] + moved


def dynamic_pixel_loss(real: Tensor, fake: Tensor, change: Tensor, base: float = 0.5) -> Tensor:
    """Eq. 8: absolute error, weighted by the change map (without its gradient) and β = `base`. Mean instead of a sum.

    real, fake: (B, T, 3, S, S) in −1 … 1; change: (B, T, 1, S, S) in 0 … 1.
    """
    return ((real - fake).abs() * (change.detach() + base)).mean()


def lip_mask(device: torch.device | None = None) -> Tensor:
    """M_p of Eq. 9, (68, 2), which weighs the lips: as published, 100 for the mouth's points up and down, else 1."""
    mask = torch.ones(68, 2, device=device)
    mask[MOUTH, 1] = 100
    return mask


def landmark_regression(real: Tensor, regressed: Tensor) -> Tensor:
    """Mean of ((D_p − p) ⊙ M_p)² (Eq. 9); (…, 68, 2), in half crops."""
    return ((regressed - real) * lip_mask(real.device)).square().mean()


class Video(NamedTuple):
    """B excerpts of T frames for VG-net. Landmarks are scaled about the crop's centre."""

    photo: Tensor  # (B, 3, S, S) in −1 … 1: i_p, another frame of the clip
    photo_landmarks: Tensor  # (B, 68, 2): p_p
    landmarks: Tensor  # (B, T, 68, 2)
    frames: Tensor  # (B, T, 3, S, S) in −1 … 1: the truth

    @property
    def n_frames(self) -> int:
        return self.frames.shape[0] * self.frames.shape[1]


class LandmarkToTexture(nn.Module):
    """VG-net, its discriminator, and what each is trained for: "pixel", "sequence" (D_s), "landmark" (D_p).

    dynamic: False = a plain absolute error instead of Eq. 8, the paper's ablation.
    """

    judged_for = {}

    def __init__(self, s: Settings, dynamic: bool):
        super().__init__()
        self.dynamic = dynamic
        self.generator = VGNet(s)
        self.discriminator = Discriminator(s)

    def generate(self, batch: Video) -> Frames:
        return self.generator(batch.photo, batch.photo_landmarks, batch.landmarks)[0]

    def discriminator_terms(self, batch: Video, fake: Frames) -> Terms:
        """Eq. 9 for the discriminator: D_s tells real from generated, D_p finds the true landmarks in both."""
        judged = cache(
            lambda: [self.discriminator(frames, batch.photo_landmarks) for frames in (batch.frames, fake.image)]
        )

        def sequence() -> Tensor:
            (real_score, _), (fake_score, _) = judged()
            return 2 * discriminator_bce(real_score, fake_score)  # Eq. 9 sums the two

        return {
            "sequence": sequence,
            "landmark": lambda: sum(landmark_regression(batch.landmarks, face) for _, face in judged()),
        }

    def generator_terms(self, batch: Video, fake: Frames) -> Terms:
        """Eq. 8, and Eq. 9 for the generator."""
        judged = cache(lambda: self.discriminator(fake.image, batch.photo_landmarks))

        def pixel() -> Tensor:
            if self.dynamic:
                return dynamic_pixel_loss(batch.frames, fake.image, fake.change)
            return F.l1_loss(fake.image, batch.frames)

        return {
            "pixel": pixel,
            "sequence": lambda: generator_bce(judged()[0]),
            "landmark": lambda: landmark_regression(batch.landmarks, judged()[1]),
        }

    def validation_error(self, batch: Video, fake: Frames) -> Tensor:
        """See `lower_half_error`."""
        return lower_half_error(batch.frames.flatten(0, 1), fake.image.flatten(0, 1))


def about_centre(landmarks: np.ndarray, image_size: int) -> Tensor:
    """Landmarks as VG-net takes them: crop pixels (…, 68, 2) → −1 … 1 across the crop."""
    return torch.from_numpy(((landmarks - image_size / 2) * 2 / image_size).astype(np.float32))
