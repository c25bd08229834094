"""Maity 2024, "Synthesis of Talking Face with Emotion given an image and speech".

A generator that is told who (a photo), what (a waveform) and how (an emotion), §4.1.1–4.1.5; discriminators of frames (§4.1.6),
of mouths beside their speech (§4.1.7) and of emotions (§4.1.8); the objective, §4.2. The thesis follows Eskimez 2021, whose
published code settles some of what it leaves out. B excerpts of T frames make a batch; convolutions see all B·T frames at once.
"""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm
from torch.nn import functional as F

from pipeline.blocks.composition import Frames, begin_near_photo, channels, frames_of, terms_of_change
from pipeline.blocks.gan import discriminator_bce, generator_bce
from pipeline.blocks.layers import convolve_joined, convolve_upsampled, lower_half_error
from pipeline.blocks.perceptual import VGG19, perceptual_mse
from pipeline.corpus.layouts import EMOTIONS
from pipeline.training.recipe import Terms

FAKE = len(EMOTIONS)  # the emotion discriminator's seventh class

NOISE_SIZE = 128
FRAME_SAMPLES = 320  # of a video frame: 8 kHz at 25 frames a second
CONTEXT = 35  # speech vectors about a frame: 17 on either side
EVERY = 5  # of which are kept: 125 vectors a second become 25
# (filters, kernel, stride) of §4.1.1.
SPEECH_LAYERS = ((64, 63, 4), (128, 31, 4), (256, 17, 2), (512, 9, 2), (16, 1, 1))
FIELD = 695  # samples that one speech vector is made of; they step by 64
WINDOW = FIELD + 64 * (CONTEXT - 1)  # samples that are heard for one frame: 359 ms

MASK_SIGMA = 9 / 128  # of the mouth's mask, of the image's width
MASK_FLOOR = 0.01  # of the mask, far from the mouth
GRADIENT_PENALTY = 10  # (§4.3.3)


@dataclass(frozen=True)
class Settings:
    """What the networks are built from; saved with their weights."""

    image_size: int  # pixels, a multiple of 32
    width: float  # factor on the number of filters and units (paper: 1)
    compose: bool = False  # whether frames are composed from the photo by a map of change (paper: they are redrawn)

    def filters(self, *numbers: int) -> list[int]:
        """The paper's numbers of filters, scaled by the width."""
        return [max(4, round(n * self.width)) for n in numbers]


class Excerpt(NamedTuple):
    """B excerpts of T frames. Images are in −1 … 1; `heard_samples` says how waveforms are cut."""

    photo: Tensor  # (B, 3, S, S)
    waveform: Tensor  # (B, FRAME_SAMPLES · (T − 1) + WINDOW) in −1 … 1
    emotion: Tensor  # (B,), indices of EMOTIONS
    noise: Tensor  # (B, T, NOISE_SIZE), standard normal
    frames: Tensor  # (B, T, 3, S, S): the truth
    mask: Tensor  # (B, T, 1, S, S): see `mouth_mask`

    @property
    def n_frames(self) -> int:
        return self.frames.shape[0] * self.frames.shape[1]


def heard_samples(start: int, stop: int) -> slice:
    """The samples that frames start … stop − 1 are made of: WINDOW about the middle of each; some lie beyond the speech's ends.

    The convolutions are given what they reach for, where the published ones fill an excerpt's margins with noise: excerpts and
    pieces of a video then hear what the whole does.
    """
    first = FRAME_SAMPLES * start + FRAME_SAMPLES // 2 - WINDOW // 2
    return slice(first, first + FRAME_SAMPLES * (stop - start - 1) + WINDOW)


def initialise(network: nn.Module) -> None:
    """He's initial weights, biases of 0: nothing is normalised here, so that the layers themselves must keep the scale.

    The thesis does not say; published: Xavier's. Recurrent layers keep torch's.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, a=0.2, nonlinearity="leaky_relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class SpeechEncoder(nn.Module):
    """Waveform → a vector per frame (§4.1.1): five convolutions, the context layer, a linear one, two LSTM layers.

    The context layer joins each vector with its 17 neighbours on either side (published) and keeps every fifth.
    """

    def __init__(self, s: Settings):
        super().__init__()
        channels, layers = 1, []
        for filters, kernel, stride in SPEECH_LAYERS:
            (n,) = s.filters(filters)
            layers += [nn.Conv1d(channels, n, kernel, stride), nn.LeakyReLU(0.2)]
            channels = n
        (size,) = s.filters(512)
        self.layers = nn.Sequential(*layers)
        self.linear = nn.Sequential(nn.Linear(CONTEXT * channels, size), nn.LeakyReLU(0.2))
        self.lstm = nn.LSTM(size, size, num_layers=2, batch_first=True)

    def forward(self, waveform: Tensor, state: tuple | None = None) -> tuple[Tensor, tuple]:
        """(B, FRAME_SAMPLES · (T − 1) + WINDOW) → (B, T, 512), and the LSTM's state."""
        vectors = self.layers(waveform[:, None])  # (B, 16, 5 (T − 1) + 35)
        windows = vectors.unfold(2, CONTEXT, EVERY).transpose(1, 2).flatten(2)  # (B, T, 16 · 35)
        return self.lstm(self.linear(windows), state)


