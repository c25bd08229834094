"""ATVGnet (Chen L. 2019)."""

import torch
from torch import Tensor, nn

from benchmarks.plain.loops import cell_by_cell, frame_by_frame
from pipeline.blocks.composition import Frames, frames_of
from pipeline.papers.atvgnet.at_net import ATNet
from pipeline.papers.atvgnet.vg_net import ConvGRU, Discriminator, VGNet


def landmarks_of_speech(network: ATNet, mfcc: Tensor, example: Tensor) -> tuple[Tensor, None]:
    """AT-net; see `ATNet`."""
    heard = frame_by_frame(network.audio_encoder, [window[:, None] for window in mfcc.unbind(1)])
    faces = [network.landmark_encoder(example) for _ in heard]
    joined = [torch.cat(pair, dim=1) for pair in zip(heard, faces, strict=True)]
    hidden = cell_by_cell(network.lstm, torch.stack(joined, dim=1))
    return torch.stack([network.decoder(step) for step in hidden.unbind(1)], dim=1), None


def draw(network: VGNet, photo: Tensor, photo_landmarks: Tensor, landmarks: Tensor) -> tuple[Frames, None]:
    """VG-net (Eqs. 5–7), the photo and its landmarks encoded for every frame."""
    first, second = network.landmark_encoder
    shallow = frame_by_frame(first, [network.landmark_map(face.flatten(1)) for face in landmarks.unbind(1)])
    shapes = frame_by_frame(second, shallow)
    fused, attention, middles = [], [], []
    for of_frame, shape in zip(shallow, shapes, strict=True):
        photo_shallow, photo_shape = network.encode(photo_landmarks)
        middles.append(network.image_encoder(photo))
        fused.append(torch.cat([network.deep_encoder(middles[-1]), shape - photo_shape], dim=1))
        attention.append(torch.cat([of_frame, photo_shallow], dim=1))
    x = convolutional_gru(network.gru, frame_by_frame(network.fuse, fused))
    *residuals, up, norm, relu, up_again, norm_again, relu_again = network.decoder
    for block in residuals:
        x = [before + after for before, after in zip(x, frame_by_frame(block.layers, x), strict=True)]
    drawn = frame_by_frame(nn.Sequential(up, norm, relu, up_again, norm_again, relu_again), x)
    maps = zip(drawn, frame_by_frame(network.attention, attention), middles, strict=True)
    features = [colour * a + middle * (1 - a) for colour, a, middle in maps]
    heads = [network.heads(x) for x in frame_by_frame(network.last, features)]
    return frames_of(torch.stack(heads, dim=1), photo[:, None]), None


def convolutional_gru(network: ConvGRU, frames: list[Tensor]) -> list[Tensor]:
    """From a state of nought, each frame's products at its step."""
    batch, _, *size = frames[0].shape
    hidden, steps = frames[0].new_zeros(batch, network.recurrent.in_channels, *size), []
    for x in frames:
        reset_in, update_in, new_in = network.input(x).chunk(3, dim=1)
        reset, update, new = network.recurrent(hidden).chunk(3, dim=1)
        new = torch.tanh(new_in + torch.sigmoid(reset_in + reset) * new)
        hidden = new + torch.sigmoid(update_in + update) * (hidden - new)
        steps.append(hidden)
    return steps


def judge(network: Discriminator, frames: Tensor, photo_landmarks: Tensor) -> tuple[Tensor, Tensor]:
    """See `Discriminator`."""
    seen = frame_by_frame(network.frame_encoder, list(frames.unbind(1)))
    faces = [network.landmark_encoder(photo_landmarks.flatten(1)) for _ in seen]
    joined = [torch.cat(pair, dim=1) for pair in zip(seen, faces, strict=True)]
    x = cell_by_cell(network.lstm, torch.stack(joined, dim=1))
    moved = torch.tanh(network.regression(x)).unflatten(-1, (68, 2))
    return network.score(x).mean(dim=1), photo_landmarks[:, None] + moved


WAYS = {ATNet: landmarks_of_speech, VGNet: draw, Discriminator: judge}
