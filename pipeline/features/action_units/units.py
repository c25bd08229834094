"""Facial action units of speech: which ones, and how a clip's are kept, whatever measured them."""

from typing import NamedTuple

import numpy as np

# The five that Chen S. 2021 (§3.1, Fig. 2) takes for those of speech, and the blink.
NAMES = {
    10: "upper lip raiser",
    14: "dimpler",
    20: "lip stretcher",
    25: "lips part",
    26: "jaw drop",
    45: "blink",
}
AUS = tuple(NAMES)


class ActionUnits(NamedTuple):
    """Action units of one clip on the video's clock; columns as in AUS.

    A frame without a usable face is missing: its intensities are NaN, its presences False, its confidence is below what
    was asked for (0 where no face was seen at all).
    """

    intensity: np.ndarray  # float32 (T, 6), 0 (absent) … 5 (the most that a face can do), as in FACS from A to E
    presence: np.ndarray  # bool (T, 6)
    confidence: np.ndarray  # float32 (T,), 0 … 1, of the face that they were read from

    @property
    def missing(self) -> np.ndarray:
        """bool (T,): frames without a value."""
        return np.isnan(self.intensity).any(axis=1)


def without_missing(
    intensity: np.ndarray, presence: np.ndarray, confidence: np.ndarray, usable: np.ndarray
) -> ActionUnits:
    """ActionUnits in their types, with the frames that are not `usable`, bool (T,), made missing."""
    intensity = np.clip(np.where(usable[:, None], intensity, np.nan), 0, 5).astype(np.float32)
    return ActionUnits(intensity, presence.astype(bool) & usable[:, None], confidence.astype(np.float32))
