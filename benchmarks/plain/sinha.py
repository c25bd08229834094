"""Sinha 2020. The difference of every two windows of blinks is left as it is: the losses are the pipeline's own."""

import torch
from torch import Tensor

from benchmarks.plain.loops import cell_by_cell, one_by_one
from pipeline.blocks.composition import Frames, composed
from pipeline.papers.sinha.blink_net import BlinkNet
from pipeline.papers.sinha.landmark_net import LandmarkNet
from pipeline.papers.sinha.texture_net import PatchDiscriminator, TextureGenerator


def displace(network: LandmarkNet, characters: Tensor) -> Tensor:
    """See `LandmarkNet`."""
    return torch.cat([LandmarkNet.forward(network, frame) for frame in characters.split(1)])


def blink(network: BlinkNet, noise: Tensor) -> tuple[Tensor, None]:
    """See `BlinkNet`."""
    hidden = cell_by_cell(network.rnn, noise)
    return torch.stack([network.displacements(network.coefficients(x)) for x in hidden.unbind(1)], dim=1), None


def draw(network: TextureGenerator, photo: Tensor, photo_landmarks: Tensor, landmarks: Tensor) -> Frames:
    """See `TextureGenerator`."""
    colours, changes = [], []
    for face in landmarks.split(1):
        features = network.features(photo, photo_landmarks, face)
        colours.append(network.colour(features))
        changes.append(network.change(features))
    return composed(torch.cat(colours), torch.cat(changes), photo)


WAYS = {LandmarkNet: displace, BlinkNet: blink, TextureGenerator: draw, PatchDiscriminator: one_by_one}
