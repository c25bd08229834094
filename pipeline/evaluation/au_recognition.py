"""How well Chen S.'s two pre-trained networks recognise action units in real clips (Table 4): F1 and accuracy by split."""

import math
from pathlib import Path

import numpy as np
import torch

from pipeline.blocks.images import images_to_tensor
from pipeline.evaluation.action_units import Counts, count, pooled, score
from pipeline.features.action_units.units import AUS as MEASURED
from pipeline.features.action_units.units import ActionUnits, without_missing
from pipeline.features.windows import mfcc_windows
from pipeline.papers.chen_s.action_units import (
    AUS,
    AUClassifier,
    AUClassifierSettings,
    AudioToAU,
    AudioToAUSettings,
    lower_face,
)
from pipeline.papers.chen_s.labels import au_labels
from pipeline.training.data import ClipStore
from pipeline.training.trained import load_network

SPLITS = ("train", "test_sentences", "test")


def recognition_scores(data: Path, faces: str) -> dict[str, dict[str, dict]]:
    """Of "audio_to_au" and "au_classifier", by split: {"AU10": {"f1", "accuracy"}, …, "mean_f1", "mean_accuracy", "absent",
    "frames"}.

    Counts are summed over a split's clips. An action unit that never occurs there has no figures and is named in "absent"; a
    split without clips is left out.
    """
    trained = data / "trained" / "chen_s"
    listener, _ = load_network(trained / "audio_to_au", AudioToAU, AudioToAUSettings)
    classifier, _ = load_network(trained / "au_classifier", AUClassifier, AUClassifierSettings)
    store = ClipStore(data, faces, "crops", "mfcc", "action_units")
    fps = store.preprocessing["fps"]

    def heard(clip: str) -> ActionUnits:
        return heard_units(listener, mfcc_windows(store.mfcc[clip], store.n_frames(clip), fps))

    def seen(clip: str) -> ActionUnits:
        return seen_units(classifier, store.crops[clip])

    return {
        name: {
            split: _figures(pooled([count(units_of(au_labels(store, clip)), recognised(clip)) for clip in clips]))
            for split in SPLITS
            if (clips := store.ids(split))
        }
        for name, recognised in {"audio_to_au": heard, "au_classifier": seen}.items()
    }


@torch.inference_mode()
def heard_units(network: AudioToAU, windows: np.ndarray) -> ActionUnits:
    """Action units by what is heard: MFCC windows of a clip, (T, 28, 12)."""
    return units_of((network(torch.from_numpy(windows)[None]).logits[0] > 0).numpy())


@torch.inference_mode()
def seen_units(network: AUClassifier, crops: np.ndarray) -> ActionUnits:
    """Action units by what is seen: a clip's crops, uint8 (T, S, S, 3), real or generated."""
    return units_of((network(lower_face(images_to_tensor(crops))) > 0).numpy())


def units_of(labels: np.ndarray) -> ActionUnits:
    """Labels of the five action units of speech (T, 5), NaN in missing frames, as ActionUnits; AU45 occurs in none."""
    presence = np.zeros((len(labels), len(MEASURED)), bool)
    presence[:, [MEASURED.index(au) for au in AUS]] = labels == 1
    ones = np.ones(len(labels), np.float32)
    return without_missing(presence.astype(np.float32), presence, ones, ~np.isnan(labels).any(axis=1))


def _figures(counts: Counts) -> dict:
    scores = score(counts)
    units = {
        f"AU{au}": {"f1": _rounded(scores.f1[au]), "accuracy": _rounded(scores.accuracy[au])}
        for au in AUS
        if au not in scores.absent
    }
    return units | {
        "mean_f1": _rounded(scores.mean_f1),
        "mean_accuracy": _rounded(scores.mean_accuracy),
        "absent": [f"AU{au}" for au in AUS if au in scores.absent],
        "frames": scores.n_frames,
    }


def _rounded(value: float) -> float | None:
    """Four digits; JSON has no NaN, which becomes null."""
    return None if math.isnan(value) else round(value, 4)
