"""The built-in estimator of action units against real OpenFace output, on GRID clips that it was not fitted to.

    python -m benchmarks.action_units [GRID_ROOT OPENFACE_ROOT] [--workers 2]

The folders are those of `pipeline.features.action_units.calibrate`: GRID_ROOT/s1/NAME.mpg, OPENFACE_ROOT/s1/NAME.csv. Two
tables: the other clips of the speaker that it was fitted to, and other speakers. `present` is the share of frames in which
OpenFace has the unit; `always` the F1 of calling it present in every frame; `own` that of OpenFace's intensity with its best
threshold on the fitted clips, which is as much of its presence as an intensity can tell; `r` is with OpenFace's intensity.

Without folders: on clips of the demo corpus, whose faces were driven by known landmarks. What the estimator says of those
stands in OpenFace's place, so that the ratio is what it keeps of its F1 on landmarks that have to be found.
"""

import argparse
import math
from pathlib import Path

import numpy as np

from benchmarks.project import DEMO, videos
from pipeline.corpus.tables import read_landmarks
from pipeline.corpus.workers import each
from pipeline.errors import ClipRejected, UserError, one_line_errors
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
from pipeline.features.tracking import detect_video


def rendered(item: tuple[Path, np.ndarray]) -> Example:
    """A demo clip: the landmarks that are found in it, and the action units of those (T, 68, 2) that drove it."""
    video, driven = item
    faces = detect_video(video, FPS, "dlib", redetect_every=1, max_missing=0.5)
    found = np.where(faces.has_face[:, None, None], faces.landmarks, np.nan)
    return Example(found, landmark_action_units(driven, FPS))


def rendered_examples(root: Path, n: int, workers: int) -> list[Example]:
    """n clips of the demo corpus. Raises UserError where it is missing, or no face is found in any of them."""
    clips = dict.fromkeys(videos(root, n))
    truth = read_landmarks(root / "truth" / "landmarks.parquet")
    results = each(rendered, [(clip, truth[clip.stem]) for clip in clips], "landmarks", workers)
    examples = [result for _, result in results if not isinstance(result, ClipRejected)]
    if not examples:
        raise UserError(f"{root}: no clip in which a face is found")
    return examples


def own_thresholds(units: list[ActionUnits]) -> np.ndarray:
    """The intensities from which on presence is told best, (6,), by the truth of the clips that were fitted to."""
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


def read_truth(table: Path) -> ActionUnits:
    """All rows of one of OpenFace's tables."""
    return read_openface(table, sum(1 for _ in table.open()) - 1, FPS)


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.action_units", description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, help="of SPEAKER/NAME.mpg, and of SPEAKER/NAME.csv")
    parser.add_argument("--workers", type=int, default=1, help="processes (default: %(default)s)")
    parser.add_argument("--demo", type=Path, default=DEMO, help="the demo corpus (default: data/demo_corpus)")
    parser.add_argument("--clips", type=int, default=24, help="of the demo corpus (default: %(default)s)")
    arguments = parser.parse_args()
    if len(arguments.folders) not in (0, 2):
        parser.error("GRID_ROOT and OPENFACE_ROOT go together")
    if arguments.folders:
        fitted, same, others = [], [], []
        for pair in list_examples(*arguments.folders):
            speaker, name = pair[1].parent.name, pair[1].stem
            (fitted if is_calibration_clip(speaker, name) else same if speaker == SPEAKER else others).append(pair)
        thresholds = own_thresholds([read_truth(table) for _, table in fitted])
        sets = {
            label: read_examples(pairs, arguments.workers)
            for label, pairs in ((f"other clips of {SPEAKER}", same), ("other speakers", others))
        }
    else:
        sets = {"demo corpus": rendered_examples(arguments.demo, arguments.clips, arguments.workers)}
        thresholds = own_thresholds([example.truth for example in sets["demo corpus"]])
    for label, examples in sets.items():
        print(f"\n{label}: {len(examples)} clips, {sum(len(e.landmarks) for e in examples)} frames")
        ours, theirs, deviation = compare(examples, thresholds)
    figures = f"ours {ours.mean_f1:.3f}, alternative {theirs.mean_f1:.3f} mean F1"
    print(f"\naction_units: ratio {ours.mean_f1 / theirs.mean_f1:.2f} ({figures}; deviation {deviation:.3f})")


if __name__ == "__main__":
    main()
