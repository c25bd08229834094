"""Kesim & Erzin 2021."""

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.plain.loops import cell_by_cell
from pipeline.blocks.composition import Frames, frames_of
from pipeline.blocks.layers import Up, concatenate, repeat
from pipeline.papers.kesim_erzin.networks import (
    Clip,
    FrameDiscriminator,
    Generator,
    ImageDecoder,
    SequenceDiscriminator,
    SpeechCNN,
)


def generate(network: Generator, clip: Clip, n_frames: int) -> tuple[Frames, None]:
    """Speech and noise by their LSTMs; then every frame, with the reference encoded for it."""
    others = [cell_by_cell(network.noise_lstm, repeat(clip.noise, n_frames))]
    if network.settings.speech:
        others.append(cell_by_cell(network.speech_lstm, hear(network.speech_cnn, clip.mel)))
    drawn = []
    for t, embedding in enumerate(torch.cat(others, dim=1).split(1)):
        heatmap = clip.heatmaps[t : t + 1] if network.settings.landmarks else None
        image, maps = network.image_encoder(concatenate(clip.conditions(1), heatmap))
        drawn.append(decode(network.decoder, image, embedding, maps))
    return frames_of(torch.cat(drawn), clip.reference), None


def decode(network: ImageDecoder, image: Tensor, others: Tensor, maps: list[Tensor]) -> Tensor:
    """Of one frame; see `ImageDecoder`."""
    x = network.linear(torch.cat([image, others], dim=1)).unflatten(1, network.start)
    x = upsample(network.first, concatenate(x, image[..., None, None].expand(-1, -1, *network.start[1:])))
    for skip, up, encoded in zip(network.skips, network.ups, reversed(maps), strict=True):
        x = upsample(up, skip(concatenate(x, encoded)))
    return x


def upsample(network: Up, x: Tensor) -> Tensor:
    """See `Up`. An even kernel has no centre: one more row and column of padding at the end."""
    kernel = network.convolution.kernel_size[0]
    x = F.pad(F.interpolate(x, scale_factor=2, mode="nearest"), ((kernel - 1) // 2, kernel // 2) * 2)
    return network.after(network.convolution(x))


def hear(network: SpeechCNN, mel: Tensor) -> Tensor:
    """(T, columns, bands) → (T, 256)."""
    return torch.cat([network(window) for window in mel.split(1)])


def judge_frames(network: FrameDiscriminator, frames: Tensor, conditions: Tensor) -> tuple[Tensor, list[Tensor]]:
    """See `FrameDiscriminator`."""
    pairs = zip(frames.split(1), conditions.split(1), strict=True)
    logits, features = zip(*(FrameDiscriminator.forward(network, *pair) for pair in pairs), strict=True)
    return torch.cat(logits), [torch.cat(maps) for maps in zip(*features, strict=True)]


def judge_sequences(network: SequenceDiscriminator, mel: Tensor | None, *videos: Tensor) -> list[Tensor]:
    """See `SequenceDiscriminator`; the speech is heard for every video."""
    return [judge_sequence(network, frames, mel) for frames in videos]


def judge_sequence(network: SequenceDiscriminator, frames: Tensor, mel: Tensor | None) -> Tensor:
    lower = frames[:, :, frames.shape[2] // 2 :]
    x = torch.cat([network.image_cnn(frame) for frame in lower.split(1)])
    if network.settings.speech:
        x = torch.cat([x, hear(network.speech_cnn, mel)], dim=1)
    every = network.settings.decision_every
    return network.linear(cell_by_cell(network.lstm, x)[every - 1 :: every])


WAYS = {Generator: generate, FrameDiscriminator: judge_frames, SequenceDiscriminator: judge_sequences}
