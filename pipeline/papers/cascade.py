"""What the cascades share in use: speech → motion of the mean face → landmarks of the person's own face → frames.

`…_true_landmarks` are the second halves alone, driven by the landmarks of a real video: what they lack is the texture's fault,
and what the whole cascade lacks beside them, the speech's.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch

from pipeline.features.smoothing import steadied
from pipeline.papers.interface import Drawn, Driving, Use

# (driving, seed) → the person's landmarks (n_frames, 68, 2) in crop pixels.
Speak = Callable[[Driving, int], np.ndarray]
# (photo uint8 (S, S, 3), its landmarks (68, 2), landmarks (T, 68, 2)) → T drawn frames.
Draw = Callable[[np.ndarray, np.ndarray, np.ndarray], Iterator[Drawn]]


def cascade(speak: Speak | None, draw: Draw) -> Use:
    """Both halves as one system; speak: None where landmarks are given."""
    return Use(partial(frames, speak or follow_landmarks, draw), speak)


@torch.inference_mode()
def frames(speak: Speak, draw: Draw, photo: np.ndarray, driving: Driving, seed: int) -> Iterator[Drawn]:
    """See Use.frames. The seed is that of the blinks."""
    return draw(photo, driving.photo_landmarks, speak(driving, seed))


def follow_landmarks(driving: Driving, seed: int) -> np.ndarray:
    """The landmarks that are given, smoothed as the textures know them."""
    return steadied(driving.landmarks)
