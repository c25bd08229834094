"""The cascades in use: speech → motion of the mean face → landmarks of the person's own face → frames.

ATVGnet and Sinha 2020 differ in either half, and only the latter blinks. `…_true_landmarks` are the second halves alone, driven
by the landmarks of a real video: what they lack is the texture's fault, and what the whole cascade lacks beside them, the
speech's.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from pipeline.errors import UserError
from pipeline.features.canonical import neutral_from_photo, retarget, to_mean_face
from pipeline.features.heatmap import landmark_heatmaps
from pipeline.features.landmarks import inter_ocular_distance
from pipeline.features.windows import mfcc_windows
from pipeline.models.atvgnet import ATNet, VGNet
from pipeline.models.blink import BlinkNet
from pipeline.models.identity_preserving import LandmarkNet, TextureGenerator
from pipeline.systems.system import Drawn, Driving, System, pieces
from pipeline.training import atvgnet, identity_preserving
from pipeline.training.blink import blink_displacements, with_blinks
from pipeline.training.blink import load as load_blink
from pipeline.training.data import heatmaps_to_tensor, images_to_tensor, tensor_to_images

TRUE = "_true_landmarks"

# (driving, seed) → the person's landmarks (n_frames, 68, 2) in crop pixels.
Speak = Callable[[Driving, int], np.ndarray]
# (photo uint8 (S, S, 3), its landmarks (68, 2), landmarks (T, 68, 2)) → T drawn frames.
Draw = Callable[[np.ndarray, np.ndarray, np.ndarray], Iterator[Drawn]]


def load_atvgnet(name: str, data: Path) -> System:
    """`atvgnet` or `atvgnet_true_landmarks`, as trained in `data`. Raises UserError where a half of it is not."""
    texture, how = atvgnet.load_landmark_to_texture(data / "landmark_to_texture" / "atvgnet")
    draw = partial(draw_atvgnet, texture)
    if name.endswith(TRUE):
        return _cascade(name, "landmarks", how, follow_landmarks, draw)
    network, heard = atvgnet.load_audio_to_landmark(data / "audio_to_landmark" / "atvgnet")
    _same_faces(name, how, heard)
    return _cascade(name, "mfcc", how, partial(speak_atvgnet, network, heard["preprocessing"]["fps"]), draw)


def load_identity_preserving(name: str, data: Path) -> System:
    """`identity_preserving` or `identity_preserving_true_landmarks`, as `load_atvgnet`."""
    texture, how = identity_preserving.load_landmark_to_texture(data / "landmark_to_texture" / "identity_preserving")
    draw = partial(draw_identity_preserving, texture, how["preprocessing"]["sigma"])
    if name.endswith(TRUE):
        return _cascade(name, "landmarks", how, follow_landmarks, draw)
    network, heard = identity_preserving.load_audio_to_landmark(data / "audio_to_landmark" / "identity_preserving")
    blinks, _ = load_blink(data / "blink")
    _same_faces(name, how, heard)
    how["preprocessing"]["characters"] = heard["preprocessing"]["characters"]
    return _cascade(name, "characters", how, partial(speak_identity_preserving, network, blinks), draw)


def _cascade(name: str, needs: str, description: dict, speak: Speak, draw: Draw) -> System:
    how = description["preprocessing"]
    predicted = None if speak is follow_landmarks else speak
    return System(name, frozenset({needs}), how["image_size"], how, partial(frames, speak, draw), predicted)


def _same_faces(name: str, one: dict, other: dict) -> None:
    """Both halves must have learnt from equally aligned faces."""
    for key in ("fps", "transform", "template", "image_size"):
        if one["preprocessing"][key] != other["preprocessing"][key]:
            raise UserError(f"the two halves of {name} were trained with different {key}; `dvc repro` trains them anew")


@torch.inference_mode()
def frames(speak: Speak, draw: Draw, photo: np.ndarray, driving: Driving, seed: int) -> Iterator[Drawn]:
    """See System.frames. The seed is that of the blinks."""
    return draw(photo, driving.photo_landmarks, speak(driving, seed))


def follow_landmarks(driving: Driving, seed: int) -> np.ndarray:
    """The landmarks that are given."""
    return driving.landmarks


@torch.inference_mode()
def speak_atvgnet(network: ATNet, fps: float, driving: Driving, seed: int) -> np.ndarray:
    """AT-net's landmarks on the photo's face. As example it is given what the photo's mouth does (h_p, Eq. 3)."""
    photo, mean = driving.photo_landmarks, network.mean_neutral.numpy()
    neutral = neutral_from_photo(photo, network.opening_motion.numpy(), mean, float(network.neutral_gap))
    example = network.project(torch.from_numpy(to_mean_face(photo[None], neutral, mean)).float())
    windows = torch.from_numpy(mfcc_windows(driving.mfcc, driving.n_frames, fps))
    displacements, state = [], None
    for span in pieces(driving.n_frames):
        motion, state = network(windows[None, span], example, state)
        displacements.append(motion.landmarks[0].numpy() - mean)
    return retarget(np.concatenate(displacements), neutral, mean)


@torch.inference_mode()
def speak_identity_preserving(network: LandmarkNet, blinks: BlinkNet, driving: Driving, seed: int) -> np.ndarray:
    """Displacements by speech, with blinks imposed on them, on the photo's face (Sinha §III-A, B)."""
    mean = network.mean_neutral.numpy()
    neutral = neutral_from_photo(
        driving.photo_landmarks, network.opening_motion.numpy(), mean, float(network.neutral_gap)
    )
    spans = pieces(driving.n_frames)
    spoken = np.concatenate([network(torch.tensor(driving.characters[span])).numpy() for span in spans])
    moved = with_blinks(network.settings.boost * spoken, blink_displacements(blinks, driving.n_frames, seed))
    return retarget(moved * inter_ocular_distance(mean), neutral, mean)


@torch.inference_mode()
def draw_atvgnet(
    network: VGNet, photo: np.ndarray, photo_landmarks: np.ndarray, landmarks: np.ndarray
) -> Iterator[Drawn]:
    """VG-net, piece by piece; the recurrent state and what depends on the photo alone go on from one to the next."""
    size, state = photo.shape[0], None
    reference, reference_landmarks = images_to_tensor(photo[None]), atvgnet.scaled(photo_landmarks[None], size)
    for span in pieces(len(landmarks)):
        drawn, state = network(reference, reference_landmarks, atvgnet.scaled(landmarks[None, span], size), state)
        yield from _drawn(*(x[0] for x in drawn))


@torch.inference_mode()
def draw_identity_preserving(
    network: TextureGenerator, sigma: float, photo: np.ndarray, photo_landmarks: np.ndarray, landmarks: np.ndarray
) -> Iterator[Drawn]:
    """The texture generator, piece by piece."""
    size = photo.shape[0]
    reference = images_to_tensor(photo[None])[0]
    reference_image = heatmaps_to_tensor(landmark_heatmaps(photo_landmarks[None], size, sigma))[0]
    for span in pieces(len(landmarks)):
        images = heatmaps_to_tensor(landmark_heatmaps(landmarks[span], size, sigma))
        yield from _drawn(*network(reference, reference_image, images))


def _drawn(image: torch.Tensor, colour: torch.Tensor, change: torch.Tensor) -> Iterator[Drawn]:
    maps = (change[:, 0].float() * 255).round().byte().numpy()
    yield from map(Drawn, tensor_to_images(image), tensor_to_images(colour), maps)
