"""Train the blink network (Sinha 2020, §III-B) on the training clips' eyes, load a trained one, and let it blink."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from pipeline.errors import UserError
from pipeline.features.alignment import mean_face
from pipeline.features.blinks import blink_statistics, find_blinks
from pipeline.features.canonical import canonical_displacements
from pipeline.features.landmarks import eye_aspect_ratio
from pipeline.features.pca import fit_pca
from pipeline.models.blink import EYE_REGION, NOISE_SIZE, NOISE_STD, Blink, BlinkNet, Settings, Windows
from pipeline.models.blink import spread, window_mmd
from pipeline.parameters import Parameters
from pipeline.report.pictures import blink_distributions
from pipeline.training.checkpoints import load_checkpoint, not_of_this_system
from pipeline.training.data import ClipStore, training_key
from pipeline.training.loop import fit
from pipeline.training.machine import fabric_for

# Frames that the network runs before the first one that is kept: its state is then no longer the nought that it began with.
WARM_UP = 10
# Windows from which the spread is estimated and trained networks are judged, and those of a validation.
MANY, VALIDATION = 2048, 512
# Generated clips per real one in the statistics, so that they tremble less than the corpus's own.
REPEATS = 10

CODE = (
    *(f"features/{name}.py" for name in ("alignment", "canonical", "landmarks", "pca")),
    "models/blink.py",
    "training/blink.py",
)


def train(p: Parameters, data: Path, losses: Path) -> None:
    """Train on the training split; leaves in data/blink checkpoints, statistics.json and blinks.png."""
    schedule, out = p.blink, data / "blink"
    weights = dict(schedule.weights)
    if not weights["mmd"]:
        raise UserError("params.yaml: blink.weights.mmd is 0, so that there is nothing to learn blinks from")
    # In bfloat16 distances between windows would be rounded to more than a blink; and the network is tiny.
    fabric, memory_format = fabric_for(p.training.device, "32-true")
    store = ClipStore(data, "landmarks", "neutral")
    mean_neutral = mean_face(np.stack([store.neutral[clip] for clip in store.train]))
    windows = EyeWindows(store, mean_neutral, schedule.steps, schedule.batch, schedule.steps_per_epoch, p.seed)
    frames = np.concatenate(windows.train)
    mean, components, _ = fit_pca(frames, schedule.variance)
    settings = Settings(units=schedule.units, components=len(components))
    description = {
        "system": "blink",
        "settings": asdict(settings),
        "preprocessing": {
            "fps": p.corpus.fps,
            "transform": p.alignment.transform,
            "template": np.load(data / "alignment" / "template.npy").tolist(),
        },
    }
    torch.manual_seed(p.seed)
    network = BlinkNet(settings)
    network.start_from(mean, components, ((frames - mean) @ components.T).std(axis=0))
    untrained = windows.discrepancy(network)
    optimizers = {"generator": torch.optim.Adam(network.parameters(), schedule.learning_rate, tuple(schedule.betas))}
    key = training_key(description | {"schedule": schedule.model_dump(exclude={"epochs"}), "seed": p.seed}, store, CODE)
    system = Blink(network, weights)
    fit(fabric, memory_format, system, optimizers, windows, schedule.epochs, out, losses, description, key)
    trained, _ = load(out)
    compare(trained, windows, mean_neutral, untrained, p.corpus.fps, p.seed, out)


class EyeWindows:
    """Windows of `steps` frames of the eyes' motion, drawn from all of the training clips', and noise beside them."""

    def __init__(
        self, store: ClipStore, mean_neutral: np.ndarray, steps: int, batch: int, steps_per_epoch: int, seed: int
    ):
        self.steps, self.batch, self.steps_per_epoch, self.seed = steps, batch, steps_per_epoch, seed
        self.train, self.held_out = (
            [eye_displacements(store, clip, mean_neutral) for clip in clips] for clips in (store.train, store.validation)
        )
        if max(map(len, self.train)) < steps:
            raise UserError(f"params.yaml: blink.steps: no training clip has {steps} frames; use fewer")
        frames = np.concatenate(self.train)
        self.low, self.high = torch.from_numpy(frames.min(axis=0)), torch.from_numpy(frames.max(axis=0))
        self.unit = spread(self.real(self.train, MANY, np.random.default_rng(seed)))

    def __len__(self) -> int:
        return self.steps_per_epoch

    def epoch(self, number: int) -> Iterator[Windows]:
        rng = np.random.default_rng([self.seed, number])
        for _ in range(self.steps_per_epoch):
            yield self.windows(self.train, self.batch, rng)

    def validation(self) -> Iterator[Windows]:
        """The same windows and the same noise every time."""
        yield self.windows(self.held_out, VALIDATION, np.random.default_rng(self.seed))

    def windows(self, clips: list[np.ndarray], n: int, rng: np.random.Generator) -> Windows:
        real = self.real(clips, n, rng)
        return Windows(real, draw_noise(n, WARM_UP + self.steps, rng), self.unit, self.low, self.high)

    def real(self, clips: list[np.ndarray], n: int, rng: np.random.Generator) -> Tensor:
        """n of the windows of clips (T, 44) each, every window as likely as another: (n, steps, 44)."""
        ends = np.cumsum([max(0, len(clip) - self.steps + 1) for clip in clips])
        chosen = rng.integers(ends[-1], size=n)
        which = np.searchsorted(ends, chosen, side="right")
        windows = [sliding_window_view(clips[k], self.steps, axis=0)[i - ends[k]].T for k, i in zip(which, chosen)]
        return torch.from_numpy(np.stack(windows))

    @torch.inference_mode()
    def discrepancy(self, network: BlinkNet) -> float:
        """MMD² of what a network generates from the training windows."""
        batch = self.windows(self.train, MANY, np.random.default_rng(self.seed))
        return window_mmd(batch.real, network(batch.noise)[0][:, WARM_UP:], self.unit).item()


def eye_displacements(store: ClipStore, clip: str, mean_neutral: np.ndarray) -> np.ndarray:
    """A clip's canonical displacements of the eye region, float32 (T, 44), in eye distances as mean_neutral (68, 2) is."""
    moved = canonical_displacements(store.landmarks.landmarks(clip), store.neutral[clip], mean_neutral)
    return moved[:, EYE_REGION].reshape(len(moved), -1).astype(np.float32)


