"""ATVGnet in use: MFCC → landmarks on the person's face → frames."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

from pipeline.features.canonical import neutral_from_photo, retarget, to_mean_face
from pipeline.features.windows import mfcc_windows
from pipeline.papers.atvgnet import at_net, vg_net
from pipeline.papers.atvgnet.inference import for_inference
from pipeline.papers.cascade import cascade, drawn
from pipeline.papers.interface import Drawn, Driving, Networks, Use, pieces
from pipeline.training.data import images_to_tensor


def load(name: str, network: Networks, preprocessing: dict[str, Any]) -> Use:
    """`atvgnet`, or `atvgnet_true_landmarks`: its second half alone."""
    draw = partial(draw_vg_net, for_inference(network("landmark_to_texture", vg_net.VGNet, vg_net.Settings)))
    if name == "atvgnet_true_landmarks":
        return cascade(None, draw)
    landmarks = network("audio_to_landmark", at_net.ATNet, at_net.Settings)
    return cascade(partial(speak, landmarks, preprocessing["fps"]), draw)


@torch.inference_mode()
def speak(network: at_net.ATNet, fps: float, driving: Driving, seed: int) -> np.ndarray:
    """AT-net's landmarks on the photo's face, (n_frames, 68, 2). Nothing is drawn by lot: the seed has no influence.

    As example it is given what the photo's mouth does (h_p, Eq. 3).
    """
    photo, mean = driving.photo_landmarks, network.mean_neutral.numpy()
    neutral = neutral_from_photo(photo, network.opening_motion.numpy(), mean, float(network.neutral_gap))
    example = network.project(torch.from_numpy(to_mean_face(photo[None], neutral, mean)).float())
    windows = torch.from_numpy(mfcc_windows(driving.mfcc, driving.n_frames, fps))
    displacements, state = [], None
    for span in pieces(driving.n_frames):
        components, state = network(windows[None, span], example, state)
        displacements.append(network.landmarks(components, network.settings.boost)[0].numpy() - mean)
    return retarget(np.concatenate(displacements), neutral, mean)


@torch.inference_mode()
def draw_vg_net(
    network: vg_net.VGNet, photo: np.ndarray, photo_landmarks: np.ndarray, landmarks: np.ndarray
) -> Iterator[Drawn]:
    """VG-net, piece by piece; the recurrent state and what depends on the photo alone go on from one to the next."""
    size, state = photo.shape[0], None
    reference, reference_landmarks = images_to_tensor(photo[None]), vg_net.about_centre(photo_landmarks[None], size)
    for span in pieces(len(landmarks)):
        moved = vg_net.about_centre(landmarks[None, span], size)
        frames, state = network(reference, reference_landmarks, moved, state)
        yield from drawn(*(x[0] for x in frames))
