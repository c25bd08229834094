"""Chen L. et al. 2019, "Hierarchical Cross-Modal Talking Face Generation with Dynamic Pixel-Wise Loss" (ATVGnet).

A cascade: AT-net turns speech into landmarks on a mean face, held in a few principal components (Eqs. 3, 4); VG-net turns a
photo and landmarks into frames, each a blend of the photo and of what is drawn anew (Eqs. 5–7), trained by the dynamic pixel
loss (Eq. 8) and a discriminator that regresses landmarks (Eq. 9). Either is trained by itself, on true landmarks. The numbers
of filters are those of the authors' published code at 128 px: the paper leaves them out. B excerpts of T frames are a batch;
frames are folded into the batch for all but the recurrent cells.
"""

import copy
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pipeline.features.landmarks import MOUTH
from pipeline.features.windows import MFCC_COLUMNS, MFCC_SIZE
from pipeline.models.gan import discriminator_bce, generator_bce

FACE = 2 * 68  # numbers that 68 landmarks are


@dataclass(frozen=True)
class Settings:
    """What the networks are built from; saved with their weights."""

    image_size: int  # pixels, a multiple of 32 (paper: 128)
    width: float  # factor on the number of filters and units (paper: 1)
    boost: tuple[float, ...] = ()  # AT-net only: ω of Eq. 4, for each component (published: 1, 2.2, 2.4, 2.6, 2.8, 3)

    def filters(self, *numbers: int) -> list[int]:
        """The published numbers of filters, scaled by the width."""
        return [max(4, round(n * self.width)) for n in numbers]


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


# AT-net


class Motion(NamedTuple):
    """What AT-net says of B excerpts: principal components h_t, and landmarks on the mean face."""

    components: Tensor  # (B, T, k)
    landmarks: Tensor  # (B, T, 68, 2) about the crop's centre, in eye distances of the mean face


