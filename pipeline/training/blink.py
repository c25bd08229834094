"""Train the blink network (Sinha 2020, §III-B) on the training clips' eyes, load a trained one, and let it blink."""

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor
from torch.optim import Optimizer

from pipeline.errors import UserError
from pipeline.features.alignment import mean_face
from pipeline.features.canonical import canonical_displacements
from pipeline.features.pca import fit_pca
from pipeline.models.blink import EYE_REGION, NOISE_SIZE, NOISE_STD, Blink, BlinkNet, Settings, Windows, spread
from pipeline.parameters import Parameters
from pipeline.training.checkpoints import load_network
from pipeline.training.data import ClipStore, training_key
from pipeline.training.loop import fit
from pipeline.training.machine import fabric_for

# Frames that the network runs before the first one that is kept: its state is then no longer the nought that it began with.
WARM_UP = 10
# Steps after which the learning rate is half of what it began with; after twice as many a third, and so on.
HALF_RATE = 500
# Windows from which the spread is estimated, and those by which a network is judged.
MANY, VALIDATION = 2048, 512

CODE = (
    *(f"features/{name}.py" for name in ("alignment", "canonical", "landmarks", "pca")),
    "models/blink.py",
    "training/blink.py",
)


def train(p: Parameters, data: Path, losses: Path) -> None:
    """Train on the training split; leaves checkpoints in data/blink."""
    schedule = p.blink
    weights = dict(schedule.weights)
    if not weights["mmd"]:
        raise UserError("params.yaml: blink.weights.mmd is 0, so that there is nothing to learn blinks from")
    # In bfloat16 distances between windows would be rounded to more than a blink; and the network is tiny.
    fabric, memory_format = fabric_for(p.training.device, "32-true")
    windows = EyeWindows(p, data)
    network = untrained_network(p, windows)
    description = {
        "system": "blink",
        "settings": asdict(network.settings),
        "preprocessing": {"fps": p.corpus.fps},
    }
    recipe = description | {"schedule": schedule.model_dump(exclude={"epochs"}), "seed": p.seed}
    key = training_key(recipe, windows.store, CODE)
    optimizer = torch.optim.Adam(network.parameters(), schedule.learning_rate, tuple(schedule.betas))
    optimizer.register_step_post_hook(partial(slow_down, schedule.learning_rate))
    system = Blink(network, weights)
    out = data / "blink"
    fit(
        fabric, memory_format, system, {"generator": optimizer}, windows, schedule.epochs, out, losses, description, key
    )


def slow_down(learning_rate: float, optimizer: Optimizer, *_) -> None:
    """Let the learning rate fall with the number of steps, which a resumed optimiser knows: it halves in HALF_RATE steps.

    At an even rate the number of blinks goes up and down by a third from epoch to epoch, as batches hold few.
    """
    steps = next(iter(optimizer.state.values()))["step"].item()
    for group in optimizer.param_groups:
        group["lr"] = learning_rate / (1 + steps / HALF_RATE)


def untrained_network(p: Parameters, windows: "EyeWindows") -> BlinkNet:
    """The network as training finds it: its last layer is the principal components of the training clips' displacements."""
    frames = np.concatenate(windows.train)
    mean, components, _ = fit_pca(frames, p.blink.variance)
    torch.manual_seed(p.seed)
    network = BlinkNet(Settings(units=p.blink.units, components=len(components)))
    network.start_from(mean, components, ((frames - mean) @ components.T).std(axis=0))
    return network


