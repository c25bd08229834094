"""Sinha 2020's first half in use: characters → displacements of the mean face, with blinks → the person's landmarks."""

import numpy as np
import torch

from pipeline.features.canonical import neutral_from_photo, retarget
from pipeline.features.landmarks import inter_ocular_distance
from pipeline.papers.interface import Driving, pieces
from pipeline.papers.sinha.blink_net import BlinkNet, blink_displacements
from pipeline.papers.sinha.landmark_net import LandmarkNet


@torch.inference_mode()
def speak(network: LandmarkNet, blinks: BlinkNet, driving: Driving, seed: int) -> np.ndarray:
    """Displacements by speech, with blinks imposed on them, on the photo's face (§III-A, B): (n_frames, 68, 2)."""
    moved = spoken(network, driving) + blink_displacements(blinks, driving.n_frames, seed)
    return on_the_photos_face(network, moved, driving.photo_landmarks)


@torch.inference_mode()
def speak_without_blinks(network: LandmarkNet, driving: Driving) -> np.ndarray:
    """The landmarks of the photo's face as speech alone moves them: (n_frames, 68, 2)."""
    return on_the_photos_face(network, spoken(network, driving), driving.photo_landmarks)


def spoken(network: LandmarkNet, driving: Driving) -> np.ndarray:
    """What speech moves: displacements of the mean face (n_frames, 68, 2), in distances of its eyes."""
    return np.concatenate(
        [network(torch.tensor(driving.characters[span])).numpy() for span in pieces(driving.n_frames)]
    )


def on_the_photos_face(network: LandmarkNet, displacements: np.ndarray, photo_landmarks: np.ndarray) -> np.ndarray:
    """Displacements of the mean face as landmarks of the person: (T, 68, 2), (68, 2) → (T, 68, 2), both in crop pixels."""
    mean = network.mean_neutral.numpy()
    neutral = neutral_from_photo(photo_landmarks, network.opening_motion.numpy(), mean, float(network.neutral_gap))
    return retarget(displacements * inter_ocular_distance(mean), neutral, mean)
