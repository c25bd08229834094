"""The emotion-conditioned system (Maity 2024) in use."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

from pipeline.blocks.images import images_to_tensor
from pipeline.corpus.layouts import EMOTIONS
from pipeline.papers.images import drawn
from pipeline.papers.interface import Drawn, Driving, Networks, Use, pieces
from pipeline.papers.maity.inputs import draw_noise, heard, prepared
from pipeline.papers.maity.networks import Generator, Settings


def load(name: str, network: Networks, preprocessing: dict[str, Any]) -> Use:
    """`maity`: photo, speech and an emotion → frames."""
    generator = network("end_to_end", Generator, Settings)
    return Use(partial(frames, generator, preprocessing["fps"]))


@torch.inference_mode()
def frames(generator: Generator, fps: float, photo: np.ndarray, driving: Driving, seed: int) -> Iterator[Drawn]:
    """See Use.frames. The seed is that of the noise.

    Pieces hear what lies about them: at their borders the convolutions have the same speech before them as in one piece.
    """
    reference = images_to_tensor(photo[None])
    emotion = torch.tensor([EMOTIONS.index(driving.emotion)])
    waveform = prepared(driving.waveform_8000, fps)
    rng, state = np.random.default_rng(seed), None
    for span in pieces(driving.n_frames):
        speech = heard(waveform, span.start, span.stop)[None]
        noise = draw_noise(span.stop - span.start, rng)[None]
        piece, state = generator(reference, speech, emotion, noise, state)
        yield from drawn(piece)
