"""The system of Chen S. 2021 in use."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from pipeline.features.windows import mfcc_windows
from pipeline.models.audio_au import Generator
from pipeline.systems.system import Drawn, Driving, System, pieces
from pipeline.training.audio_au import load as load_generator
from pipeline.training.data import images_to_tensor, tensor_to_images


def load(name: str, data: Path) -> System:
    """`audio_au`, as trained in `data`. Raises UserError where it is not."""
    generator, description = load_generator(data / "end_to_end" / name)
    how = description["preprocessing"]
    return System(name, frozenset({"mfcc"}), how["image_size"], how, partial(frames, generator, how["fps"]))


@torch.inference_mode()
def frames(generator: Generator, fps: float, photo: np.ndarray, driving: Driving, seed: int) -> Iterator[Drawn]:
    """See System.frames. Nothing is drawn by lot: the seed has no influence."""
    windows = torch.from_numpy(mfcc_windows(driving.mfcc, driving.n_frames, fps))
    reference, state = images_to_tensor(photo[None]), None
    for span in pieces(driving.n_frames):
        images, state = generator(reference, windows[None, span], state)
        yield from map(Drawn, tensor_to_images(images[0]))
