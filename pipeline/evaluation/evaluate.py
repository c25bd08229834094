"""All metrics of a clip, and their means over clips.

Metrics are averaged over a clip's frames, then over clips, but for those that need the frames of all clips together (POOLED).
What is undefined for a clip (the mouth correlation of a still face) is NaN in tables, `null` in files, and left out of means;
where it is defined (UNDEFINED says when it need not be), NaN is an error. What only networks can say is absent
without them.
"""

import math
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd

from pipeline.errors import UserError
from pipeline.evaluation.action_units import Counts, bootstrap_scores, count, pooled, score
from pipeline.evaluation.distributions import wasserstein
from pipeline.evaluation.frechet import frechet_distance
from pipeline.evaluation.given import NOTHING, OF_CLIPS, Given, given_features, given_metrics
from pipeline.evaluation.identity import FRAMES, identity
from pipeline.evaluation.image import LEAST_MSE, psnr, ssim
from pipeline.evaluation.intervals import bootstrap_interval
from pipeline.evaluation.landmark import (
    BORDERS,
    LEAST_SCORE,
    detect_landmarks,
    eye_distance,
    landmark_distance,
    normalised_landmark_distance,
)
from pipeline.evaluation.sharpness import cpbd
from pipeline.evaluation.steadiness import STILL_SHARE, flicker
from pipeline.evaluation.sync import (
    LEAST_FRAMES,
    LEAST_PAIRS,
    REACH,
    SYNC,
    comparable,
    mouth_correlation,
    mouth_lag,
    seen_often,
)
from pipeline.features.action_units.geometry import landmark_action_units
from pipeline.features.blinks import blink_statistics, find_blinks
from pipeline.features.jitter import jitter
from pipeline.features.landmarks import eye_aspect_ratio, mouth_opening

METRICS = (
    *("psnr", "ssim", "cpbd"),
    *("lmd", "lmd_iod", "nlmd"),
    *("mouth_correlation", "mouth_lag"),
    *("identity", "jitter", "flicker", "no_face"),
)
# What networks say, where there are any: of sync, and those that the user gives.
OF_NETWORKS = (*SYNC, *OF_CLIPS)
# Of these the median of the clips: a clip whose mouths hardly correlate has any lag, as far as it is sought.
MEDIANS = ("mouth_lag", "sync_offset")
# Taken over the frames of all clips together: most clips hold no blink, and many an action unit never occurs in one.
POOLED = ("au_f1", "au_accuracy", "blink_rate", "blink_duration", "blink_interval", "blink_distance")

# The metrics that may be undefined, and when, by the landmarks of the real clip and of the generated one, (T, 68, 2) each.
UNDEFINED: dict[str, Callable[[np.ndarray, np.ndarray], bool]] = {
    **dict.fromkeys(("lmd", "lmd_iod", "nlmd"), lambda real, found: not (has_face(real) & has_face(found)).any()),
    "mouth_correlation": lambda real, found: not comparable(mouth_opening(real), mouth_opening(found)),
    "mouth_lag": lambda real, found: (
        not comparable(mouth_opening(real), mouth_opening(found))
        or not seen_often(mouth_opening(real), mouth_opening(found))
    ),
    "identity": lambda real, found: not has_face(real)[0] or not has_face(found).any(),
    "jitter": lambda real, found: not (has_face(found)[:-2] & has_face(found)[1:-1] & has_face(found)[2:]).any(),
    "flicker": lambda real, found: len(found) < 2,
    **dict.fromkeys(SYNC, lambda real, found: len(found) < LEAST_FRAMES),
}


def has_face(landmarks: np.ndarray) -> np.ndarray:
    """Whether a face was found in each frame: (T, 68, 2) → bool (T,)."""
    return ~np.isnan(landmarks).all(axis=(1, 2))


class Measured(NamedTuple):
    """What was measured of one clip as one system generates it; tracks are NaN where no face was found."""

    metrics: dict[str, float]  # METRICS
    action_units: Counts  # against the real clip's
    opening: np.ndarray  # (T,), of the mouth, in eye distances
    eyes: np.ndarray  # (T,), their aspect ratio
    true_eyes: np.ndarray  # (T,), that of the real clip's
    features: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # by OF_SETS that are asked for: real, generated; (n, d)


