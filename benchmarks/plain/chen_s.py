"""Chen S. 2021."""

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.plain.loops import cell_by_cell, frame_by_frame, one_by_one
from pipeline.blocks.composition import Frames, frames_of
from pipeline.papers.chen_s.action_units import AUClassifier, AudioToAU, AUModule, AUs
from pipeline.papers.chen_s.networks import FrameDiscriminator, Generator, ImageDecoder, Up


def generate(network: Generator, photo: Tensor, mfcc: Tensor) -> tuple[Frames, None]:
    """See `Generator`; the photo is encoded for every frame."""
    heard = frame_by_frame(network.audio_encoder, [window[:, None] for window in mfcc.unbind(1)])
    identities, maps = zip(*(network.identity_encoder(photo) for _ in heard), strict=True)
    features = [torch.stack(identities, dim=1), torch.stack(heard, dim=1)]
    if network.settings.audio_to_au:
        features.append(action_units(network.audio_to_au, mfcc).features)
    recurrent = cell_by_cell(network.gru, torch.cat(features, dim=-1))
    last = decode(network.decoder, list(recurrent.unbind(1)), [list(of_frame) for of_frame in maps])
    return frames_of(torch.stack(last, dim=1), photo[:, None]), None


def decode(network: ImageDecoder, features: list[Tensor], maps: list[list[Tensor]]) -> list[Tensor]:
    """Each frame's vector, and its maps of the photo → (B, 3 or 4, S, S) of each frame."""
    x = [F.relu(network.linear(of_frame)).unflatten(1, network.start) for of_frame in features]
    x = frame_by_frame(network.first, x)
    for depth, up in enumerate(network.ups, start=1):
        x = frame_by_frame(
            up.after, [joined(up, of_frame, skips[-depth]) for of_frame, skips in zip(x, maps, strict=True)]
        )
    return x


def joined(up: Up, x: Tensor, photo: Tensor) -> Tensor:
    """The transposed convolution of the concatenated maps, as the paper has it."""
    layer = up.of_frame
    weights = torch.cat([layer.weight, up.of_photo.weight])
    return F.conv_transpose2d(torch.cat([x, photo], dim=1), weights, layer.bias, layer.stride, layer.padding)


def action_units(network: AudioToAU, windows: Tensor) -> AUs:
    """See `AudioToAU`."""
    windows = (windows - network.mean) / network.deviation
    features, logits = zip(*(action_unit(unit, windows) for unit in network.units), strict=True)
    return AUs(torch.cat(features, dim=-1), torch.cat(logits, dim=-1), ())


def action_unit(network: AUModule, windows: Tensor) -> tuple[Tensor, Tensor]:
    """See `AUModule`."""
    heard = [
        torch.cat([network.frequency(window), network.time(window.transpose(1, 2))], dim=1)
        for window in windows.unbind(1)
    ]
    hidden = cell_by_cell(network.lstm, torch.stack(heard, dim=1))
    features = torch.stack([network.features(x) for x in hidden.unbind(1)], dim=1)
    return features, network.occurrence(features)


WAYS = {Generator: generate, FrameDiscriminator: one_by_one, AudioToAU: action_units, AUClassifier: one_by_one}
