"""Generated blinks beside the corpus's own (Sinha 2020, §V and Fig. 11)."""

from pathlib import Path

import numpy as np
import torch

from pipeline.evaluation.distributions import wasserstein
from pipeline.features.blinks import Blinks, blink_statistics, find_blinks
from pipeline.features.landmarks import eye_aspect_ratio
from pipeline.papers.sinha.blink import VALIDATION, EyeWindows, eye_windows, untrained_network
from pipeline.papers.sinha.blink_net import WARM_UP, BlinkNet, Settings, blink_displacements, window_mmd
from pipeline.parameters import Parameters
from pipeline.training.trained import load_network

# Generated clips per real one, so that chance in them adds little to chance in the corpus.
REPEATS = 10


def compare_blinks(p: Parameters, data: Path) -> tuple[dict[str, dict], dict[str, Blinks]]:
    """Blinks of training clips, in landmarks as they were found, and of generated ones on the mean face, as long clip by clip.

    Returns figures (`blink_statistics` of `ground_truth` and `generated`; under `distance` the Wasserstein-1 distance of their
    durations and of their intervals, in seconds; under `mmd` the MMD² of the network, of the untrained one, and their ratio),
    and the blinks themselves.
    """
    windows = eye_windows(p, data)
    store = windows.store
    network, _ = load_network(data / "trained" / "sinha" / "blink", BlinkNet, Settings)
    fps = store.preprocessing["fps"]
    lengths = [len(clip) for clip in windows.train] * REPEATS
    # Each is a video of its own, with a seed of its own.
    generated = [blink_displacements(network, n, p.seed * len(lengths) + k) for k, n in enumerate(lengths)]
    ratios = {
        "ground_truth": [eye_aspect_ratio(store.landmarks.landmarks(clip)) for clip in store.train],
        "generated": [eye_aspect_ratio(windows.mean_neutral + displacements) for displacements in generated],
    }
    trained, untrained = (discrepancy(net, windows, p.seed) for net in (network, untrained_network(windows, p.seed)))
    mmd = {"trained": trained, "untrained": untrained, "factor": untrained / trained}
    blinks = {name: find_blinks(clips, fps) for name, clips in ratios.items()}
    real, made = blinks.values()
    distance = {
        "duration": wasserstein(made.durations, real.durations),
        "interval": wasserstein(made.intervals, real.intervals),
    }
    statistics = {name: blink_statistics(clips, fps) for name, clips in ratios.items()}
    figures = statistics | {"distance": distance, "mmd": mmd}
    return {name: {key: _rounded(value) for key, value in group.items()} for name, group in figures.items()}, blinks


@torch.inference_mode()
def discrepancy(network: BlinkNet, windows: EyeWindows, seed: int) -> float:
    """MMD² of what a network generates from the training windows."""
    batch = windows.windows(windows.train, VALIDATION, np.random.default_rng(seed))
    return window_mmd(batch.real, network(batch.noise)[0][:, WARM_UP:], windows.unit).item()


def _rounded(value: float | int) -> float | int | None:
    """Four significant digits, counts whole; JSON has no NaN, which becomes null."""
    if isinstance(value, int):
        return value
    return None if np.isnan(value) else float(f"{value:.4g}")