class Downsampling(nn.Sequential):
    """Five convolutions of 3×3, each halving the map, with leaky ReLU: (N, channels, S, S) → (N, 512, S/32, S/32).

    The image encoder's nearest-neighbour interpolation (§4.1.2) keeps every second value in either direction, and these are
    all that a stride of 2 computes: one block serves it and the discriminators, which have strides.
    """

    def __init__(self, s: Settings, channels: int):
        self.filters = s.filters(64, 128, 256, 512, 512)
        layers = [
            nn.Sequential(nn.Conv2d(n, m, 3, 2, 1), nn.LeakyReLU(0.2)) for n, m in pairwise([channels, *self.filters])
        ]
        super().__init__(*layers)


class ImageEncoder(nn.Module):
    """A photo → its embedding, and the maps for the skip connections (§4.1.2).

    (512, 4, 1) leaves one vector at 128 px. At other sizes its kernel is the map that is left: 2×2 at 64 px.
    """

    def __init__(self, s: Settings, channels: int = 3):
        super().__init__()
        (size,) = s.filters(512)
        self.layers = Downsampling(s, channels)
        self.last = nn.Sequential(nn.Conv2d(size, size, s.image_size // 32), nn.LeakyReLU(0.2), nn.Flatten())

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(N, 3, S, S) → (N, 512), [(N, 64, S/2, S/2), …, (N, 512, S/32, S/32)]."""
        x, maps = images, []
        for layer in self.layers:
            x = layer(x)
            maps.append(x)
        return self.last(x), maps


class ConvLSTM(nn.Module):
    """A convolutional LSTM (Shi et al. 2015, without peepholes) of upsampled maps, joined with the photo's.

    What the gates take from their input is convolved for all frames at once; only the step from frame to frame is not.
    """

    def __init__(self, channels: int, skipped: int, filters: int):
        super().__init__()
        self.input = nn.Conv2d(channels + skipped, 4 * filters, 3, padding=1)
        self.recurrent = nn.Conv2d(filters, 4 * filters, 3, padding=1, bias=False)

    def forward(self, x: Tensor, skip: Tensor, state: tuple | None = None) -> tuple[Tensor, tuple]:
        """(B·T, channels, h, w), (B, skipped, 2h, 2w) → (B·T, filters, 2h, 2w), and the state (hidden, cell)."""
        gates = convolve_joined(self.input, x, skip, upsample=True).unflatten(0, (len(skip), -1))
        hidden, cell = state or (None, None)
        steps = []
        for step in gates.unbind(1):
            if hidden is not None:
                step = step + self.recurrent(hidden)
            entering, staying, leaving, candidate = step.chunk(4, dim=1)
            kept = 0 if cell is None else staying.sigmoid() * cell
            cell = kept + entering.sigmoid() * candidate.tanh()
            hidden = leaving.sigmoid() * cell.tanh()
            steps.append(hidden)
        return torch.stack(steps, dim=1).flatten(0, 1), (hidden, cell)


class Decoder(nn.Module):
    """Embeddings of speech, noise, photo and emotion, and the photo's maps → frames, before their tanh (§4.1.5).

    A layer is a convolution, leaky ReLU, and nearest-neighbour upsampling by 2. The fourth is a convolutional LSTM, whose tanh
    stands for the leaky ReLU (published: a leaky ReLU inside the cell, which then has no bounds).
    """

    def __init__(self, s: Settings, embedding_size: int):
        super().__init__()
        a, b, c, d, e = s.filters(512, 256, 128, 64, 32)
        skipped = s.filters(512, 512, 256, 128, 64)
        self.start = (a, s.image_size // 32, s.image_size // 32)
        self.linear = nn.Sequential(nn.Linear(embedding_size, a * self.start[1] ** 2), nn.LeakyReLU(0.2))
        self.first = nn.Conv2d(a + skipped[0], a, 3, padding=1)
        self.second = nn.Conv2d(a + skipped[1], b, 3, padding=1)
        self.third = nn.Conv2d(b + skipped[2], c, 3, padding=1)
        self.fourth = ConvLSTM(c, skipped[3], d)
        self.fifth = nn.Conv2d(d + skipped[4], e, 3, padding=1)
        self.last = nn.Conv2d(e, channels(s.compose), 3, padding=1)

    def forward(self, embeddings: Tensor, maps: list[Tensor], state: tuple | None = None) -> tuple[Tensor, tuple]:
        """embeddings (B, T, n), maps as `ImageEncoder` gives them → (B, T, 3 or 4, S, S), and the fourth layer's state."""
        skips = maps[::-1]
        x = self.linear(embeddings.flatten(0, 1)).unflatten(1, self.start)
        x = F.leaky_relu(convolve_joined(self.first, x, skips[0]), 0.2)
        # A layer's upsampling is done with the convolution of the next.
        x = F.leaky_relu(convolve_joined(self.second, x, skips[1], upsample=True), 0.2)
        x = F.leaky_relu(convolve_joined(self.third, x, skips[2], upsample=True), 0.2)
        x, state = self.fourth(x, skips[3], state)
        x = F.leaky_relu(convolve_joined(self.fifth, x, skips[4], upsample=True), 0.2)
        drawn = convolve_upsampled(x, self.last.weight, self.last.bias)
        return drawn.unflatten(0, (len(embeddings), -1)), state


class Generator(nn.Module):
    """Fig. 4.1. Its recurrent states can be handed on, so that speech of any length is generated piece by piece."""

    def __init__(self, s: Settings):
        super().__init__()
        noise, size = s.filters(128, 512)
        self.settings = s
        self.speech_encoder = SpeechEncoder(s)
        self.image_encoder = ImageEncoder(s)
        self.noise_lstm = nn.LSTM(NOISE_SIZE, noise, batch_first=True)
        self.emotion_encoder = nn.Sequential(
            nn.Linear(len(EMOTIONS), size), nn.LeakyReLU(0.2), nn.Linear(size, size), nn.LeakyReLU(0.2)
        )
        self.decoder = Decoder(s, 3 * size + noise)
        initialise(self)
        begin_near_photo(self.decoder.last.bias)

    def forward(
        self, photo: Tensor, waveform: Tensor, emotion: Tensor, noise: Tensor, state: tuple | None = None
    ) -> tuple[Frames, tuple]:
        """Frames (B, T, 3, S, S) in −1 … 1, and the recurrent states after them; `state`: those of the frames before.

        photo, waveform, emotion, noise: as in `Excerpt`.
        """
        speech_state, noise_state, decoder_state = state or (None, None, None)
        speech, speech_state = self.speech_encoder(waveform, speech_state)
        noise, noise_state = self.noise_lstm(noise, noise_state)
        image, maps = self.image_encoder(photo)
        label = F.one_hot(emotion, len(EMOTIONS)).to(photo.dtype)
        constant = torch.cat([image, self.emotion_encoder(label)], dim=1)
        repeated = constant[:, None].expand(-1, speech.shape[1], -1)
        embeddings = torch.cat([speech, noise, repeated], dim=2)
        last, decoder_state = self.decoder(embeddings, maps, decoder_state)
        return frames_of(last, photo[:, None]), (speech_state, noise_state, decoder_state)


class FrameDiscriminator(nn.Module):
    """Is this a real frame of the person in the photo? A Wasserstein critic (§4.1.6).

    Its arithmetic is fp32 even under autocast: the gradient's norm of the penalty is a small difference of large numbers.
    """

    def __init__(self, s: Settings):
        super().__init__()
        *_, channels = s.filters(64, 128, 256, 512, 512)
        (hidden,) = s.filters(2048)
        self.layers = nn.Sequential(Downsampling(s, 6), nn.Flatten())
        self.linear = nn.Sequential(
            nn.Linear(channels * (s.image_size // 32) ** 2, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1)
        )
        initialise(self)

    def forward(self, frames: Tensor, photos: Tensor, gradient: bool = False) -> Tensor:
        """(N, 3, S, S) each → (N,), without bounds: the higher, the more real.

        gradient: their gradient by the frames instead, (N, 3, S, S), which can itself be differentiated by the weights.
        """
        frames, photos = frames.float(), photos.float()
        with torch.autocast(frames.device.type, enabled=False):
            if not gradient:
                return self.scores(frames, photos)
            frames = frames.detach().requires_grad_()
            return torch.autograd.grad(self.scores(frames, photos).sum(), frames, create_graph=True)[0]

    def scores(self, frames: Tensor, photos: Tensor) -> Tensor:
        return self.linear(self.layers(torch.cat([frames, photos], dim=1)))[:, 0]


class PairDiscriminator(nn.Module):
    """Do this mouth and this speech belong together? (§4.1.7, Fig. 4.3) The three bidirectional LSTMs have 512, 512 and 1024.

    "The probability score" is one for an excerpt, whatever its length: of the third LSTM's outputs, averaged over time.
    """

    def __init__(self, s: Settings):
        super().__init__()
        size, joined = s.filters(512, 1024)
        self.speech_encoder = SpeechEncoder(s)
        self.image_encoder = ImageEncoder(s, channels=6)
        self.speech_lstm, self.image_lstm = (
            nn.LSTM(size, size, batch_first=True, bidirectional=True) for _ in range(2)
        )
        self.lstm = nn.LSTM(4 * size, joined, batch_first=True, bidirectional=True)
        self.linear = nn.Linear(2 * joined, 1)
        initialise(self)

    def forward(self, photo: Tensor, mask: Tensor, waveform: Tensor, *videos: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, S, S), (B, T, 1, S, S), waveform as in `Excerpt`, and videos (B, T, 3, S, S) with this speech, which is heard
        once → logits (B,) of each."""
        images = [torch.cat([frames * mask, photo[:, None].expand_as(frames)], dim=2) for frames in videos]
        joined = torch.cat(images)
        seen = self.image_encoder(joined.flatten(0, 1))[0].unflatten(0, joined.shape[:2])
        heard = self.speech_lstm(self.speech_encoder(waveform)[0])[0].repeat(len(videos), 1, 1)
        pair = torch.cat([self.image_lstm(seen)[0], heard], dim=2)
        return self.linear(self.lstm(pair)[0].mean(dim=1))[:, 0].chunk(len(videos))


class EmotionDiscriminator(nn.Module):
    """Which emotion do these frames show, or are they made? (§4.1.8) Logits of the six emotions and of FAKE."""

    def __init__(self, s: Settings):
        super().__init__()
        *_, channels = s.filters(64, 128, 256, 512, 512)
        hidden, size = s.filters(2048, 512)
        self.layers = nn.Sequential(Downsampling(s, 3), nn.Flatten())
        self.linear = nn.Sequential(
            nn.Linear(channels * (s.image_size // 32) ** 2, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, size),
            nn.LeakyReLU(0.2),
        )
        self.lstm = nn.LSTM(size, size, batch_first=True)
        self.last = nn.Linear(size, FAKE + 1)
        initialise(self)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, 3, S, S) → (B, 7), read from the LSTM's last step."""
        features = self.linear(self.layers(frames.flatten(0, 1))).unflatten(0, frames.shape[:2])
        return self.last(self.lstm(features)[0][:, -1])


def mouth_mask(centres: Tensor, image_size: int) -> Tensor:
    """The weights of the MRM loss: a 2-D Gaussian about the mean of the mouth's landmarks, 1 there, MASK_FLOOR far away (§4.2).

    centres: (…, 2) in pixels → (…, 1, S, S). Its width and the floor, which the thesis does not give, are the
    published ones.
    """
    pixels = torch.arange(image_size, dtype=centres.dtype, device=centres.device)
    x, y = torch.exp(-(((pixels - centres[..., None]) / (MASK_SIGMA * image_size)) ** 2) / 2).unbind(-2)
    return (y[..., :, None] * x[..., None, :]).unsqueeze(-3) + MASK_FLOOR


def mouth_region_loss(real: Tensor, fake: Tensor, mask: Tensor) -> Tensor:
    """L_MRM (§4.2): absolute error weighed by the mask, mean over frames, colours and pixels."""
    return (mask * (fake - real).abs()).mean()


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor, photos: Tensor) -> Tensor:
    """(‖∇D‖ − 1)² at a random point between each real frame and its fake (Gulrajani et al. 2017, Eq. 3), mean over frames.

    real, fake, photos: (N, 3, S, S). The critic judges single frames, and it is there that its slope has to be 1; the published
    norm is that of a whole clip's gradient, which grows with the clip. The photo is a condition and is not differentiated by.
    """
    share = torch.rand(len(real), 1, 1, 1, device=real.device)
    gradient = critic(torch.lerp(real, fake, share), photos, gradient=True)
    return (vector_norm(gradient.flatten(1), dim=1) - 1).square().mean()


class EmotionalTalkingFace(nn.Module):
    """The generator with those of its judges that have a weight, and the objective (Eq. 4.1).

    weights: "mouth" (L_MRM), "perceptual", "frame", "pair", "emotion"; "change" where frames are composed. Where one is 0, the
    network that only it needs is left out; vgg19, which is frozen, may then be None.
    """

    judged_for = {"gradient_penalty": ("frame",)}

    def __init__(self, s: Settings, weights: dict[str, float], vgg19: VGG19 | None):
        super().__init__()
        self.generator = Generator(s)
        if weights["perceptual"]:
            self.vgg19 = vgg19
        judges = {"frame": FrameDiscriminator, "pair": PairDiscriminator, "emotion": EmotionDiscriminator}
        for name, judge in judges.items():
            if weights[name]:
                setattr(self, f"{name}_discriminator", judge(s))

    def generate(self, excerpt: Excerpt) -> Frames:
        """The excerpts' frames anew: (B, T, 3, S, S) in −1 … 1."""
        return self.generator(excerpt.photo, excerpt.waveform, excerpt.emotion, excerpt.noise)[0]

    def discriminator_terms(self, excerpt: Excerpt, fake: Frames) -> Terms:
        """Of each judge; `fake` is detached by the caller."""
        real, made, photos = excerpt.frames, fake.image, cache(lambda: photo_of_each_frame(excerpt))

        def frame() -> Tensor:
            of_fake, of_real = (self.frame_discriminator(x.flatten(0, 1), photos()) for x in (made, real))
            return of_fake.mean() - of_real.mean()

        def penalty() -> Tensor:
            between = gradient_penalty(self.frame_discriminator, real.flatten(0, 1), made.flatten(0, 1), photos())
            return GRADIENT_PENALTY * between

        def emotion() -> Tensor:
            of_real, of_fake = (self.emotion_discriminator(x).float() for x in (real, made))
            is_fake = torch.full_like(excerpt.emotion, FAKE)
            return (F.cross_entropy(of_real, excerpt.emotion) + F.cross_entropy(of_fake, is_fake)) / 2

        return {
            "frame": frame,
            "gradient_penalty": penalty,
            "pair": lambda: discriminator_bce(*self._pair(excerpt, real, made)),
            "emotion": emotion,
        }

    def generator_terms(self, excerpt: Excerpt, fake: Frames) -> Terms:
        """The terms of Eq. 4.1, unweighted; and the pair discriminator's, which the equation leaves out."""
        made = fake.image

        def perceptual() -> Tensor:
            # Of every second frame: neighbours are alike, and VGG-19 costs more than the generator.
            first = int(torch.randint(2, ())) if made.shape[1] > 1 else 0
            real_frames, fake_frames = (x[:, first::2].flatten(0, 1) for x in (excerpt.frames, made))
            return perceptual_mse(self.vgg19, real_frames, fake_frames)

        return {
            "mouth": lambda: mouth_region_loss(excerpt.frames, made, excerpt.mask),
            "perceptual": perceptual,
            "frame": lambda: -self.frame_discriminator(made.flatten(0, 1), photo_of_each_frame(excerpt)).mean(),
            "pair": lambda: generator_bce(*self._pair(excerpt, made)),
            "emotion": lambda: F.cross_entropy(self.emotion_discriminator(made).float(), excerpt.emotion),  # Eq. 4
            **terms_of_change(fake),
        }

    def validation_error(self, excerpt: Excerpt, fake: Frames) -> Tensor:
        """See `lower_half_error`."""
        return lower_half_error(excerpt.frames.flatten(0, 1), fake.image.flatten(0, 1))

    def _pair(self, excerpt: Excerpt, *videos: Tensor) -> list[Tensor]:
        logits = self.pair_discriminator(excerpt.photo, excerpt.mask, excerpt.waveform, *videos)
        return [of_video.float() for of_video in logits]


def photo_of_each_frame(excerpt: Excerpt) -> Tensor:
    """(B·T, 3, S, S)."""
    return excerpt.photo[:, None].expand_as(excerpt.frames).flatten(0, 1)
