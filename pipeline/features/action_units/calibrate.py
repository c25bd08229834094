"""Fit the built-in estimator's numbers to real OpenFace output; prints MODELS as it should stand in geometry.py.

    python -m pipeline.features.action_units.calibrate GRID_ROOT OPENFACE_ROOT

GRID_ROOT/s1/NAME.mpg are clips, OPENFACE_ROOT/s1/NAME.csv OpenFace's tables of them (`FeatureExtraction -f NAME.mpg -aus`).
Fitted on four fifths of one speaker's clips; the others are for `python -m benchmarks.action_units`.
"""

import argparse
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

from pipeline.corpus.workers import each
from pipeline.errors import ClipRejected, UserError, one_line_errors
from pipeline.features.action_units.geometry import MODELS, Model, departures
from pipeline.features.action_units.openface import read_openface
from pipeline.features.action_units.units import AUS, NAMES, ActionUnits
from pipeline.features.tracking import detect_video

FPS = 25.0
SPEAKER = "s1"
LEAST_PRESENT = 0.005  # share of frames from which on a threshold can be chosen by F1: here 50 frames
SPEECH = 0.99  # of the frames, which are taken for speech without the unit where it is rarer than that


class Example(NamedTuple):
    """A clip's raw landmarks (T, 68, 2), NaN without a face, and what OpenFace says of it."""

    landmarks: np.ndarray
    truth: ActionUnits


def is_calibration_clip(speaker: str, name: str) -> bool:
    """Four fifths of one speaker's clips, by name: which one a clip is does not change when others are added."""
    return speaker == SPEAKER and zlib.crc32(name.encode()) % 5 != 0


def list_examples(grid: Path, openface: Path) -> list[tuple[Path, Path]]:
    """(video, table) of every clip that has both. Raises UserError where there is none."""
    tables = sorted(openface.glob("*/*.csv"))
    pairs = [(grid / table.parent.name / f"{table.stem}.mpg", table) for table in tables]
    pairs = [(video, table) for video, table in pairs if video.exists()]
    if not pairs:
        raise UserError(f"no clip SPEAKER/NAME.mpg under {grid} has a table SPEAKER/NAME.csv under {openface}")
    return pairs


def read_example(pair: tuple[Path, Path]) -> Example:
    """Detect a clip's landmarks and read its table. Raises ClipRejected."""
    video, table = pair
    faces = detect_video(video, FPS, "dlib", redetect_every=1, max_missing=0.5)
    landmarks = np.where(faces.has_face[:, None, None], faces.landmarks, np.nan)
    return Example(landmarks, read_openface(table, len(landmarks), FPS))


def read_examples(pairs: list[tuple[Path, Path]], workers: int | str = "auto") -> list[Example]:
    """All examples; those that cannot be used are left out, with a line on each."""
    examples, results = [], dict(each(read_example, pairs, "landmarks", workers))
    for video, table in pairs:
        result = results[video, table]
        if isinstance(result, ClipRejected):
            print(f"left out {video}: {result}")
        else:
            examples.append(result)
    return examples


def pool(examples: list[Example]) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Measures {name: (n,)}, intensities (n, 6) and presences (n, 6) of all frames in which both saw a face."""
    seen = [~e.truth.missing & np.isfinite(e.landmarks).all(axis=(1, 2)) for e in examples]
    moved = [departures(e.landmarks, FPS) for e in examples]
    measured = {name: np.concatenate([m[name][s] for m, s in zip(moved, seen, strict=True)]) for name in moved[0]}
    intensity = np.concatenate([e.truth.intensity[s] for e, s in zip(examples, seen, strict=True)])
    presence = np.concatenate([e.truth.presence[s] for e, s in zip(examples, seen, strict=True)])
    return measured, intensity, presence


def fit(names: tuple[str, ...], measured: dict[str, np.ndarray], intensity: np.ndarray, presence: np.ndarray) -> Model:
    """Fit one action unit on the named measures: coefficients by non-negative least squares, so that rest is 0.

    intensity (n,), presence (n,) as OpenFace has them. The threshold is that of the best F1. Where the unit hardly occurs
    nothing can be fitted: the measures are added up, and what goes beyond 99 % of speech's frames is called present, with an
    intensity of 1 (FACS's A, a trace) from there on.
    """
    x = np.stack([measured[name] for name in names], axis=1)
    if presence.mean() >= LEAST_PRESENT:
        weights, _ = nnls(x, intensity.astype(np.float64))
        threshold = best_threshold(x @ weights, presence)
    else:
        weights, threshold = np.ones(len(names)) / np.quantile(x.sum(axis=1), SPEECH), 1.0
    return Model({name: round(float(w), 2) for name, w in zip(names, weights, strict=True)}, round(float(threshold), 2))


def best_threshold(values: np.ndarray, presence: np.ndarray) -> float:
    """The value from which on `present` gives the highest F1 = 2TP / (2TP + FP + FN)."""
    order = np.argsort(-values)
    true_positives = np.cumsum(presence[order])
    f1 = 2 * true_positives / (np.arange(1, len(values) + 1) + presence.sum())
    f1[:-1][np.diff(values[order]) == 0] = 0  # equal values stand or fall together
    return float(values[order][np.argmax(f1)])


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m pipeline.features.action_units.calibrate", description=__doc__.splitlines()[0]
    )
    parser.add_argument("grid", type=Path, help="folder of SPEAKER/NAME.mpg")
    parser.add_argument("openface", type=Path, help="folder of SPEAKER/NAME.csv")
    arguments = parser.parse_args()
    pairs = list_examples(arguments.grid, arguments.openface)
    examples = read_examples([pair for pair in pairs if is_calibration_clip(pair[1].parent.name, pair[1].stem)])
    measured, intensity, presence = pool(examples)
    print(f"MODELS = {{  # {len(examples)} clips, {len(intensity)} frames of {SPEAKER}")
    for k, au in enumerate(AUS):
        model = fit(tuple(MODELS[au].coefficients), measured, intensity[:, k], presence[:, k])
        terms = ", ".join(f'"{name}": {c}' for name, c in model.coefficients.items())
        print(
            f"    {au}: Model({{{terms}}}, {model.threshold}),  # {NAMES[au]}: in {presence[:, k].mean():.1%} of frames"
        )
    print("}")


if __name__ == "__main__":
    main()
