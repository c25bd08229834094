"""Sinha 2020 in use: characters → displacements of the mean face, with blinks → the person's landmarks → frames."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

from pipeline.features.canonical import neutral_from_photo, retarget
from pipeline.features.heatmap import landmark_heatmaps
from pipeline.features.landmarks import inter_ocular_distance
from pipeline.papers.cascade import cascade, drawn
from pipeline.papers.interface import Drawn, Driving, Networks, Use, pieces
from pipeline.papers.sinha import blink_net, landmark_net, texture_net
from pipeline.training.data import heatmaps_to_tensor, images_to_tensor


def load(name: str, network: Networks, preprocessing: dict[str, Any]) -> Use:
    """`sinha`, or `sinha_true_landmarks`: its second half alone."""
    texture = network("landmark_to_texture", texture_net.TextureGenerator, texture_net.Settings)
    draw = partial(draw_texture, texture)
    if name == "sinha_true_landmarks":
        return cascade(None, draw)
    landmarks = network("audio_to_landmark", landmark_net.LandmarkNet, landmark_net.Settings)
    blinks = network("blink", blink_net.BlinkNet, blink_net.Settings)
    return cascade(partial(speak, landmarks, blinks), draw)


@torch.inference_mode()
def speak(network: landmark_net.LandmarkNet, blinks: blink_net.BlinkNet, driving: Driving, seed: int) -> np.ndarray:
    """Displacements by speech, with blinks imposed on them, on the photo's face (§III-A, B): (n_frames, 68, 2)."""
    moved = spoken(network, driving) + blink_net.blink_displacements(blinks, driving.n_frames, seed)
    return on_the_photos_face(network, moved, driving.photo_landmarks)


@torch.inference_mode()
def spoken(network: landmark_net.LandmarkNet, driving: Driving) -> np.ndarray:
    """What speech moves: displacements of the mean face (n_frames, 68, 2), in distances of its eyes."""
    return np.concatenate(
        [network(torch.tensor(driving.characters[span])).numpy() for span in pieces(driving.n_frames)]
    )


def on_the_photos_face(
    network: landmark_net.LandmarkNet, displacements: np.ndarray, photo_landmarks: np.ndarray
) -> np.ndarray:
    """Displacements of the mean face as landmarks of the person: (T, 68, 2), (68, 2) → (T, 68, 2), both in crop pixels."""
    mean = network.mean_neutral.numpy()
    neutral = neutral_from_photo(photo_landmarks, network.opening_motion.numpy(), mean, float(network.neutral_gap))
    return retarget(displacements * inter_ocular_distance(mean), neutral, mean)


@torch.inference_mode()
def draw_texture(
    network: texture_net.TextureGenerator,
    photo: np.ndarray,
    photo_landmarks: np.ndarray,
    landmarks: np.ndarray,
) -> Iterator[Drawn]:
    """The texture generator, piece by piece."""
    size, sigma = photo.shape[0], network.settings.sigma
    reference = images_to_tensor(photo[None])[0]
    reference_image = heatmaps_to_tensor(landmark_heatmaps(photo_landmarks[None], size, sigma))[0]
    for span in pieces(len(landmarks)):
        images = heatmaps_to_tensor(landmark_heatmaps(landmarks[span], size, sigma))
        yield from drawn(*network(reference, reference_image, images))
