"""The system of Chen S. 2021 in use."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

from pipeline.blocks.images import images_to_tensor
from pipeline.features.windows import mfcc_windows
from pipeline.papers.chen_s.networks import Generator, Settings
from pipeline.papers.images import drawn
from pipeline.papers.interface import Drawn, Driving, Networks, Use, pieces


def load(name: str, network: Networks, preprocessing: dict[str, Any]) -> Use:
    """`chen_s`: photo and speech → frames."""
    generator = network("end_to_end", Generator, Settings)
    return Use(partial(frames, generator, preprocessing["fps"]))


@torch.inference_mode()
def frames(generator: Generator, fps: float, photo: np.ndarray, driving: Driving, seed: int) -> Iterator[Drawn]:
    """See Use.frames. Nothing is drawn by lot: the seed has no influence."""
    windows = torch.from_numpy(mfcc_windows(driving.mfcc, driving.n_frames, fps))
    reference, state = images_to_tensor(photo[None]), None
    for span in pieces(driving.n_frames):
        piece, state = generator(reference, windows[None, span], state)
        yield from drawn(piece)
