"""The seam between a cascade's halves: in training, the second half also sees landmarks as the first half predicts them.

Predicted lips part less wide than real ones. Who has seen true landmarks only draws them shut.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pipeline.features.landmarks import EYES
from pipeline.papers.interface import Driving
from pipeline.training.data import ClipStore

# Brows and eyes: speech says little of them, and a blink that the frames show has to be seen in the landmarks.
UNHEARD = np.r_[17:27, EYES]


class Seam(NamedTuple):
    """share: of the training excerpts whose landmarks are predicted. hears: the feature of speech that drives the first half.
    predict: the first half in use, driving → (n_frames, 68, 2) in crop pixels."""

    share: float
    hears: str
    predict: Callable[[Driving], np.ndarray]

    def landmarks(self, store: ClipStore, clip: str, rng: np.random.Generator) -> np.ndarray:
        """A clip's landmarks for a training excerpt, true or predicted: (T, 68, 2), crop pixels."""
        own = store.steadied(clip)
        if rng.random() >= self.share:
            return own
        first = store.landmarks.landmarks(clip)[0]
        predicted = self.predict(Driving(len(own), first, **{self.hears: getattr(store, self.hears)[clip]}))
        predicted[:, UNHEARD] = own[:, UNHEARD]
        return predicted
