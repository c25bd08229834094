"""ATVGnet's first half in use: MFCC → the person's landmarks."""

import numpy as np
import torch

from pipeline.features.canonical import neutral_from_photo, retarget, to_mean_face
from pipeline.features.windows import mfcc_windows
from pipeline.papers.atvgnet.at_net import ATNet
from pipeline.papers.interface import Driving, pieces


@torch.inference_mode()
def speak(network: ATNet, fps: float, driving: Driving, seed: int) -> np.ndarray:
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