class Clip(NamedTuple):
    """One clip, real or generated: uint8 frames (T, S, S, 3), and the landmarks that a detector finds in them.

    landmarks: (T, 68, 2) in crop pixels as by `detect_landmarks`, NaN where no face was found.
    """

    frames: np.ndarray
    landmarks: np.ndarray

    def at(self, size: int) -> "Clip":
        """The clip brought to `size` pixels, with its landmarks; pixel centres lie at whole numbers."""
        scale = size / self.frames.shape[1]
        if scale == 1:
            return self
        way = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
        frames = np.stack([cv2.resize(frame, (size, size), interpolation=way) for frame in self.frames])
        return Clip(frames, (self.landmarks + 0.5) * scale - 0.5)


def compare(truth: Clip, generated: Clip, template: np.ndarray, fps: float, given: Given = NOTHING) -> Measured:
    """A clip as a system generates it, against the real one. template: (68, 2), see `normalised_landmark_distance`."""
    metrics = evaluate_clip(truth.frames, generated.frames, template, truth.landmarks, generated.landmarks)
    n = min(len(truth.frames), len(generated.frames))
    frames = truth.frames[:n], generated.frames[:n]
    measured = measure(metrics | given_metrics(given, *frames), truth.landmarks, generated.landmarks, fps)
    return measured._replace(features=given_features(given, *frames))


def check(measured: Measured, truth: Clip, generated: Clip, clip: str, system: str) -> Measured:
    """What was measured of a clip. Raises UserError where something is NaN that is defined, or infinite: means would leave it
    out unseen."""
    n = len(measured.opening)
    real, found = truth.landmarks[:n], generated.landmarks[:n]
    for metric, value in measured.metrics.items():
        undefined = metric in UNDEFINED and UNDEFINED[metric](real, found)
        if not (math.isfinite(value) or (undefined and math.isnan(value))):
            raise UserError(f"{clip} by {system}: {metric} is {value}; no figure is made of it")
    for whose, landmarks in (("real", real), ("generated", found)):
        broken = has_face(landmarks) & ~np.isfinite(landmarks).all(axis=(1, 2))
        if broken.any():
            where = f"a landmark of {whose} frame {broken.argmax()}"
            raise UserError(f"{clip} by {system}: {where} is no number; no figure is made of it")
    return measured


def measure(metrics: dict[str, float], real: np.ndarray, found: np.ndarray, fps: float) -> Measured:
    """METRICS of a clip with what is taken from its landmarks and the real clip's, (T, 68, 2) each.

    One frame more on either side is cut off.
    """
    n = min(len(real), len(found))
    real, found = real[:n], found[:n]
    units = count(landmark_action_units(real, fps), landmark_action_units(found, fps))
    return Measured(metrics, units, mouth_opening(found), eye_aspect_ratio(found), eye_aspect_ratio(real))


def evaluate_clip(
    truth: np.ndarray,
    generated: np.ndarray,
    template: np.ndarray,
    truth_landmarks: np.ndarray | None = None,
    generated_landmarks: np.ndarray | None = None,
    detection_size: int = 256,
) -> dict[str, float]:
    """METRICS of one generated clip against the real one; NaN where a metric is undefined.

    truth, generated: uint8 (T, S, S, 3); template: (68, 2), see `normalised_landmark_distance`; landmarks: (T, 68, 2) in crop
    pixels as by `detect_landmarks`, NaN where no face was found; they are detected here unless given. One frame more on either
    side is cut off. Raises ValueError where lengths differ by more, or sizes differ: a clip is never warped.
    """
    n = min(len(truth), len(generated))
    if abs(len(truth) - len(generated)) > 1 or n == 0 or truth.shape[1:] != generated.shape[1:]:
        raise ValueError(f"the real clip is {truth.shape}, the generated one {generated.shape}")
    truth, generated = truth[:n], generated[:n]
    real = detect_landmarks(truth, detection_size) if truth_landmarks is None else truth_landmarks[:n]
    found = detect_landmarks(generated, detection_size) if generated_landmarks is None else generated_landmarks[:n]
    lmd = mean_known(landmark_distance(real, found))
    openings = mouth_opening(real), mouth_opening(found)
    return {
        "psnr": float(psnr(truth, generated).mean()),
        "ssim": float(ssim(truth, generated).mean()),
        "cpbd": float(cpbd(generated).mean()),
        "lmd": lmd,
        "lmd_iod": lmd / eye_distance(real),
        "nlmd": mean_known(normalised_landmark_distance(real, found, template)),
        "mouth_correlation": mouth_correlation(*openings),
        "mouth_lag": mouth_lag(*openings),
        "identity": identity(truth[0], real[0], generated, found),
        "jitter": jitter(found),
        "flicker": flicker(truth, generated),
        "no_face": float(np.isnan(found[:, 0, 0]).mean()),
    }


