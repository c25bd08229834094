"""Is the emotion that a clip was to show the one that a classifier, trained on real clips, sees in it?

Real clips are the ceiling, chance is 1/6. A system that no emotion conditions is judged by the photo's: what it leaves of the
face's expression.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.corpus.layouts import EMOTIONS
from pipeline.corpus.shards import Shards
from pipeline.evaluation.generated import Compared
from pipeline.evaluation.intervals import bootstrap_interval


def recognised_emotions(
    judges: dict[str, Callable[[np.ndarray], str]], data: Path, systems: Sequence[Compared], emotions: pd.Series
) -> pd.DataFrame:
    """What is seen in every generated clip: a row each with system, clip, own, wanted, recognised.

    judges: by faces, frames uint8 (T, S, S, 3) → emotion. emotions: clip → its own, the photo's. Systems that emotions
    condition are judged in all of them, the others in the clip's own.
    """
    rows = []
    for system in systems:
        recognise = judges[system.faces]
        conditioned = {emotion: data / "synthesis" / system.folder / "emotions" / emotion for emotion in EMOTIONS}
        if conditioned[EMOTIONS[0]].exists():
            clips = {emotion: Shards(folder) for emotion, folder in conditioned.items()}
            jobs = [(clip, wanted, clips[wanted]) for clip in emotions.index for wanted in EMOTIONS]
        else:
            frames = system.frames(data)
            jobs = [(clip, emotions[clip], frames) for clip in emotions.index if emotions[clip] in EMOTIONS]
        rows += [(system.name, clip, emotions[clip], wanted, recognise(frames[clip])) for clip, wanted, frames in jobs]
    return pd.DataFrame(rows, columns=["system", "clip", "own", "wanted", "recognised"])


def confusion_matrix(wanted: Sequence[str], recognised: Sequence[str]) -> np.ndarray:
    """int (6, 6): how many clips that were to show one emotion (rows) are seen to show another (columns), as in EMOTIONS."""
    matrix = np.zeros((len(EMOTIONS), len(EMOTIONS)), int)
    for one, other in zip(wanted, recognised, strict=True):
        matrix[EMOTIONS.index(one), EMOTIONS.index(other)] += 1
    return matrix


def recall(confusion: np.ndarray) -> dict[str, float | None]:
    """Of the clips that were to show an emotion, the share in which it is recognised; None where there are none."""
    wanted = confusion.sum(axis=1)
    return {emotion: _rounded(confusion[k, k] / wanted[k]) if wanted[k] else None for k, emotion in enumerate(EMOTIONS)}


def summarise_emotions(table: pd.DataFrame) -> dict[str, dict]:
    """{system: accuracy, the same where the emotion is the photo's own and where it is another, recall by emotion}.

    table: as by `recognised_emotions`. A system that ignores the emotion it is told may still be right about the photo's own.
    """
    summary = {}
    for system, rows in table.groupby("system", sort=False):
        right, own = rows["wanted"] == rows["recognised"], rows["wanted"] == rows["own"]
        summary[system] = {
            "accuracy": _share(right),
            "accuracy_own_emotion": _share(right[own]),
            "accuracy_other_emotion": _share(right[~own]),
            "recall": recall(confusion_matrix(rows["wanted"], rows["recognised"])),
        }
    return summary


def emotion_details(table: pd.DataFrame, people: pd.Series, seed: int, samples: int) -> dict[str, dict]:
    """{system: number of clips, 95 % bootstrap interval of the accuracy over people and their clips, confusion matrix}.

    people: clip → whom it shows.
    """
    details = {}
    for system, rows in table.groupby("system", sort=False):
        by_clip = (rows["wanted"] == rows["recognised"]).groupby(rows["clip"]).mean()
        low, high = bootstrap_interval(by_clip.to_numpy(), samples, seed, people[by_clip.index])
        details[system] = {
            "clips": len(by_clip),
            "interval": [_rounded(low), _rounded(high)] if len(by_clip) > 1 else None,
            "confusion": confusion_matrix(rows["wanted"], rows["recognised"]).tolist(),
        }
    return details


def _share(values: pd.Series) -> float | None:
    return _rounded(values.mean()) if len(values) else None


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
