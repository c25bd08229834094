"""The built-in estimator of action units against real OpenFace output, on GRID clips that it was not fitted to.

    python -m benchmarks.action_units GRID_ROOT OPENFACE_ROOT [--workers 2]

The folders are those of `pipeline.features.action_units.calibrate`: GRID_ROOT/s1/NAME.mpg, OPENFACE_ROOT/s1/NAME.csv. Two
tables: the other clips of the speaker that it was fitted to, and other speakers. `present` is the share of frames in which
OpenFace has the unit; `always` the F1 of calling it present in every frame; `own` that of OpenFace's intensity with its best
threshold on the fitted clips, which is as much of its presence as an intensity can tell; `r` is with OpenFace's intensity.
"""

import argparse
import math
from pathlib import Path

import numpy as np

from pipeline.errors import one_line_errors
from pipeline.evaluation.action_units import Scores, count, pooled, score
from pipeline.features.action_units.calibrate import (
    FPS,
    SPEAKER,
    Example,
    best_threshold,
    is_calibration_clip,
    list_examples,
    read_examples,
)
from pipeline.features.action_units.geometry import landmark_action_units
from pipeline.features.action_units.openface import read_openface
from pipeline.features.action_units.units import AUS, NAMES, ActionUnits


def own_thresholds(tables: list[Path]) -> np.ndarray:
    """The intensities from which on OpenFace's presence is told best, (6,), by its tables of the clips that were fitted to."""
    units = [read_openface(table, sum(1 for _ in table.open()) - 1, FPS) for table in tables]
    seen = [~u.missing for u in units]
    intensity = np.concatenate([u.intensity[s] for u, s in zip(units, seen, strict=True)])
    presence = np.concatenate([u.presence[s] for u, s in zip(units, seen, strict=True)])
    return np.array([best_threshold(intensity[:, k], presence[:, k]) for k in range(len(AUS))])


def compare(examples: list[Example], thresholds: np.ndarray) -> tuple[Scores, Scores, float]:
    """Print the table of some clips. Returns our scores, those of OpenFace's own intensities, and our deviation."""
    truths = [example.truth for example in examples]
    estimates = [landmark_action_units(example.landmarks, FPS) for example in examples]
    own = [ActionUnits(t.intensity, np.nan_to_num(t.intensity) >= thresholds, t.confidence) for t in truths]
    ours, theirs = (
        score(pooled([count(t, u) for t, u in zip(truths, units, strict=True)])) for units in (estimates, own)
    )
    seen = [~(t.missing | e.missing) for t, e in zip(truths, estimates, strict=True)]
    real, found = (
        np.concatenate([u.intensity[s] for u, s in zip(units, seen, strict=True)]) for units in (truths, estimates)
    )
    present = np.concatenate([t.presence[s] for t, s in zip(truths, seen, strict=True)]).mean(axis=0)
    print(f"{'':23}present     F1  always    own  accuracy      r")
    for k, au in enumerate(AUS):
        r = np.corrcoef(real[:, k], found[:, k])[0, 1] if np.ptp(real[:, k]) > 0 else math.nan
        always = 2 * present[k] / (1 + present[k]) if present[k] else math.nan
        print(
            f"AU{au} {NAMES[au]:18}{present[k]:7.2%}{ours.f1[au]:7.3f}{always:8.3f}{theirs.f1[au]:7.3f}"
            f"{ours.accuracy[au]:10.3f}{r:7.2f}"
        )
    print(f"mean of the five that occur{ours.mean_f1:10.3f}{theirs.mean_f1:15.3f}{ours.mean_accuracy:10.3f}")
    return ours, theirs, float(np.abs(real - found).mean())


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.action_units", description=__doc__.splitlines()[0])
    parser.add_argument("grid", type=Path, help="folder of SPEAKER/NAME.mpg")
    parser.add_argument("openface", type=Path, help="folder of SPEAKER/NAME.csv")
    parser.add_argument("--workers", type=int, default=1, help="processes (default: %(default)s)")
    arguments = parser.parse_args()
    fitted, same, others = [], [], []
    for pair in list_examples(arguments.grid, arguments.openface):
        speaker, name = pair[1].parent.name, pair[1].stem
        (fitted if is_calibration_clip(speaker, name) else same if speaker == SPEAKER else others).append(pair)
    thresholds = own_thresholds([table for _, table in fitted])
    results = []
    for label, pairs in ((f"other clips of {SPEAKER}", same), ("other speakers", others)):
        examples = read_examples(pairs, arguments.workers)
        print(f"\n{label}: {len(examples)} clips, {sum(len(e.landmarks) for e in examples)} frames")
        results.append(compare(examples, thresholds))
    ours, theirs, deviation = results[-1]
    figures = f"ours {ours.mean_f1:.3f}, alternative {theirs.mean_f1:.3f} mean F1"
    print(f"\naction_units: ratio {ours.mean_f1 / theirs.mean_f1:.2f} ({figures}; deviation {deviation:.3f})")


if __name__ == "__main__":
    main()
