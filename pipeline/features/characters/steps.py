"""Scores over time, and their windows on the video's clock. Needs numpy only."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

STEPS = 16  # of a window (Sinha §III-A)
STEP_HZ = 50.0  # DeepSpeech's own steps, of 20 ms


class Scores(NamedTuple):
    """What a recogniser says of a waveform, step by step.

    values: float32 (N, n), N ≥ 0; row k belongs to the time first_s + k / STEP_HZ. silence: (n,), its row for silence.
    symbols: what the n columns stand for; "" is CTC's blank.
    """

    name: str
    symbols: tuple[str, ...]
    values: np.ndarray
    first_s: float
    silence: np.ndarray


@dataclass(frozen=True)
class StepWindows:
    """`step_windows`, made where they are looked at: `windows[span]` is float32 (frames, STEPS, n).

    Whole, ten minutes of them take 40 MB, the scores themselves 5.
    """

    scores: Scores
    n_frames: int
    fps: float

    def __len__(self) -> int:
        return self.n_frames

    def __getitem__(self, span: slice) -> np.ndarray:
        """The windows of a span of frames.

        Sinha §III-A takes "overlapping audio windows of 16 audio frames (0.04s of audio), where each audio window corresponds
        to a single video frame". 16 of DeepSpeech's frames last 0.32 s; read here: one window every 0.04 s. So a window's steps
        are 20 ms apart, at −150, −130 … 150 ms from the middle of its frame, linearly interpolated where no step lies there.
        Beyond either end of the speech stand the scores of silence.
        """
        middles = (np.arange(self.n_frames)[span] + 0.5) / self.fps
        times = middles[:, None] + (np.arange(STEPS) - (STEPS - 1) / 2) / STEP_HZ
        place = np.clip((times - self.scores.first_s) * STEP_HZ + 1, 0, len(self._padded) - 1)
        # To a millionth of a step: whole steps should stay what they are.
        place = np.round(place, 6)
        before = np.minimum(place.astype(int), len(self._padded) - 2)
        share = (place - before).astype(np.float32)[..., None]
        return self._padded[before] * (1 - share) + self._padded[before + 1] * share

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    @cached_property
    def _padded(self) -> np.ndarray:
        silence = np.asarray(self.scores.silence, np.float32)[None]
        return np.concatenate([silence, self.scores.values, silence]).astype(np.float32)


def step_windows(scores: Scores, n_frames: int, fps: float) -> np.ndarray:
    """One window of scores per video frame: float32 (n_frames, STEPS, n), centred on the frame's middle."""
    return StepWindows(scores, n_frames, fps)[:]
