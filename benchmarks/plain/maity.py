"""Maity 2024."""

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.plain.loops import cell_by_cell
from pipeline.blocks.composition import Frames, frames_of
from pipeline.corpus.layouts import EMOTIONS
from pipeline.papers.maity.networks import (
    CONTEXT,
    EVERY,
    ConvLSTM,
    Decoder,
    EmotionDiscriminator,
    FrameDiscriminator,
    Generator,
    PairDiscriminator,
    SpeechEncoder,
)


def generate(
    network: Generator, photo: Tensor, waveform: Tensor, emotion: Tensor, noise: Tensor
) -> tuple[Frames, None]:
    """See `Generator`; the photo and the emotion are encoded for every frame."""
    heard, noise = hear(network.speech_encoder, waveform), cell_by_cell(network.noise_lstm, noise)
    label = F.one_hot(emotion, len(EMOTIONS)).to(photo.dtype)
    embeddings, maps = [], []
    for speech, drawn in zip(heard.unbind(1), noise.unbind(1), strict=True):
        image, of_photo = network.image_encoder(photo)
        embeddings.append(torch.cat([speech, drawn, image, network.emotion_encoder(label)], dim=1))
        maps.append(of_photo[::-1])
    return frames_of(decode(network.decoder, embeddings, maps), photo[:, None]), None


def hear(network: SpeechEncoder, waveform: Tensor) -> Tensor:
    """Waveform → (B, T, 512), the context of each frame joined by itself."""
    vectors = network.layers(waveform[:, None])
    starts = range(0, vectors.shape[2] - CONTEXT + 1, EVERY)
    contexts = [network.linear(vectors[:, :, start : start + CONTEXT].flatten(1)) for start in starts]
    return cell_by_cell(network.lstm, torch.stack(contexts, dim=1))


def decode(network: Decoder, embeddings: list[Tensor], maps: list[list[Tensor]]) -> Tensor:
    """Each frame's vector, and its maps of the photo from the deepest on → (B, T, 3 or 4, S, S)."""
    hidden, cell, drawn = None, None, []
    for embedding, skips in zip(embeddings, maps, strict=True):
        x = network.linear(embedding).unflatten(1, network.start)
        for layer, skip in zip((network.first, network.second, network.third), skips[:3], strict=True):
            x = upsample(F.leaky_relu(layer(torch.cat([x, skip], dim=1)), 0.2))
        hidden, cell = convolutional_lstm(network.fourth, torch.cat([x, skips[3]], dim=1), hidden, cell)
        x = network.fifth(torch.cat([upsample(hidden), skips[4]], dim=1))
        drawn.append(network.last(upsample(F.leaky_relu(x, 0.2))))
    return torch.stack(drawn, dim=1)


def upsample(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


def convolutional_lstm(
    network: ConvLSTM, x: Tensor, hidden: Tensor | None, cell: Tensor | None
) -> tuple[Tensor, Tensor]:
    """One step."""
    gates = network.input(x)
    if hidden is None:
        hidden = cell = gates.new_zeros(len(x), network.recurrent.in_channels, *x.shape[2:])
    entering, staying, leaving, candidate = (gates + network.recurrent(hidden)).chunk(4, dim=1)
    cell = staying.sigmoid() * cell + entering.sigmoid() * candidate.tanh()
    return leaving.sigmoid() * cell.tanh(), cell


def criticise(network: FrameDiscriminator, frames: Tensor, photos: Tensor, gradient: bool = False) -> Tensor:
    """See `FrameDiscriminator`."""
    pairs = zip(frames.split(1), photos.split(1), strict=True)
    return torch.cat([FrameDiscriminator.forward(network, *pair, gradient) for pair in pairs])


def judge_pairs(
    network: PairDiscriminator, photo: Tensor, mask: Tensor, waveform: Tensor, *videos: Tensor
) -> list[Tensor]:
    """See `PairDiscriminator`; the speech is heard for every video."""
    return [judge_pair(network, frames, photo, mask, waveform) for frames in videos]


def judge_pair(network: PairDiscriminator, frames: Tensor, photo: Tensor, mask: Tensor, waveform: Tensor) -> Tensor:
    mouths = (frames * mask).unbind(1)
    seen = [network.image_encoder(torch.cat([mouth, photo], dim=1))[0] for mouth in mouths]
    of_images = cell_by_cell(network.image_lstm, torch.stack(seen, dim=1))
    of_speech = cell_by_cell(network.speech_lstm, hear(network.speech_encoder, waveform))
    joined = cell_by_cell(network.lstm, torch.cat([of_images, of_speech], dim=2))
    return network.linear(joined.mean(dim=1))[:, 0]


def judge_emotion(network: EmotionDiscriminator, frames: Tensor) -> Tensor:
    """See `EmotionDiscriminator`."""
    seen = [network.linear(network.layers(frame)) for frame in frames.unbind(1)]
    return network.last(cell_by_cell(network.lstm, torch.stack(seen, dim=1))[:, -1])


WAYS = {
    Generator: generate,
    FrameDiscriminator: criticise,
    PairDiscriminator: judge_pairs,
    EmotionDiscriminator: judge_emotion,
}
