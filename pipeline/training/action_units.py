"""Train Chen S.'s Audio-to-AU module and AU classifier on the shards' action units, and load the trained ones."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.errors import UserError
from pipeline.features.windows import mfcc_windows
from pipeline.models.action_units import (
    AUS,
    AUClassifier,
    AUClassifierRecognition,
    AUClassifierSettings,
    AudioToAU,
    AudioToAURecognition,
    AudioToAUSettings,
    Faces,
    Recognition,
    Speech,
    lower_face,
    occurrence_weights,
)
from pipeline.parameters import AUClassifierTraining, AudioToAUTraining, Parameters
from pipeline.training.checkpoints import load_network
from pipeline.training.data import ClipStore, Excerpts, about_crops, images_to_tensor, training_key
from pipeline.training.loop import fit
from pipeline.training.machine import fabric_for

# The paper's modules that a training's result depends on.
CODE = ("features/windows.py", "models/action_units.py", "training/action_units.py")

# How far the classifier's training images are moved. F1 of AU10, 25 and 26 in people held out of the training, mean of three
# seeds: 0.68 without, 0.78 with; moved farther they gain nothing more.
SHIFT = 0.05  # of the image's side
SCALE = 0.1


def train_audio_to_au(p: Parameters, data: Path, losses: Path) -> None:
    """Train on the training split; leaves checkpoints in data/audio_to_au."""
    schedule = p.audio_au.audio_to_au
    store = ClipStore(data, "landmarks", "mfcc", "action_units")
    excerpts = SpeechExcerpts(store, schedule.excerpt_frames, p.seed, schedule.batch, p.corpus.fps)
    torch.manual_seed(p.seed)
    network = AudioToAU(AudioToAUSettings(p.audio_au.width))
    network.start_from(np.concatenate([store.mfcc[clip] for clip in store.train]))
    system = AudioToAURecognition(network, occurrence_weights(excerpts.rates))
    _train(system, excerpts, schedule, {"fps": p.corpus.fps}, p, data / "audio_to_au", losses)


def train_au_classifier(p: Parameters, data: Path, losses: Path) -> None:
    """Train on the training split; leaves checkpoints in data/au_classifier."""
    schedule = p.audio_au.au_classifier
    store = ClipStore(data, "crops", "action_units")
    excerpts = FaceExcerpts(store, schedule.frames, p.seed, schedule.batch)
    torch.manual_seed(p.seed)
    network = AUClassifier(AUClassifierSettings(p.alignment.image_size, p.audio_au.width))
    system = AUClassifierRecognition(network, occurrence_weights(excerpts.rates))
    _train(system, excerpts, schedule, about_crops(p, data), p, data / "au_classifier", losses)


def _train(
    system: Recognition,
    excerpts: "LabelledExcerpts",
    schedule: AudioToAUTraining | AUClassifierTraining,
    preprocessing: dict,
    p: Parameters,
    out: Path,
    losses: Path,
) -> None:
    found = ", ".join(f"AU{au} {rate:.1%}" for au, rate in zip(AUS, excerpts.rates.tolist(), strict=True))
    print(f"{out.name}: share of the training frames in which each occurs: {found}")
    description = {
        "system": out.name,
        "settings": asdict(system.generator.settings),
        "preprocessing": preprocessing,
        "occurrence": excerpts.rates.tolist(),
    }
    how = schedule.model_dump(exclude={"epochs"}) | {"betas": p.audio_au.betas, "seed": p.seed}
    key = training_key(description | {"schedule": how}, excerpts.store, CODE)
    optimizer = torch.optim.Adam(
        system.generator.parameters(), schedule.learning_rate, tuple(p.audio_au.betas), fused=True
    )
    fabric, memory_format = fabric_for(p.training.device, p.training.precision)
    optimizers = {"generator": optimizer}
    fit(fabric, memory_format, system, optimizers, excerpts, schedule.epochs, out, losses, description, key)


def au_labels(store: ClipStore, clip: str) -> np.ndarray:
    """A clip's action units in the order of AUS, float32 (T, 5): 1 where one occurs, 0 where not, NaN in missing frames."""
    units = store.action_units[clip]
    labels = np.stack([units[f"AU{au:02d}_c"] for au in AUS], axis=1).astype(np.float32)
    labels[np.isnan([units[f"AU{au:02d}_r"] for au in AUS]).any(axis=0)] = np.nan
    return labels


