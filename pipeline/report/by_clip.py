"""What is measured of each usable clip of a corpus, so that those at the end of each scale can be named."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter1d

from pipeline.corpus.tables import Tables
from pipeline.features.landmarks import mouth_opening
from pipeline.features.prosody import PAUSE_DB

REACH = 8  # frames by which the sync check shifts sound against picture, either way
LEAST_PAIRS = 10  # frames that a correlation needs
# Between these two Gaussians (σ in frames) lie syllables. What is slower says little of sync: mouths open before a sentence and
# close after it. As they are, opening and loudness of 35 sentences of GRID fit best 8 frames apart, at the end of the reach;
# within these limits at 0, and two thirds of the sentences within 2 frames of it.
FINE, SLOW = 1.0, 3.0


class Measure(NamedTuple):
    """A column of `figures_by_clip`. worst: a number for each value, greatest for the clips to look at first."""

    label: str
    worst: Callable[[pd.Series], pd.Series]


MEASURES = {
    "seconds": Measure("length (s)", lambda values: -values),
    "eye_distance": Measure("eyes apart (px of the video)", lambda values: -values),
    "missing": Measure("frames without a face (%)", lambda values: values),
    "jitter": Measure("raw jitter (% of the eyes' distance)", lambda values: values),
    "silent": Measure("silence (% of the frames)", lambda values: values),
    "sync": Measure("mouth opening ~ loudness (r)", lambda values: -values),
    "lag": Measure("the mouth follows by (frames)", lambda values: (values - values.median()).abs()),
}


def lag_correlations(mouth: np.ndarray, loudness: np.ndarray) -> np.ndarray:
    """Correlation of mouth opening (T,) and loudness in dB (T',), syllable by syllable, at lags of −REACH … REACH frames.

    loudness: NaN in silence; pauses count alike, however noisy. Returns (2·REACH + 1,), all NaN where the clip is too short or
    either does not change. At a positive lag the mouth follows the sound.
    """
    n, by_lag = min(len(mouth), len(loudness)), []
    if n < LEAST_PAIRS:
        return np.full(2 * REACH + 1, np.nan)
    loudness = np.nan_to_num(np.asarray(loudness, float))
    mouth, loudness = _syllables(mouth), _syllables(np.maximum(loudness, loudness.max() - PAUSE_DB))
    for lag in range(-REACH, REACH + 1):
        a, b = mouth[max(0, lag) : n + min(0, lag)], loudness[max(0, -lag) : n - max(0, lag)]
        is_still = len(a) < LEAST_PAIRS or min(a.std(), b.std()) < 1e-6
        by_lag.append(np.nan if is_still else np.corrcoef(a, b)[0, 1])
    return np.full(2 * REACH + 1, np.nan) if np.isnan(by_lag).any() else np.array(by_lag)


def _syllables(values: np.ndarray) -> np.ndarray:
    return gaussian_filter1d(values, FINE) - gaussian_filter1d(values, SLOW)


def sync_by_clip(data: Path, faces: str) -> pd.DataFrame:
    """`lag_correlations` of every clip that has them, as `faces` shows it: a row per clip, a column per lag."""
    landmarks, prosody = Tables(data / "alignment" / faces / "landmarks"), Tables(data / "audio_features" / "prosody")
    rows = {
        clip: lag_correlations(mouth_opening(landmarks.landmarks(clip)), prosody[clip]["intensity_db"])
        for clip in landmarks
        if clip in prosody
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=range(-REACH, REACH + 1)).dropna()


def sync_check(by_clip: pd.DataFrame) -> dict[str, float | int | None]:
    """Whether mouths move with the sound: correlation of mouth opening and loudness, mean over clips, at its best lag.

    by_clip: as by `sync_by_clip`. lag: frames by which the mouth follows the sound; near 0 in a corpus that is in sync (a mouth
    opens a little before it is heard).
    """
    if by_clip.empty:
        return {"clips": 0, "correlation": None, "lag": None}
    mean = by_clip.mean()
    return {"clips": len(by_clip), "correlation": float(mean.max()), "lag": int(mean.idxmax())}


def figures_by_clip(
    faces: pd.DataFrame, aligned: pd.DataFrame, sound: pd.DataFrame, sync: pd.DataFrame, fps: float
) -> pd.DataFrame:
    """A row per clip that was aligned and heard, a column for each of MEASURES; NaN where a clip has none.

    faces, aligned, sound: what became of each clip in these stages. sync: as by `sync_by_clip`. The column `sync` is the
    correlation at the corpus's own lag; `lag` is the clip's own, where it lies within reach.
    """
    clips = aligned.index[aligned["reason"].isna()].intersection(sound.index[sound["reason"].isna()])
    lag, own_lag = sync_check(sync)["lag"], sync.idxmax(axis=1).astype(float)
    columns = {
        "seconds": faces["frames"] / fps,
        "eye_distance": faces["eye_distance"],
        "missing": 100 * (1 - faces["frames_with_face"] / faces["frames"]),
        "jitter": 100 * aligned["jitter_raw"],
        "silent": 100 * sound["silent_share"],
        "sync": sync[lag] if lag is not None else pd.Series(dtype=float),
        "lag": own_lag[own_lag.abs() < REACH],
    }
    return pd.DataFrame({name: columns[name].reindex(clips).astype(float) for name in MEASURES})


def worst(figures: pd.DataFrame, measure: str, n: int) -> pd.Series:
    """The n clips that are worst by a measure, worst first: clip → value."""
    values = figures[measure].dropna()
    return values[MEASURES[measure].worst(values).sort_values(ascending=False, kind="stable").index[:n]]
