"""Chen S. et al. 2021, "Talking Head Generation with Audio and Speech Related Facial Action Units".

One network turns a photo and speech into frames: encoders of either, features of five action units that speech shows in (the
pre-trained Audio-to-AU module), a recurrent layer, and a U-Net's decoder (§3.1). It is trained by five losses (Eq. 8), of which
two come from networks that judge what it draws: a classifier of action units and, in the second half of the training, a frame
discriminator. B excerpts of T frames are a batch; frames are folded into the batch for all but the recurrent layers.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.blocks.composition import Frames, begin_near_photo, channels, frames_of, terms_of_change
from pipeline.blocks.gan import discriminator_bce, generator_bce
from pipeline.blocks.layers import Down, lower_half_error
from pipeline.blocks.perceptual import VGG19, perceptual_l1
from pipeline.features.windows import MFCC_COLUMNS, MFCC_SIZE
from pipeline.papers.chen_s.action_units import AUClassifier, AudioToAU, AudioToAUSettings, au_loss, lower_face
from pipeline.training.recipe import Terms

# Stride of the identity encoder: four convolutions of stride 2 (112 px → 7×7).
STRIDE = 16


@dataclass(frozen=True)
class Settings:
    """What the networks are built from; saved with their weights."""

    image_size: int  # pixels, a multiple of 16 (paper: 112)
    width: float  # factor on the number of filters and units (paper: 1)
    audio_to_au: dict | None  # the Audio-to-AU module's own settings; None = a system without it
    compose: bool = False  # whether frames are composed from the photo by a map of change (paper: they are redrawn)

    def filters(self, *numbers: int) -> list[int]:
        """The numbers of filters, scaled by the width."""
        return [max(4, round(n * self.width)) for n in numbers]


class Excerpt(NamedTuple):
    """B excerpts of T frames."""

    photo: Tensor  # (B, 3, S, S) in −1 … 1: the first frame of each video (§3.1)
    mfcc: Tensor  # (B, T, 28, 12)
    frames: Tensor  # (B, T, 3, S, S) in −1 … 1: the truth
    action_units: Tensor  # (B, T, 5): occurrence, 0 or 1; NaN where it is not known

    @property
    def n_frames(self) -> int:
        return self.mfcc.shape[0] * self.mfcc.shape[1]


def initialise(network: nn.Module) -> None:
    """Weights after He et al. (2015), biases 0; the paper does not say.

    By PyTorch's own the photo would all but vanish on its way through the encoder, which normalises nothing.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class IdentityEncoder(nn.Module):
    """E_id: four convolutions and a fully connected layer (§3.1).

    Filters and kernels, which the paper does not give, are as in the frame discriminator: a U-Net's doubling with each halving
    of the map.
    """

    def __init__(self, s: Settings):
        super().__init__()
        a, b, c, d, feature = s.filters(64, 128, 256, 512, 512)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, filters, 3, 2, 1), nn.ReLU())
            for channels, filters in ((3, a), (a, b), (b, c), (c, d))
        )
        self.linear = nn.Linear(d * (s.image_size // STRIDE) ** 2, feature)

    def forward(self, photo: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, 3, S, S) → f_id (B, 512), and what the skip connections carry: the photo and each layer's map, down to
        (B, 512, S/16, S/16)."""
        maps = [photo]
        for layer in self.layers:
            maps.append(layer(maps[-1]))
        return self.linear(maps[-1].flatten(1)), maps


class AudioEncoder(nn.Sequential):
    """E_a: five convolutions with batch normalisation, two fully connected layers; (N, 1, 28, 12) → f_a (N, 512) (§3.1).

    The text names neither filters nor poolings: they are those of ATVGnet's published encoder, of as many layers, which hears
    the same windows.
    """

    def __init__(self, s: Settings):
        a, b, c, d, hidden, feature = s.filters(64, 128, 256, 512, 2048, 512)
        columns, size = ((MFCC_COLUMNS - 2) - 1) // 2, ((MFCC_SIZE - 1) // 2 - 1) // 2
        super().__init__(
            *_convolution(1, a),
            *_convolution(a, b),
            nn.MaxPool2d(3, (1, 2)),
            *_convolution(b, c),
            *_convolution(c, c),
            *_convolution(c, d),
            nn.MaxPool2d(3, (2, 2)),
            nn.Flatten(),
            nn.Linear(d * columns * size, hidden),
            nn.ReLU(),
            nn.Linear(hidden, feature),
        )


def _convolution(channels: int, filters: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters), nn.ReLU()]


class Up(nn.Module):
    """Transposed convolution of a frame's map and the photo's, concatenated; then batch normalisation and ReLU.

    A convolution of a concatenation is the sum of one of either: the photo's is done once, for all of its frames.
    """

    def __init__(self, channels: int, skipped: int, filters: int, stride: int = 2, normalise: bool = True):
        super().__init__()
        self.of_frame = nn.ConvTranspose2d(channels, filters, 2 + stride, stride, 1)
        self.of_photo = nn.ConvTranspose2d(skipped, filters, 2 + stride, stride, 1, bias=False)
        self.after = nn.Sequential(nn.BatchNorm2d(filters), nn.ReLU()) if normalise else nn.Identity()

    def forward(self, x: Tensor, photo: Tensor) -> Tensor:
        """(B · T, channels, H, W), (B, skipped, H, W) → (B · T, filters, stride · H, stride · W)."""
        x, photo = self.of_frame(x), self.of_photo(photo)
        return self.after((x.unflatten(0, (len(photo), -1)) + photo[:, None]).flatten(0, 1))


class ImageDecoder(nn.Module):
    """A fully connected layer and six transposed convolutions, with skips from the identity encoder (§3.1).

    From 7×7 to 112×112 takes four of stride 2; the first and the last keep the size. Each but the first is given what the
    encoder has at its size, the last the photo itself. Filters and normalisation, which the paper does not give, are the
    encoder's in reverse, and as in the audio encoder.
    """

    def __init__(self, s: Settings):
        super().__init__()
        e, a, b, c, d, hidden = s.filters(32, 64, 128, 256, 512, 512)
        self.start = (d, s.image_size // STRIDE, s.image_size // STRIDE)
        self.linear = nn.Linear(hidden, d * self.start[1] ** 2)
        self.first = nn.Sequential(nn.ConvTranspose2d(d, d, 3, 1, 1), nn.BatchNorm2d(d), nn.ReLU())
        self.ups = nn.ModuleList([Up(d, d, c), Up(c, c, b), Up(b, b, a), Up(a, a, e)])
        self.ups.append(last := Up(e, 3, channels(s.compose), 1, normalise=False))
        # It begins by drawing the photo, near enough: tanh bends by about as much as the factor lifts. Composed frames begin
        # nearer: it is their colour that is drawn so, and little of it is seen.
        with torch.no_grad():
            nn.init.dirac_(last.of_photo.weight).mul_(1.3)
            last.of_frame.weight.mul_(0.1)
        begin_near_photo(last.of_frame.bias)

    def forward(self, features: Tensor, maps: list[Tensor]) -> Tensor:
        """f_t (B · T, 512), maps as `IdentityEncoder` gives them → (B · T, 3 or 4, S, S), before the nonlinearity."""
        x = F.relu(self.linear(features)).unflatten(1, self.start)
        # Narrow layers at full size: twice as fast in this layout, whatever suits the other networks.
        x = self.first(x.contiguous(memory_format=torch.channels_last))
        for up, encoded in zip(self.ups, reversed(maps), strict=True):
            x = up(x, encoded)
        return x.float()


class Generator(nn.Module):
    """Figure 1. Its recurrent states can be handed on, so that speech of any length is generated piece by piece."""

    def __init__(self, s: Settings):
        super().__init__()
        identity, audio, hidden = s.filters(512, 512, 512)
        self.settings = s
        self.identity_encoder = IdentityEncoder(s)
        self.audio_encoder = AudioEncoder(s)
        self.decoder = ImageDecoder(s)
        initialise(self)
        au = 0
        if s.audio_to_au:
            self.audio_to_au = AudioToAU(AudioToAUSettings(**s.audio_to_au))
            au = sum(unit.occurrence.in_features for unit in self.audio_to_au.units)
        self.gru = nn.GRU(identity + audio + au, hidden, batch_first=True)

    def forward(self, photo: Tensor, mfcc: Tensor, state: tuple | None = None) -> tuple[Frames, tuple]:
        """photo (B, 3, S, S) in −1 … 1, mfcc (B, T, 28, 12) → frames (B, T, 3, S, S) in −1 … 1, and the recurrent states.

        With the states that an earlier call returned, the frames go on from that call's without a seam (in evaluation mode).
        """
        au_state, state = state or (None, None)
        shape = mfcc.shape[:2]
        identity, maps = self.identity_encoder(photo)
        features = [identity[:, None].expand(-1, shape[1], -1)]
        features.append(self.audio_encoder(mfcc.flatten(0, 1)[:, None]).unflatten(0, shape))
        if self.settings.audio_to_au:
            au = self.audio_to_au(mfcc, au_state)
            features.append(au.features)
            au_state = au.state
        recurrent, state = self.gru(torch.cat(features, dim=-1), state)
        last = self.decoder(recurrent.flatten(0, 1), maps)
        return frames_of(last.unflatten(0, shape), photo[:, None]), (au_state, state)


class FrameDiscriminator(nn.Sequential):
    """D_frame: is this a real frame? (N, 3, S, S) → logits (N, 1) (§3.1). Its layers are not stated."""

    def __init__(self, s: Settings):
        a, b, c, d = s.filters(64, 128, 256, 512)
        size = (s.image_size // STRIDE) ** 2
        super().__init__(
            *(Down(3, a, 3, 2), Down(a, b, 3, 2), Down(b, c, 3, 2), Down(c, d, 3, 2)),
            *(nn.Flatten(), nn.Linear(d * size, 1)),
        )


def identity_loss(photo: Tensor, fake: Tensor) -> Tensor:
    """Eq. 7: mean absolute difference of the upper halves, of frames (B, T, 3, S, S) and their photo (B, 3, S, S)."""
    upper = photo.shape[2] // 2
    return (fake[..., :upper, :] - photo[:, None, :, :upper]).abs().mean()


class TalkingHead(nn.Module):
    """The networks and what each is trained for (Eq. 8).

    weights: "reconstruction", "identity", "perceptual", "au", "adversarial"; "change" where frames are composed. What judges is
    given where its weight is not 0: `vgg19`, frozen; `au_classifier`, which learns; the frame discriminator is made here.
    au_weights: (5,), w of Eq. 1.
    """

    judged_for = {}

    def __init__(
        self,
        generator: Generator,
        weights: dict[str, float],
        vgg19: VGG19 | None = None,
        au_classifier: AUClassifier | None = None,
        au_weights: Tensor | None = None,
    ):
        super().__init__()
        self.generator, self.au_weights = generator, au_weights
        if weights["perceptual"]:
            self.vgg19 = vgg19
        if weights["au"]:
            self.au_classifier = au_classifier
        if weights["adversarial"]:
            self.frame_discriminator = FrameDiscriminator(generator.settings)

    def generate(self, batch: Excerpt) -> Frames:
        """The excerpts' frames anew: (B, T, 3, S, S) in −1 … 1."""
        return self.generator(batch.photo, batch.mfcc)[0]

    def discriminator_terms(self, batch: Excerpt, fake: Frames) -> Terms:
        """Eq. 4, the discriminator's part; and Eq. 3, by which the classifier is fine-tuned on generated frames (§4.2)."""
        return {
            "au": lambda: self._au_loss(batch, fake),
            "adversarial": lambda: discriminator_bce(self._judged(batch.frames), self._judged(fake.image)),
        }

    def generator_terms(self, batch: Excerpt, fake: Frames) -> Terms:
        """The terms of Eq. 8, unweighted. Norms are means, not sums, as Eq. 7 prints it: weights do not depend on sizes."""
        real, image = batch.frames, fake.image
        return {
            "reconstruction": lambda: F.l1_loss(image, real),  # Eq. 6
            "identity": lambda: identity_loss(batch.photo, image),
            "perceptual": lambda: perceptual_l1(self.vgg19, real.flatten(0, 1), image.flatten(0, 1)),  # Eq. 5
            "au": lambda: self._au_loss(batch, fake),
            # Eq. 4 has log(1 − D); the non-saturating form has a gradient where D is sure, as it is of early frames.
            "adversarial": lambda: generator_bce(self._judged(image)),
            **terms_of_change(fake),
        }

    def validation_error(self, batch: Excerpt, fake: Frames) -> Tensor:
        """See `lower_half_error`."""
        return lower_half_error(batch.frames.flatten(0, 1), fake.image.flatten(0, 1))

    def _judged(self, frames: Tensor) -> Tensor:
        """The frame discriminator's logits: (B, T, 3, S, S) → (B · T, 1)."""
        return self.frame_discriminator(frames.flatten(0, 1)).float()

    def _au_loss(self, batch: Excerpt, fake: Frames) -> Tensor:
        """Eq. 3 of what the classifier sees in generated frames, against the real ones' labels."""
        logits = self.au_classifier(lower_face(fake.image).flatten(0, 1)).float()
        return au_loss(logits, batch.action_units.flatten(0, 1), self.au_weights.to(logits.device))
