"""Blinks: when the eyes are shut, how often, how long and how far apart. The only definition of a blink."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# Shut is below this share of the clip's median aspect ratio. People's open eyes differ (median 0.27 to 0.37 over six speakers
# of GRID), so that no fixed ratio suits all.
SHUT = 0.75
SHORTEST_S, LONGEST_S = 0.08, 0.5  # shorter is trembling, longer are eyes that stay closed


class Blinks(NamedTuple):
    """The blinks of many clips. A blink that an end of its clip cuts has no duration."""

    counts: np.ndarray  # (clips,)
    seconds: np.ndarray  # (clips,), the clips' lengths
    durations: np.ndarray  # (n,), seconds
    intervals: np.ndarray  # (m,), seconds from one blink's start to the next one's in the same clip


def blink_events(eye_aspect_ratio: np.ndarray, fps: float) -> list[tuple[int, int]]:
    """The blinks of a clip as (first frame, first frame after), from its eyes' aspect ratio (T,).

    A run of shut frames, a single open frame within it included, of 80 ms to 0.5 s.
    """
    shut = eye_aspect_ratio < SHUT * np.median(eye_aspect_ratio)
    shut[1:-1] |= shut[:-2] & shut[2:]
    runs = np.flatnonzero(np.diff(np.r_[False, shut, False].astype(int))).reshape(-1, 2)
    # In whole frames: 0.08 s are 2 frames at 25 a second, and 0.08 · 25 need not be exactly 2.
    shortest, longest = round(SHORTEST_S * fps, 6), round(LONGEST_S * fps, 6)
    return [(int(start), int(stop)) for start, stop in runs if shortest <= stop - start <= longest]


def find_blinks(eye_aspect_ratios: Sequence[np.ndarray], fps: float) -> Blinks:
    """The blinks of clips, each given by its eyes' aspect ratio (T,)."""
    counts, durations, intervals = [], [], []
    for ratio in eye_aspect_ratios:
        events = blink_events(ratio, fps)
        counts.append(len(events))
        durations += [stop - start for start, stop in events if start > 0 and stop < len(ratio)]
        # When a blink began that was under way at the clip's start is not known.
        intervals += np.diff([start for start, _ in events if start > 0]).tolist()
    seconds = np.array([len(ratio) for ratio in eye_aspect_ratios]) / fps
    return Blinks(np.array(counts), seconds, np.array(durations) / fps, np.array(intervals) / fps)


def blink_statistics(eye_aspect_ratios: Sequence[np.ndarray], fps: float) -> dict[str, float | int]:
    """Blinks per second over all clips together, mean duration and interval in seconds (NaN without any), and their counts."""
    blinks = find_blinks(eye_aspect_ratios, fps)
    return {
        "rate": float(blinks.counts.sum() / blinks.seconds.sum()),
        "duration": _mean(blinks.durations),
        "interval": _mean(blinks.intervals),
        "n": int(blinks.counts.sum()),
        "n_intervals": len(blinks.intervals),
    }


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
