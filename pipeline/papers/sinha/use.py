"""Sinha 2020 in use: characters → the person's landmarks → frames."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

from pipeline.blocks.images import heatmaps_to_tensor, images_to_tensor
from pipeline.features.heatmap import landmark_heatmaps
from pipeline.papers.cascade import cascade
from pipeline.papers.images import drawn
from pipeline.papers.interface import Drawn, Networks, Use, pieces
from pipeline.papers.sinha import blink_net, landmark_net, texture_net
from pipeline.papers.sinha.inference import TextureInUse
from pipeline.papers.sinha.speak import speak


def load(name: str, network: Networks, preprocessing: dict[str, Any]) -> Use:
    """`sinha`, or `sinha_true_landmarks`: its second half alone."""
    texture = network("landmark_to_texture", texture_net.TextureGenerator, texture_net.Settings)
    draw = partial(draw_texture, TextureInUse(texture), texture.settings.sigma)
    if name == "sinha_true_landmarks":
        return cascade(None, draw)
    landmarks = network("audio_to_landmark", landmark_net.LandmarkNet, landmark_net.Settings)
    blinks = network("blink", blink_net.BlinkNet, blink_net.Settings)
    return cascade(partial(speak, landmarks, blinks), draw)


@torch.inference_mode()
def draw_texture(
    network: TextureInUse,
    sigma: float,
    photo: np.ndarray,
    photo_landmarks: np.ndarray,
    landmarks: np.ndarray,
) -> Iterator[Drawn]:
    """The texture generator, piece by piece. sigma: of the landmark images that it knows."""
    size = photo.shape[0]
    reference = images_to_tensor(photo[None])[0]
    reference_image = heatmaps_to_tensor(landmark_heatmaps(photo_landmarks[None], size, sigma))[0]
    for span in pieces(len(landmarks)):
        images = heatmaps_to_tensor(landmark_heatmaps(landmarks[span], size, sigma))
        yield from drawn(network(reference, reference_image, images))
