"""Scores over time, and their windows on the video's clock. Needs numpy only."""

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


def step_windows(scores: Scores, n_frames: int, fps: float, steps: int = STEPS) -> np.ndarray:
    """One window of scores per video frame: float32 (n_frames, steps, n), centred on the frame's middle.

    Sinha §III-A takes "overlapping audio windows of 16 audio frames (0.04s of audio), where each audio window corresponds to
    a single video frame". 16 of DeepSpeech's frames last 0.32 s; read here: one window every 0.04 s. So a window's steps are
    20 ms apart, at −150, −130 … 150 ms from the middle of its frame, linearly interpolated where no step lies there. Beyond
    either end of the speech stand the scores of silence.
    """
    middles = (np.arange(n_frames) + 0.5) / fps
    times = middles[:, None] + (np.arange(steps) - (steps - 1) / 2) / STEP_HZ
    silence = np.asarray(scores.silence, np.float32)[None]
    padded = np.concatenate([silence, scores.values, silence]).astype(np.float32)
    place = np.clip((times - scores.first_s) * STEP_HZ + 1, 0, len(padded) - 1)
    # To a millionth of a step: whole steps should stay what they are.
    place = np.round(place, 6)
    before = np.minimum(place.astype(int), len(padded) - 2)
    share = (place - before).astype(np.float32)[..., None]
    return padded[before] * (1 - share) + padded[before + 1] * share
