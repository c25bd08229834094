"""Kesim & Erzin 2021, "Investigating Contributions of Speech and Facial Landmarks for Talking Head Generation".

One GAN in three input settings (speech, landmarks, both): a U-Net generator with speech and noise encoders (§3.1–3.4), a frame
discriminator (§3.5), a sequence discriminator (§3.6), and feature matching (§3.7). The fourth row of Table 1 is the first
without feature matching. A batch is one clip (§4.2), so that the first axis of every tensor is time.
"""

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.blocks.composition import Frames, begin_near_photo, channels, frames_of, terms_of_change
from pipeline.blocks.gan import discriminator_bce, feature_matching, generator_bce
from pipeline.blocks.layers import Down, Up, concatenate, convolve_joined, lower_half_error, repeat
from pipeline.training.recipe import Terms

NOISE_SIZE = 128


@dataclass(frozen=True)
class Settings:
    """What the networks are built from; saved with their weights."""

    speech: bool
    landmarks: bool
    image_size: int  # pixels
    context_frames: int  # mel features of so many video frames either side
    mel_columns: int  # columns of a mel window
    mel_bands: int
    width: float  # factor on the number of filters and units (paper: 1)
    decision_every: int  # frames
    compose: bool = False  # whether frames are composed from the photo by a map of change (paper: they are redrawn)

    def filters(self, *numbers: int) -> list[int]:
        """The paper's numbers of filters, scaled by the width."""
        return [max(4, round(n * self.width)) for n in numbers]


class Clip(NamedTuple):
    """A clip of T frames, or an excerpt. Images are in −1 … 1, heatmaps in 0 … 1, mel in −1 … about 1."""

    reference: Tensor  # (3, S, S): the first frame of the clip
    noise: Tensor  # (NOISE_SIZE,)
    frames: Tensor | None = None  # (T, 3, S, S): the truth
    mel: Tensor | None = None  # (T, columns, bands)
    heatmaps: Tensor | None = None  # (T, 1, S, S)
    reference_heatmap: Tensor | None = None  # (1, S, S)

    @property
    def n_frames(self) -> int:
        return len(self.frames)

    def conditions(self, n: int) -> Tensor:
        """What the image encoder and the frame discriminator are given of the reference: (n, 3 or 4, S, S)."""
        maps = (self.reference, self.reference_heatmap)
        return concatenate(*(x if x is None else repeat(x, n) for x in maps))