def mean_known(values: np.ndarray) -> float:
    """The mean of those that are not NaN; NaN where all are."""
    return float(np.nanmean(values)) if not np.isnan(values).all() else math.nan


def summarise(table: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """{system: {metric: mean over the clips that have a value}}, six significant digits; None where no clip has one.

    Of MEDIANS the median. table: one row per clip and system, with the columns `system` and METRICS. Systems stand in the
    table's order.
    """
    return {
        system: {
            metric: _rounded(rows[metric].agg("median" if metric in MEDIANS else "mean"))
            for metric in measured_in(table)
        }
        for system, rows in table.groupby("system", sort=False)
    }


def measured_in(table: pd.DataFrame) -> list[str]:
    """The metrics of single clips that a table has: METRICS, and what networks say, where there are any."""
    return [metric for metric in (*METRICS, *OF_NETWORKS) if metric in table]


def counts(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    """{system: {metric: number of clips that have a value}}: means of unequal counts are not over the same clips."""
    return {
        system: {metric: int(rows[metric].count()) for metric in measured_in(table)}
        for system, rows in table.groupby("system", sort=False)
    }


def intervals(table: pd.DataFrame, seed: int, samples: int = 2000) -> dict[str, dict[str, list[float] | None]]:
    """{system: {metric: [low, high]}}: 95 % bootstrap intervals over people and clips; None where there are too few, and for
    MEDIANS.

    table: as of `summarise`; its column subject says whom clips show, without it one person. Every system is resampled by the
    same draws where none lacks a value.
    """
    result = {}
    for system, rows in table.groupby("system", sort=False):
        means = [metric for metric in measured_in(table) if metric not in MEDIANS]
        bounds = {metric: bootstrap_interval(rows[metric], samples, seed, rows.get("subject")) for metric in means}
        result[system] = dict.fromkeys(metric for metric in MEDIANS if metric in table) | {
            m: None if math.isnan(low) else [_rounded(low), _rounded(high)] for m, (low, high) in bounds.items()
        }
    return result


def pooled_metrics(clips: list[Measured], fps: float) -> dict[str, float | None]:
    """POOLED of all the clips that one system generates; None where a metric is undefined."""
    scores = score(pooled([clip.action_units for clip in clips]))
    eyes, true_eyes = (
        [_without_gaps(track) for track in tracks if not np.isnan(track).all()]
        for tracks in ([clip.eyes for clip in clips], [clip.true_eyes for clip in clips])
    )
    blinks = blink_statistics(eyes, fps) if eyes else dict.fromkeys(("rate", "duration", "interval"), math.nan)
    distance = wasserstein(find_blinks(eyes, fps).durations, find_blinks(true_eyes, fps).durations)
    values = (scores.mean_f1, scores.mean_accuracy, blinks["rate"], blinks["duration"], blinks["interval"], distance)
    return {metric: _rounded(value) for metric, value in zip(POOLED, values, strict=True)}


def set_metrics(clips: list[Measured]) -> dict[str, tuple[float | None, int]]:
    """Of OF_SETS those for which there are features: the distance of all real from all generated ones, and of how many either.

    None where there are fewer than two.
    """
    result = {}
    for kind in clips[0].features:
        real, generated = (np.concatenate(side) for side in zip(*(clip.features[kind] for clip in clips), strict=True))
        distance = frechet_distance(real, generated) if len(real) > 1 else math.nan
        result[kind] = _rounded(distance), len(real)
    return result


def pooled_intervals(
    clips: list[Measured], seed: int, samples: int, people: Sequence | None = None
) -> dict[str, list[float] | None]:
    """95 % bootstrap intervals of those of POOLED that have one; None for blinks, which are too few.

    people: whom each clip shows, by default one.
    """
    bounds = bootstrap_scores([clip.action_units for clip in clips], samples, seed, people)
    return dict.fromkeys(POOLED) | {
        f"au_{name}": None if math.isnan(bounds[f"mean_{name}"][0]) else [_rounded(b) for b in bounds[f"mean_{name}"]]
        for name in ("f1", "accuracy")
    }


def action_unit_details(clips: list[Measured]) -> dict[str, object]:
    """F1 and accuracy of each action unit; None where it occurs in no real frame."""
    scores = score(pooled([clip.action_units for clip in clips]))
    tables = {"f1": scores.f1, "accuracy": scores.accuracy}
    return {"n_frames": scores.n_frames} | {
        name: {f"AU{au:02d}": _rounded(value) for au, value in table.items()} for name, table in tables.items()
    }


def summarise_split(
    table: pd.DataFrame,
    by_system: dict[str, list[Measured]],
    fps: float,
    seed: int,
    samples: int,
    crop: str,
    detection_size: int,
    judges: dict[str, str],
) -> dict[str, object]:
    """All figures of one split's clips: means, intervals, counts, by emotion and by subject, and what changes them.

    table: as of `summarise`, with the columns emotion, subject and sentence; by_system: what was measured of the same clips;
    crop: their sizes in words; judges: networks that were asked, by what for, in words.
    """
    means, limits, numbers = summarise(table), intervals(table, seed, samples), counts(table)
    people = table.drop_duplicates("clip")["subject"]
    for system, measured in by_system.items():
        means[system] |= pooled_metrics(measured, fps)
        limits[system] |= pooled_intervals(measured, seed, samples, people)
        for kind, (distance, n) in set_metrics(measured).items():
            means[system][kind], limits[system][kind], numbers[system][kind] = distance, None, n
    return {
        "clips": table["clip"].nunique(),
        "n": numbers,
        "means": means,
        "intervals": limits,
        "action_units": {system: action_unit_details(measured) for system, measured in by_system.items()},
        "by_emotion": {emotion: summarise(rows) for emotion, rows in table.groupby("emotion")},
        "by_subject": {subject: summarise(rows) for subject, rows in table.groupby("subject")},
        "by_sentence": {sentence: summarise(rows) for sentence, rows in table.groupby("sentence")},
        "signature": signature(crop, detection_size) | judges,
    }


def _without_gaps(track: np.ndarray) -> np.ndarray:
    """A track (T,), with what is NaN interpolated over time."""
    frames, known = np.arange(len(track)), ~np.isnan(track)
    return np.interp(frames, frames[known], track[known])


def signature(crop: str, detection_size: int) -> dict[str, str]:
    """All that changes the figures, in words: they mean nothing without it."""
    borders = " or ".join(f"{share:g}" for share in BORDERS)
    packages = ("dlib-bin", "numpy", "opencv-python-headless", "scikit-image")
    return {
        "crop": f"{crop}, RGB, uint8",
        "psnr": f"dB, MSE of pixels and channels, at least {LEAST_MSE:.4f}",
        "ssim": "Gaussian 11×11, σ 1.5, population variance, data range 255, mean of channels",
        "detector": f"dlib HOG above {LEAST_SCORE}, 68 points, at {detection_size} px, within a border of {borders}",
        "cpbd": "blocks of 64 px, luminance, PyPI cpbd's edges, mean of frames",
        "lmd": "points 48–67, moved to their mean, mean of points, px of the crop",
        "lmd_iod": "lmd / median distance of the real eyes' centres",
        "nlmd": "points 48–67 after the similarity of all 68 to the template, mean of points, eye distances of the template",
        "mouth": f"inner lips / eye distance, Pearson over at least {LEAST_PAIRS} frames; lag of the "
        f"sample cross-correlation, within ±{REACH} frames, median of clips",
        "au": "AU10, 14, 20, 25, 26, built-in estimator on detected landmarks, all clips pooled, mean of those that occur",
        "blink": "of the detected landmarks, all clips pooled; distance: Wasserstein-1 of durations to the real clips', s",
        "identity": f"dlib's embedding, cosine to the real first frame's, mean of {FRAMES} frames",
        "jitter": "mean acceleration of points 0–2, 14–16, 27–47, eye distances per frame²",
        "flicker": f"grey levels, from frame to frame, the {STILL_SHARE:.0%} of the pixels that change least in the truth",
        "no_face": "share of generated frames in which the detector finds none",
        "mean": "frames, then clips that have a value; of lags the median",
        "interval": "95 % by the bootstrap, over clips of one person, or over people and their clips; percentiles expanded",
        "versions": ", ".join(f"{package} {version(package)}" for package in packages),
    }


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else float(f"{value:.6g}")
