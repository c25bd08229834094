"""The emotion-conditioned system (Maity 2024) in use."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from pipeline.corpus.layouts import EMOTIONS
from pipeline.models.emotion import Generator
from pipeline.systems.system import Drawn, Driving, System, pieces
from pipeline.training.data import images_to_tensor, tensor_to_images
from pipeline.training.emotion import draw_noise, heard, prepared
from pipeline.training.emotion import load as load_generator


def load(name: str, data: Path) -> System:
    """The system, as trained in `data`. Raises UserError where it is not."""
    generator, description = load_generator(data / "end_to_end" / name)
    how = description["preprocessing"]
    needs = frozenset({"waveform_8000", "emotion"})
    return System(name, needs, how["image_size"], how, partial(frames, generator, how["fps"]))


@torch.inference_mode()
def frames(generator: Generator, fps: float, photo: np.ndarray, driving: Driving, seed: int) -> Iterator[Drawn]:
    """See System.frames. The seed is that of the noise.

    Pieces hear what lies about them: at their borders the convolutions have the same speech before them as in one piece.
    """
    reference = images_to_tensor(photo[None])
    emotion = torch.tensor([EMOTIONS.index(driving.emotion)])
    waveform = prepared(driving.waveform_8000, fps)
    rng, state = np.random.default_rng(seed), None
    for span in pieces(driving.n_frames):
        speech = heard(waveform, span.start, span.stop)[None]
        noise = draw_noise(span.stop - span.start, rng)[None]
        images, state = generator(reference, speech, emotion, noise, state)
        yield from map(Drawn, tensor_to_images(images[0]))