class SpeechCNN(nn.Module):
    """Mel window → vector: four layers (128, 3, 2), the last a convolution alone, and a linear layer (§3.2).

    The paper's list of layers breaks off after the second; the remaining ones repeat it.
    """

    def __init__(self, s: Settings):
        super().__init__()
        n, size = s.filters(128, 256)
        layers = [Down(1, n, 3, 2), Down(n, n, 3, 2), Down(n, n, 3, 2), Down(n, n, 3, 2, normalise=False)]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        columns, bands = (-(-x // 16) for x in (s.mel_columns, s.mel_bands))
        self.linear = nn.Linear(n * columns * bands, size)

    def forward(self, mel: Tensor) -> Tensor:
        """(T, columns, bands) → (T, 256)."""
        return self.linear(self.layers(mel[:, None]))


class ImageEncoder(nn.Module):
    """Reference image, with both heatmaps in the landmark models → embedding, and the maps for the skip connections (§3.1)."""

    def __init__(self, s: Settings):
        super().__init__()
        a, b, c = s.filters(64, 128, 256)
        channels = 5 if s.landmarks else 3
        self.layers = nn.ModuleList([Down(channels, a, 3, 2), Down(a, b, 3, 2), Down(b, c, 3, 2), Down(c, c, 3, 2)])
        # (256, 4, 4) at 64 px: whatever the image's size, the last layer sees the whole of the map that is left.
        left = s.image_size // 16
        self.last = Down(c, c, left, left, normalise=False)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(N, 3 or 5, S, S) → (N, 256), [(N, 64, S/2, S/2), …, (N, 256, S/16, S/16)]."""
        maps = []
        for layer in self.layers:
            x = layer(x)
            maps.append(x)
        return self.last(x).flatten(1), maps


class ImageDecoder(nn.Module):
    """Embeddings of image, speech and noise, and the encoder's maps → image, before its tanh (§3.4)."""

    def __init__(self, s: Settings, embedding_size: int):
        super().__init__()
        a, b, c = s.filters(64, 128, 256)
        # Five upsamplings by 2 make the image: they start at 2×2 for 64 px.
        self.start = (c, s.image_size // 32, s.image_size // 32)
        self.linear = nn.Linear(embedding_size, c * self.start[1] ** 2)
        self.first = Up(2 * c, c, 3)
        # The last skip layer, "(64, 3, 2)" in the text, cannot halve the map that is then doubled once: read as (64, 3).
        self.skips = nn.ModuleList([Down(2 * n, n, 3, 1) for n in (c, c, b, a)])
        self.ups = nn.ModuleList([Up(c, c, 3), Up(c, b, 3), Up(b, a, 3)])
        self.ups.append(last := Up(a, channels(s.compose), 2, activation=nn.Identity()))
        begin_near_photo(last.convolution.bias)

    def forward(self, image: Tensor, others: Tensor, maps: list[Tensor]) -> Tensor:
        """image (T, 256), others (T, n), maps as `ImageEncoder` gives them, of T images or of one → (T, 3 or 4, S, S)."""
        x = self.linear(torch.cat([image, others], dim=1)).unflatten(1, self.start)
        x = self.first(concatenate(x, image[..., None, None].expand(-1, -1, *self.start[1:])))
        for skip, up, encoded in zip(self.skips, self.ups, reversed(maps), strict=True):
            convolution, normalisation, activation = skip
            x = up(activation(normalisation(convolve_joined(convolution, x, encoded))))
        return x


class Generator(nn.Module):
    """Figure 1. Its recurrent state can be handed on, so that speech of any length is generated piece by piece."""

    def __init__(self, s: Settings):
        super().__init__()
        image, speech, noise = s.filters(256, 256, 128)
        self.settings = s
        self.image_encoder = ImageEncoder(s)
        self.noise_lstm = nn.LSTM(NOISE_SIZE, noise)
        if s.speech:
            self.speech_cnn = SpeechCNN(s)
            self.speech_lstm = nn.LSTM(speech, speech)
        self.decoder = ImageDecoder(s, image + noise + (speech if s.speech else 0))

    def forward(self, clip: Clip, n_frames: int, state: tuple | None = None) -> tuple[Frames, tuple]:
        """Frames (n_frames, 3, S, S) in −1 … 1, and the recurrent state after them; `state`: that of the frames before."""
        speech_state, noise_state = state or (None, None)
        if self.settings.landmarks:
            image, maps = self.image_encoder(concatenate(clip.conditions(n_frames), clip.heatmaps))
        else:
            image, maps = self.image_encoder(clip.conditions(1))
            image = image.expand(n_frames, -1)
        noise, noise_state = self.noise_lstm(repeat(clip.noise, n_frames), noise_state)
        others = [noise]
        if self.settings.speech:
            speech, speech_state = self.speech_lstm(self.speech_cnn(clip.mel), speech_state)
            others.append(speech)
        last = self.decoder(image, torch.cat(others, dim=1), maps)
        return frames_of(last, clip.reference), (speech_state, noise_state)


class FrameDiscriminator(nn.Module):
    """Is this a real frame of the person in the reference? (§3.5)"""

    def __init__(self, s: Settings):
        super().__init__()
        a, b, c, d = s.filters(64, 128, 256, 512)
        channels = 8 if s.landmarks else 6
        self.layers = nn.ModuleList([Down(channels, a, 3, 2), Down(a, b, 3, 2), Down(b, c, 3, 2), Down(c, d, 3, 2)])
        # (512, 4, 4) "with a sigmoid": a linear layer makes of the 512 the one number that is judged; the loss has the sigmoid.
        left = s.image_size // 16
        self.last = nn.Sequential(
            Down(d, d, left, left, normalise=False), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(d, 1)
        )

    def forward(self, frames: Tensor, conditions: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(N, 3, S, S) and the reference with heatmaps → logits (N, 1), features of the four layers for Eq. 1."""
        x, features = concatenate(frames, conditions), []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return self.last(x), features


class SequenceDiscriminator(nn.Module):
    """Do these lips move like real ones, and with this speech? Sees the lower half; judges every few frames (§3.6)."""

    def __init__(self, s: Settings):
        super().__init__()
        a, b = s.filters(64, 128)
        speech, hidden = s.filters(256, 512)
        layers = [Down(3, a, 3, 2), Down(a, b, 3, 2), Down(b, b, 3, 2), Down(b, b, 3, 2)]
        self.settings = s
        self.image_cnn = nn.Sequential(*layers, nn.Flatten())
        size = b * (s.image_size // 32) * (s.image_size // 16)
        if s.speech:
            self.speech_cnn = SpeechCNN(s)
            size += speech
        self.lstm = nn.LSTM(size, hidden)
        self.linear = nn.Linear(hidden, 1)

    def forward(self, mel: Tensor | None, *videos: Tensor) -> tuple[Tensor, ...]:
        """(T, columns, bands), and videos (T, 3, S, S) with this speech, which is heard once → logits (T // decision_every, 1)
        of each."""
        frames = torch.cat(videos)
        x = self.image_cnn(frames[:, :, frames.shape[2] // 2 :]).unflatten(0, (len(videos), -1)).transpose(0, 1)
        if self.settings.speech:
            heard = self.speech_cnn(mel)[:, None].expand(-1, len(videos), -1)
            x = torch.cat([x, heard], dim=2)
        every = self.settings.decision_every
        return self.linear(self.lstm(x)[0][every - 1 :: every]).unbind(1)


class KesimErzin(nn.Module):
    """The three networks and what each is trained for (Eq. 2); where frames are composed, for little "change" besides."""

    judged_for = {"frame": ("frame", "feature_matching")}

    def __init__(self, s: Settings):
        super().__init__()
        self.generator = Generator(s)
        self.frame_discriminator = FrameDiscriminator(s)
        self.sequence_discriminator = SequenceDiscriminator(s)

    def generate(self, clip: Clip) -> Frames:
        """The clip's frames anew: (T, 3, S, S) in −1 … 1."""
        return self.generator(clip, clip.n_frames)[0]

    def discriminator_terms(self, clip: Clip, fake: Frames) -> Terms:
        """Binary cross entropy of either discriminator."""
        judge = self.sequence_discriminator

        def frame() -> Tensor:
            (real_logits, _), (fake_logits, _) = self._judge_frames(clip, clip.frames, fake.image)
            return discriminator_bce(real_logits, fake_logits)

        return {
            "frame": frame,
            "sequence": lambda: discriminator_bce(*judge(clip.mel, clip.frames, fake.image)),
        }

    def generator_terms(self, clip: Clip, fake: Frames) -> Terms:
        """The terms of Eq. 2."""
        judged = cache(lambda: self._judge_frames(clip, clip.frames, fake.image))

        def matching() -> Tensor:
            (_, real_features), (_, fake_features) = judged()
            return feature_matching([x.detach() for x in real_features], fake_features)

        return {
            "frame": lambda: generator_bce(judged()[1][0]),
            "feature_matching": matching,
            "sequence": lambda: generator_bce(*self.sequence_discriminator(clip.mel, fake.image)),
            **terms_of_change(fake),
        }

    def validation_error(self, clip: Clip, fake: Frames) -> Tensor:
        """See `lower_half_error`."""
        return lower_half_error(clip.frames, fake.image)

    def _judge_frames(self, clip: Clip, real: Tensor, fake: Tensor) -> list[tuple[Tensor, list[Tensor]]]:
        """The frame discriminator's view of a random half of the frames, real and generated (§3.5)."""
        half = torch.randperm(len(real), device=real.device)[: max(1, len(real) // 2)]
        heatmaps = None if clip.heatmaps is None else clip.heatmaps[half]
        conditions = concatenate(clip.conditions(len(half)), heatmaps)
        return [self.frame_discriminator(frames[half], conditions) for frames in (real, fake)]


def noise_vector(*seed: int) -> Tensor:
    """The noise of one video (§3.3): standard normal, the same for the same seed whatever was drawn before."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(NOISE_SIZE, np.float32))
