"""How any system is used: what drives it, what it draws, and the functions that a paper's `use.load` hands over."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:  # who only lists systems does without torch, which takes seconds to load
    from torch import nn

# Frames that are generated at a time; recurrent states go on from one piece to the next, so that there is no seam, and speech
# of any length takes the memory of one piece. So few that the first is soon there, and what is made of a layer stays in the
# processor's cache.
PIECE = 10


@dataclass(frozen=True)
class Driving:
    """What drives a clip of `n_frames`; of the optional ones, those that the system needs."""

    n_frames: int
    photo_landmarks: np.ndarray  # (68, 2), of the photo's face in crop pixels
    mel: np.ndarray | None = None  # log-mel speech (columns, bands)
    mfcc: np.ndarray | None = None  # (columns of 10 ms, 12)
    characters: np.ndarray | None = None  # scores of characters or phones (n_frames, 16, symbols); or StepWindows
    waveform_8000: np.ndarray | None = None  # int16, speech at 8 kHz (windows.from_int16)
    emotion: str | None = None  # one of ANG, DIS, FEA, HAP, NEU, SAD
    landmarks: np.ndarray | None = None  # (n_frames, 68, 2), of this face, in crop pixels, not smoothed


class Drawn(NamedTuple):
    """A frame; and, where it is composed, what is drawn anew and where: image = change · colour + (1 − change) · photo."""

    image: np.ndarray  # uint8 (S, S, 3)
    colour: np.ndarray | None = None  # uint8 (S, S, 3)
    change: np.ndarray | None = None  # uint8 (S, S), 255 = drawn anew


class Use(NamedTuple):
    """A trained system's functions.

    frames: (photo uint8 (S, S, 3), driving, seed) → frames, one by one, in constant memory; equal seeds give equal frames.
    landmarks: of systems that predict them, (driving, seed) → those that they draw from, (n_frames, 68, 2) in crop pixels.
    """

    frames: Callable[[np.ndarray, Driving, int], Iterator[Drawn]]
    landmarks: Callable[[Driving, int], np.ndarray] | None = None


class Networks(Protocol):
    """(training, network's class, its settings' class) → the trained network, in evaluation mode."""

    def __call__(self, training: str, network: "type[nn.Module]", settings: type) -> Any: ...


def pieces(n_frames: int) -> Iterator[slice]:
    """Spans of at most PIECE frames that cover n_frames, in order."""
    for start in range(0, n_frames, PIECE):
        yield slice(start, min(start + PIECE, n_frames))