def draw_noise(n: int, n_frames: int, rng: np.random.Generator) -> Tensor:
    """(n, n_frames, 10), independent and normal."""
    return NOISE_STD * torch.from_numpy(rng.standard_normal((n, n_frames, NOISE_SIZE), np.float32))


def load(folder: Path) -> tuple[BlinkNet, dict]:
    """The network of best.pt, in evaluation mode, and the checkpoint's description.

    Raises UserError where the file is missing or is not such a checkpoint.
    """
    checkpoint = load_checkpoint(folder / "best.pt", "blink")
    description = checkpoint["description"]
    try:
        network = BlinkNet(Settings(**description["settings"]))
        network.load_state_dict(checkpoint["generator"])
    except Exception as error:
        raise not_of_this_system(folder / "best.pt", error) from error
    return network.eval(), description


@torch.inference_mode()
def blink_displacements(network: BlinkNet, n_frames: int, seed: int) -> np.ndarray:
    """Canonical displacements, float32 (n_frames, 68, 2) in eye distances: 0 but for eyes and brows."""
    region, _ = network(draw_noise(1, WARM_UP + n_frames, np.random.default_rng(seed)))
    return on_the_face(region[0, WARM_UP:].numpy())


def impose_blinks(displacements: np.ndarray, network: BlinkNet, seed: int) -> np.ndarray:
    """Canonical displacements of speech (T, 68, 2), in eye distances, with eyes that blink (§III-B)."""
    return displacements + blink_displacements(network, len(displacements), seed)


def on_the_face(region: np.ndarray) -> np.ndarray:
    """Displacements of the eye region (T, 44) among those of all points: (T, 68, 2)."""
    displacements = np.zeros((len(region), 68, 2), np.float32)
    displacements[:, EYE_REGION] = region.reshape(len(region), -1, 2)
    return displacements


def compare(
    network: BlinkNet,
    windows: EyeWindows,
    mean_neutral: np.ndarray,
    untrained: float,
    fps: float,
    seed: int,
    out: Path,
) -> None:
    """Blinks of generated and of training clips, all on the mean face (§V, Fig. 11): statistics.json and blinks.png in `out`.

    untrained: the network's MMD² before training.
    """
    lengths = [len(clip) for clip in windows.train] * REPEATS
    # Each is a video of its own, with a seed of its own.
    generated = [blink_displacements(network, n, seed * len(lengths) + k) for k, n in enumerate(lengths)]
    real = [on_the_face(clip) for clip in windows.train]
    ratios = {
        name: [eye_aspect_ratio(mean_neutral + displacements) for displacements in clips]
        for name, clips in {"ground_truth": real, "generated": generated}.items()
    }
    trained = windows.discrepancy(network)
    statistics = {name: rounded(blink_statistics(clips, fps)) for name, clips in ratios.items()}
    statistics["mmd"] = rounded({"trained": trained, "untrained": untrained, "factor": untrained / trained})
    (out / "statistics.json").write_text(json.dumps(statistics, indent=2) + "\n")
    blink_distributions(out / "blinks.png", {name: find_blinks(clips, fps) for name, clips in ratios.items()})
    a, b = statistics["generated"], statistics["ground_truth"]
    print(f"blinks per second {a['rate']} (corpus {b['rate']}), seconds each {a['duration']} (corpus {b['duration']})")


def rounded(values: dict[str, float | int]) -> dict[str, float | int | None]:
    """Four significant digits; JSON has no NaN, which becomes null."""
    return {name: None if np.isnan(value) else float(f"{value:.4g}") for name, value in values.items()}
