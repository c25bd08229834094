"""How the blink network is trained (Sinha 2020, §III-B): on windows of the training clips' eyes, against noise."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor
from torch.optim import Adam

from pipeline.errors import UserError
from pipeline.features.alignment import mean_face
from pipeline.features.canonical import canonical_displacements
from pipeline.features.pca import fit_pca
from pipeline.papers.sinha.blink_net import (
    EYE_REGION,
    WARM_UP,
    Blink,
    BlinkNet,
    Settings,
    Windows,
    draw_noise,
    spread,
)
from pipeline.papers.sinha.parameters import Blink as Chosen
from pipeline.parameters import Parameters
from pipeline.training.data import ClipStore
from pipeline.training.initial import initial
from pipeline.training.recipe import Phase, Recipe

# At an even rate the number of blinks goes up and down by a third from epoch to epoch, as batches hold few.
HALF_RATE = 500
# Windows from which the spread is estimated, and those by which a network is judged.
MANY, VALIDATION = 2048, 512


def recipe(p: Parameters, data: Path) -> Recipe:
    """Blinks are learned from the MMD alone: without it there is nothing to learn them from."""
    chosen = p.sinha.blink
    if not chosen.weights.mmd:
        raise UserError("params.yaml: sinha.blink.weights.mmd is 0, so that there is nothing to learn blinks from")
    windows = eye_windows(p, data)
    begins = initial(p.sinha.init_from, "sinha", "blink")

    def begin() -> BlinkNet:
        if begins:
            return BlinkNet(Settings(chosen.units, begins.settings["components"]))
        return untrained_network(windows, p.seed)

    return Recipe(
        parameters="sinha.blink",
        seed=p.seed,
        store=windows.store,
        batches=windows,
        objective=lambda weights: Blink(begin()),
        settings=begin().settings,
        phases=(Phase(chosen.epochs, dict(chosen.weights), {"generator": chosen.learning_rate}),),
        knobs=chosen.model_dump(include={"variance", "steps", "batch", "steps_per_epoch", "betas", "averaging"}),
        optimizer=partial(Adam, betas=tuple(chosen.betas)),
        half_rate=HALF_RATE,
        averaging=chosen.averaging,
        # In bfloat16 distances between windows would be rounded to more than a blink; and the network is tiny.
        precision="32-true",
        initial=begins,
    )


def eye_windows(p: Parameters, data: Path) -> "EyeWindows":
    """The windows of the corpus in `data`."""
    return EyeWindows(ClipStore(data, p.sinha.faces, "landmarks", "neutral"), p.sinha.blink, p.seed)


def untrained_network(windows: "EyeWindows", seed: int) -> BlinkNet:
    """The network as training finds it: its last layer is the principal components of the training clips' displacements."""
    frames = np.concatenate(windows.train)
    mean, components, _ = fit_pca(frames, windows.chosen.variance)
    torch.manual_seed(seed)
    network = BlinkNet(Settings(units=windows.chosen.units, components=len(components)))
    network.start_from(mean, components, ((frames - mean) @ components.T).std(axis=0))
    return network


class EyeWindows:
    """Windows of `steps` frames of the eyes' motion, drawn from all of the training clips', and noise beside them."""

    def __init__(self, store: ClipStore, chosen: Chosen, seed: int):
        self.store, self.chosen, self.steps = store, chosen, chosen.steps
        self.mean_neutral = mean_face(np.stack([store.neutral[clip] for clip in store.train]))
        self.train, held_out = (
            [self.displacements(clip) for clip in clips] for clips in (store.train, store.validation)
        )
        # A few clips held out have another rate of blinks than the corpus by chance, and networks would be chosen for that one.
        # Noise alone cannot recall what it was trained on: they are judged by all clips.
        self.judged = self.train + held_out
        if max(map(len, self.train)) < self.steps:
            raise UserError(f"params.yaml: sinha.blink.steps: no training clip has {self.steps} frames; use fewer")
        frames = np.concatenate(self.train)
        self.low, self.high = torch.from_numpy(frames.min(axis=0)), torch.from_numpy(frames.max(axis=0))
        self.unit = spread(self.real(self.train, MANY, np.random.default_rng(seed)))

    def displacements(self, clip: str) -> np.ndarray:
        """A clip's canonical displacements of the eye region, float32 (T, 44), in eye distances."""
        landmarks, neutral = self.store.steadied(clip), self.store.neutral[clip]
        moved = canonical_displacements(landmarks, neutral, self.mean_neutral)
        return moved[:, EYE_REGION].reshape(len(moved), -1).astype(np.float32)

    def __len__(self) -> int:
        return self.chosen.steps_per_epoch

    def epoch(self, seed: int, number: int) -> Iterator[Windows]:
        rng = np.random.default_rng([seed, number])
        for _ in range(len(self)):
            yield self.windows(self.train, self.chosen.batch, rng)

    def validation(self, seed: int) -> Iterator[Windows]:
        """The same windows and the same noise every time."""
        yield self.windows(self.judged, VALIDATION, np.random.default_rng(seed))

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