class EyeWindows:
    """Windows of `steps` frames of the eyes' motion, drawn from all of the training clips', and noise beside them."""

    def __init__(self, p: Parameters, data: Path):
        self.steps, self.batch, self.steps_per_epoch, self.seed = (
            p.blink.steps,
            p.blink.batch,
            p.blink.steps_per_epoch,
            p.seed,
        )
        self.store = ClipStore(data, "landmarks", "neutral")
        self.mean_neutral = mean_face(np.stack([self.store.neutral[clip] for clip in self.store.train]))
        self.train, held_out = (
            [self.displacements(clip) for clip in clips] for clips in (self.store.train, self.store.validation)
        )
        # A few clips held out have another rate of blinks than the corpus by chance, and networks would be chosen for that one.
        # Noise alone cannot recall what it was trained on: they are judged by all clips.
        self.judged = self.train + held_out
        if max(map(len, self.train)) < self.steps:
            raise UserError(f"params.yaml: blink.steps: no training clip has {self.steps} frames; use fewer")
        frames = np.concatenate(self.train)
        self.low, self.high = torch.from_numpy(frames.min(axis=0)), torch.from_numpy(frames.max(axis=0))
        self.unit = spread(self.real(self.train, MANY, np.random.default_rng(self.seed)))

    def displacements(self, clip: str) -> np.ndarray:
        """A clip's canonical displacements of the eye region, float32 (T, 44), in eye distances."""
        landmarks, neutral = self.store.landmarks.landmarks(clip), self.store.neutral[clip]
        moved = canonical_displacements(landmarks, neutral, self.mean_neutral)
        return moved[:, EYE_REGION].reshape(len(moved), -1).astype(np.float32)

    def __len__(self) -> int:
        return self.steps_per_epoch

    def epoch(self, number: int) -> Iterator[Windows]:
        rng = np.random.default_rng([self.seed, number])
        for _ in range(self.steps_per_epoch):
            yield self.windows(self.train, self.batch, rng)

    def validation(self) -> Iterator[Windows]:
        """The same windows and the same noise every time."""
        yield self.windows(self.judged, VALIDATION, np.random.default_rng(self.seed))

    def windows(self, clips: list[np.ndarray], n: int, rng: np.random.Generator) -> Windows:
        real = self.real(clips, n, rng)
        return Windows(real, draw_noise(n, WARM_UP + self.steps, rng), self.unit, self.low, self.high)

    def real(self, clips: list[np.ndarray], n: int, rng: np.random.Generator) -> Tensor:
        """n of the windows of clips (T, 44) each, every window as likely as another: (n, steps, 44)."""
        ends = np.cumsum([max(0, len(clip) - self.steps + 1) for clip in clips])
        chosen = rng.integers(ends[-1], size=n)
        which = np.searchsorted(ends, chosen, side="right")
        windows = [
            sliding_window_view(clips[k], self.steps, axis=0)[i - ends[k]].T for k, i in zip(which, chosen, strict=True)
        ]
        return torch.from_numpy(np.stack(windows))


def draw_noise(n: int, n_frames: int, rng: np.random.Generator) -> Tensor:
    """(n, n_frames, 10), independent and normal."""
    return NOISE_STD * torch.from_numpy(rng.standard_normal((n, n_frames, NOISE_SIZE), np.float32))


def load(folder: Path) -> tuple[BlinkNet, dict]:
    """The network of best.pt, in evaluation mode, and the checkpoint's description.

    Raises UserError where the file is missing or is not such a checkpoint.
    """
    return load_network(folder, "blink", BlinkNet, Settings)


@torch.inference_mode()
def blink_displacements(network: BlinkNet, n_frames: int, seed: int) -> np.ndarray:
    """Canonical displacements, float32 (n_frames, 68, 2) in eye distances: 0 but for eyes and brows."""
    region, _ = network(draw_noise(1, WARM_UP + n_frames, np.random.default_rng(seed)))
    return on_the_face(region[0, WARM_UP:].numpy())


def with_blinks(spoken: np.ndarray, blinks: np.ndarray) -> np.ndarray:
    """Blinks imposed on what speech moves (§III-B): canonical displacements in eye distances, (T, 68, 2) each."""
    return spoken + blinks


def on_the_face(region: np.ndarray) -> np.ndarray:
    """Displacements of the eye region (T, 44) among those of all points: (T, 68, 2)."""
    displacements = np.zeros((len(region), 68, 2), np.float32)
    displacements[:, EYE_REGION] = region.reshape(len(region), -1, 2)
    return displacements