class LabelledExcerpts(Excerpts):
    """Excerpts that know their clips' action units, and the rate at which each occurs in the training split: `rates` (5,)."""

    def __init__(self, store: ClipStore, length: int, seed: int, batch: int):
        super().__init__(store, length, seed, batch)
        self.labels = {clip: au_labels(store, clip) for clip in [*self.train, *store.validation]}
        frames = np.concatenate([self.labels[clip] for clip in self.train])
        labelled = frames[~np.isnan(frames).any(axis=1)]
        if not len(labelled):
            raise UserError("data/action_units: no training clip has a frame with action units, so none can be learned")
        self.rates = torch.from_numpy(labelled.mean(axis=0))


class SpeechExcerpts(LabelledExcerpts):
    """MFCC windows and action units of consecutive frames. A clip that is shorter goes on in silence, without labels."""

    def __init__(self, store: ClipStore, length: int, seed: int, batch: int, fps: float):
        super().__init__(store, length, seed, batch)
        self.fps = fps

    def excerpt(self, clip: str, span: slice, rng: np.random.Generator, augment: bool) -> Speech:
        stop = span.start + self.length if augment else span.stop
        windows = mfcc_windows(self.store.mfcc[clip], stop, self.fps)[span.start :]
        labels = np.full((len(windows), len(AUS)), np.nan, np.float32)
        labels[: span.stop - span.start] = self.labels[clip][span]
        return Speech(torch.from_numpy(windows), torch.from_numpy(labels))


class FaceExcerpts(LabelledExcerpts):
    """Lower faces and their action units: in training, frames from anywhere in the clip, all moved alike and half of the time
    mirrored; neighbouring frames are too much alike to be a batch."""

    def excerpt(self, clip: str, span: slice, rng: np.random.Generator, augment: bool) -> Faces:
        frames = rng.integers(self.store.n_frames(clip), size=self.length) if augment else span
        images = images_to_tensor(self.store.crops[clip][frames])
        if augment:
            images = moved(images, rng)
            if rng.integers(2):
                images = images.flip(-1)
        return Faces(lower_face(images), torch.from_numpy(self.labels[clip][frames]))


def moved(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Images (T, 3, S, S), all shifted by up to SHIFT of their side and scaled by up to SCALE; edges go on beyond them.

    Action units are relative to the clip's own rest, and where chins rest differs between people by some three times what
    counts as a drop: a classifier that goes by the place calls the mouths of strangers always, or never, open.
    """
    across, down = 2 * rng.uniform(-SHIFT, SHIFT, size=2)  # a side is 2 long
    scale = 1 + rng.uniform(-SCALE, SCALE)
    place = torch.tensor([[scale, 0, across], [0, scale, down]], dtype=images.dtype).expand(len(images), 2, 3)
    grid = F.affine_grid(place, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def load_audio_to_au(folder: Path) -> tuple[AudioToAU, dict]:
    """The module of best.pt in `folder`, in evaluation mode, and the checkpoint's description.

    Raises UserError where the file is missing or is not such a checkpoint.
    """
    return load_network(folder, "audio_to_au", AudioToAU, AudioToAUSettings)


def load_au_classifier(folder: Path) -> tuple[AUClassifier, dict]:
    """The classifier of best.pt in `folder`, as above."""
    return load_network(folder, "au_classifier", AUClassifier, AUClassifierSettings)
