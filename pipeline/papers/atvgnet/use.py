"""ATVGnet in use: MFCC → landmarks on the person's face → frames."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

from pipeline.blocks.images import images_to_tensor
from pipeline.papers.atvgnet import at_net, vg_net
from pipeline.papers.atvgnet.inference import for_inference
from pipeline.papers.atvgnet.speak import speak
from pipeline.papers.cascade import cascade
from pipeline.papers.images import drawn
from pipeline.papers.interface import Drawn, Networks, Use, pieces


def load(name: str, network: Networks, preprocessing: dict[str, Any]) -> Use:
    """`atvgnet`, or `atvgnet_true_landmarks`: its second half alone."""
    draw = partial(draw_vg_net, for_inference(network("landmark_to_texture", vg_net.VGNet, vg_net.Settings)))
    if name == "atvgnet_true_landmarks":
        return cascade(None, draw)
    landmarks = network("audio_to_landmark", at_net.ATNet, at_net.Settings)
    return cascade(partial(speak, landmarks, preprocessing["fps"]), draw)


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
        yield from drawn(frames)