class ATNet(nn.Module):
    """Audio transformation network, Ψ: MFCC windows → landmarks on the mean face (Eqs. 3, 4).

    It holds what it has to know of faces as buffers, in eye distances of the mean neutral face: M `mean` (136,), U^T `basis`
    (k, 136), `mean_neutral` (68, 2), against which landmarks become displacements that can be put on another face, and what
    `canonical.neutral_from_photo` needs to find the neutral face of a photo.
    """

    def __init__(self, s: Settings):
        super().__init__()
        k = len(s.boost)
        self.settings = s
        a, b, c, d, hidden, audio, units = s.filters(64, 128, 256, 512, 2048, 256, 256)
        self.audio_encoder = nn.Sequential(
            *convolution(1, a),
            *convolution(a, b),
            nn.MaxPool2d(3, (1, 2)),
            *convolution(b, c),
            *convolution(c, c),
            *convolution(c, d),
            nn.MaxPool2d(3, (2, 2)),
            nn.Flatten(),
            nn.Linear(d * ((MFCC_COLUMNS - 2 - 1) // 2) * (((MFCC_SIZE - 1) // 2 - 1) // 2), hidden),
            nn.ReLU(),
            nn.Linear(hidden, audio),
            nn.ReLU(),
        )
        self.landmark_encoder = nn.Sequential(nn.Linear(k, audio), nn.ReLU(), nn.Linear(audio, d), nn.ReLU())
        self.lstm = nn.LSTM(audio + d, units, num_layers=3, batch_first=True)
        self.decoder = nn.Linear(units, k)
        self.register_buffer("mean", torch.zeros(FACE))
        self.register_buffer("basis", torch.zeros(k, FACE))
        self.register_buffer("mean_neutral", torch.zeros(68, 2))
        self.register_buffer("opening_motion", torch.zeros(68, 2))
        self.register_buffer("neutral_gap", torch.zeros(()))
        self.register_buffer("boost", torch.tensor(s.boost), persistent=False)
        initialise(self, s.width)

    def project(self, landmarks: Tensor) -> Tensor:
        """Principal components of landmarks on the mean face: (…, 68, 2) → (…, k)."""
        return (landmarks.flatten(-2) - self.mean) @ self.basis.T

    def forward(self, mfcc: Tensor, example: Tensor, state: tuple | None = None) -> tuple[Motion, tuple]:
        """mfcc (B, T, 28, 12); example h_p (B, k), of a face of the person; state, as an earlier call returned it."""
        audio = self.audio_encoder(mfcc.flatten(0, 1)[:, None]).unflatten(0, mfcc.shape[:2])
        face = self.landmark_encoder(example)[:, None].expand(-1, mfcc.shape[1], -1)
        hidden, state = self.lstm(torch.cat([audio, face], dim=-1), state)
        h = self.decoder(hidden).float()  # Eq. 3
        landmarks = h * self.boost @ self.basis + self.mean  # Eq. 4
        return Motion(h, landmarks.unflatten(-1, (68, 2))), state


class Speech(NamedTuple):
    """B excerpts of T frames for AT-net."""

    mfcc: Tensor  # (B, T, 28, 12)
    example: Tensor  # (B, k): h_p
    components: Tensor  # (B, T, k): the truth
    landmarks: Tensor  # (B, T, 68, 2): the truth, on the mean face, in eye distances

    @property
    def n_frames(self) -> int:
        return self.mfcc.shape[0] * self.mfcc.shape[1]


class AudioToLandmark(nn.Module):
    """AT-net and what it is trained for: the squared error of the principal components."""

    weights = {"components": 1.0}

    def __init__(self, generator: ATNet):
        super().__init__()
        self.generator = generator

    def generate(self, batch: Speech) -> Motion:
        return self.generator(batch.mfcc, batch.example)[0]

    def discriminator_terms(self, batch: Speech, fake: Motion) -> dict[str, Tensor]:
        """Nothing judges AT-net."""
        return {}

    def generator_terms(self, batch: Speech, fake: Motion) -> dict[str, Tensor]:
        return {"components": F.mse_loss(fake.components, batch.components)}

    def validation_error(self, batch: Speech, fake: Motion) -> Tensor:
        """Mean distance of the mouth's points, in % of the eyes' distance."""
        return 100 * (fake.landmarks - batch.landmarks)[..., MOUTH, :].norm(dim=-1).mean()


# VG-net


class Frames(NamedTuple):
    """Generated frames: image = change · colour + (1 − change) · photo."""

    image: Tensor  # (B, T, 3, S, S) in −1 … 1
    colour: Tensor  # (B, T, 3, S, S) in −1 … 1
    change: Tensor  # (B, T, 1, S, S): α of Eq. 8, 1 where a pixel is drawn anew


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
        e, a, b, c, d = s.filters(32, 64, 128, 256, 512)
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
        """photo (B, 3, S, S) in −1 … 1; photo_landmarks (B, 68, 2); landmarks (B, T, 68, 2).

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
        colour, change = torch.tanh(heads[:, :, :3].contiguous()), torch.sigmoid(heads[:, :, 3:].contiguous())
        image = change * colour + (1 - change) * photo[:, None]
        return Frames(image, colour, change), state._replace(hidden=hidden)


def for_inference(network: VGNet) -> VGNet:
    """A copy that generates the same frames faster, in bfloat16 where the machine multiplies it natively.

    Batch normalisation goes into the convolutions' weights; the residual blocks, most of the work, take Winograd's algorithm,
    and the heads blocks of pixels.
    """
    network = copy.deepcopy(network).eval()
    for layers in [m for m in network.modules() if isinstance(m, nn.Sequential)]:
        for i, module in enumerate(layers):
            if isinstance(module, nn.BatchNorm2d):
                transposed = isinstance(layers[i - 1], nn.ConvTranspose2d)
                layers[i - 1] = fuse_conv_bn_eval(layers[i - 1], module, transposed)
                layers[i] = nn.Identity()
    for block in network.decoder:
        if isinstance(block, Residual):
            block.layers = nn.Sequential(*(Winograd(m) if isinstance(m, nn.Conv2d) else m for m in block.layers))
    network.heads = in_blocks(network.heads)
    if torch.cpu._is_avx512_bf16_supported():
        network.to(torch.bfloat16, memory_format=torch.channels_last)
    return network.requires_grad_(False)


class Winograd(nn.Module):
    """A 3×3 convolution, padded by 1, by Winograd's F(2×2, 3×3) (Lavin & Gray 2016): 16 products for four outputs, not 36.

    The products of all tiles and channels are 16 matrix products. Channels are the last axis in between.
    """

    def __init__(self, convolution: nn.Conv2d):
        super().__init__()
        g = torch.tensor([[1.0, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
        kernels = torch.einsum("yu,xv,oiuv->yxio", g, g, convolution.weight.detach())  # G g Gᵀ
        self.register_buffer("kernels", kernels.flatten(0, 1).contiguous())
        self.register_buffer("bias", convolution.bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, filters, H, W); H and W are even."""
        n, c, h, w = x.shape
        x = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
        rows, tiles = x.new_empty(4, n, h // 2, w + 2, c), x.new_empty(4, 4, n, h // 2, w // 2, c)
        self._spread([x[:, k : k + h - 1 : 2] for k in range(4)], rows)  # Bᵀ d
        self._spread([rows[:, :, :, k : k + w - 1 : 2] for k in range(4)], tiles.transpose(0, 1))  # (Bᵀ d) B
        products = torch.bmm(tiles.view(16, -1, c), self.kernels).view(4, 4, n, h // 2, w // 2, -1)
        columns = products.new_empty(2, *products.shape[1:])
        y = products.new_empty(n, h // 2, 2, w // 2, 2, products.shape[-1])
        self._gather(products, columns)  # Aᵀ m
        self._gather(columns.transpose(0, 1), y.permute(4, 2, 0, 1, 3, 5))  # (Aᵀ m) A
        return (y.view(n, h, w, -1) + self.bias).permute(0, 3, 1, 2)

    @staticmethod
    def _spread(d: list[Tensor], out: Tensor) -> None:
        torch.sub(d[0], d[2], out=out[0])
        torch.add(d[1], d[2], out=out[1])
        torch.sub(d[2], d[1], out=out[2])
        torch.sub(d[1], d[3], out=out[3])

    @staticmethod
    def _gather(m: Tensor, out: Tensor) -> None:
        torch.add(m[0], m[1] + m[2], out=out[0])
        torch.sub(m[1] - m[2], m[3], out=out[1])


def in_blocks(convolution: nn.Conv2d) -> nn.Sequential:
    """The same convolution for 2×2 pixels at a time: one of stride 2 with four times the filters, each the kernel at another
    place. Four filters leave three quarters of a vector register empty, sixteen fill it."""
    size, filters = convolution.kernel_size[0], convolution.out_channels
    blocks = nn.Conv2d(convolution.in_channels, 4 * filters, size + 1, 2, convolution.padding)
    with torch.no_grad():
        blocks.weight.zero_()
        for k in range(4):
            y, x = divmod(k, 2)
            blocks.weight[k::4, :, y : y + size, x : x + size] = convolution.weight
        blocks.bias.copy_(convolution.bias.repeat_interleave(4))
    return nn.Sequential(blocks, nn.PixelShuffle(2))


class Discriminator(nn.Module):
    """Frames and the photo's landmarks → a score for the sequence, D_s, and landmarks of each frame, D_p (Eq. 9, Figure 3).

    As in the published code both are read from the same LSTM; the figure shows D_p frame by frame.
    """

    def __init__(self, s: Settings):
        super().__init__()
        a, b, c, d, units = s.filters(64, 128, 256, 512, 256)
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
    """Eq. 8: absolute error, weighted by the change map (without its gradient) and β = `base`. Mean instead of a sum."""
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
    """VG-net, its discriminator, and what each is trained for. weights: of "pixel", "sequence" (D_s), "landmark" (D_p)."""

    def __init__(self, s: Settings, weights: dict[str, float], dynamic: bool):
        super().__init__()
        self.weights, self.dynamic = weights, dynamic
        self.generator = VGNet(s)
        self.discriminator = Discriminator(s)

    def generate(self, batch: Video) -> Frames:
        return self.generator(batch.photo, batch.photo_landmarks, batch.landmarks)[0]

    def discriminator_terms(self, batch: Video, fake: Frames) -> dict[str, Tensor]:
        """Eq. 9 for the discriminator: D_s tells real from generated, D_p finds the true landmarks in both."""
        if not (self.weights["sequence"] or self.weights["landmark"]):
            return {}
        (real_score, real_face), (fake_score, fake_face) = (
            self.discriminator(frames, batch.photo_landmarks) for frames in (batch.frames, fake.image)
        )
        terms = {}
        if self.weights["sequence"]:
            terms["sequence"] = 2 * discriminator_bce(real_score, fake_score)  # Eq. 9 sums the two
        if self.weights["landmark"]:
            terms["landmark"] = sum(landmark_regression(batch.landmarks, face) for face in (real_face, fake_face))
        return terms

    def generator_terms(self, batch: Video, fake: Frames) -> dict[str, Tensor]:
        """Eq. 8 (without `dynamic` a plain absolute error, the paper's ablation) and Eq. 9 for the generator, unweighted."""
        terms = {}
        if self.weights["pixel"]:
            terms["pixel"] = (
                dynamic_pixel_loss(batch.frames, fake.image, fake.change)
                if self.dynamic
                else F.l1_loss(fake.image, batch.frames)
            )
        if self.weights["sequence"] or self.weights["landmark"]:
            score, face = self.discriminator(fake.image, batch.photo_landmarks)
            if self.weights["sequence"]:
                terms["sequence"] = generator_bce(score)
            if self.weights["landmark"]:
                terms["landmark"] = landmark_regression(batch.landmarks, face)
        return terms

    def validation_error(self, batch: Video, fake: Frames) -> Tensor:
        """Mean absolute error of the lower half, where speech shows (0 … 2)."""
        half = batch.frames.shape[-2] // 2
        return (fake.image - batch.frames)[..., half:, :].abs().mean()
