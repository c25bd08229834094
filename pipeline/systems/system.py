"""What all systems have in common: one interface, of which synthesis and the command line know nothing more."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

# Frames that are generated at a time; recurrent states go on from one piece to the next, so that there is no seam, and speech
# of any length takes the memory of one piece.
PIECE = 50


@dataclass(frozen=True)
class Driving:
    """What drives a clip of `n_frames`; of the optional ones, those that the system needs."""

    n_frames: int
    photo_landmarks: np.ndarray  # (68, 2), of the photo's face in crop pixels
    mel: np.ndarray | None = None  # log-mel speech (columns, bands)
    mfcc: np.ndarray | None = None  # (columns of 10 ms, 12)
    characters: np.ndarray | None = None  # scores of characters or phones (n_frames, 16, symbols)
    landmarks: np.ndarray | None = None  # (n_frames, 68, 2), of this face, in crop pixels


@dataclass(frozen=True)
class System:
    """A trained system.

    needs: the names of Driving's fields that drive it. preprocessing: how its training's input was made, and so its own has to
    be: fps, transform, template, and what its features need. frames: (photo uint8 (S, S, 3), driving, seed) → frames uint8
    (S, S, 3), one by one, in constant memory; equal seeds give equal frames.
    """

    name: str
    needs: frozenset[str]
    image_size: int
    preprocessing: dict
    frames: Callable[[np.ndarray, Driving, int], Iterator[np.ndarray]]


def pieces(n_frames: int) -> Iterator[slice]:
    """Spans of at most PIECE frames that cover n_frames, in order."""
    for start in range(0, n_frames, PIECE):
        yield slice(start, min(start + PIECE, n_frames))
