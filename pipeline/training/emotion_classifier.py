"""Train the emotion classifier on real clips, load a trained one, and let it judge a clip."""

import math
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Optimizer

from pipeline.corpus.layouts import EMOTIONS
from pipeline.models.emotion_classifier import Batch, EmotionClassifier, EmotionRecognition, Settings
from pipeline.parameters import Parameters
from pipeline.training.checkpoints import load_network
from pipeline.training.data import ClipStore, Excerpts, about_crops, images_to_tensor, training_key
from pipeline.training.loop import fit
from pipeline.training.machine import fabric_for
from pipeline.training.skipped import SKIPPED, reason_skipped, skip

CODE = ("models/emotion_classifier.py", "training/emotion_classifier.py")

# How far training clips are moved, for faces differ in shape and place, and a few subjects are all that is seen of them: shares
# of the crop's width, of scale (width and height on their own), and degrees.
SHIFT, SCALE, TURN = 0.04, 0.06, 4.0
GAMMA = 0.4  # exponents from e^−0.4 to e^0.4
# Steps after which the learning rate is half of what it began with: few clips judge the epochs, which have to be alike by then.
HALF_RATE = 150


def train(p: Parameters, data: Path, losses: Path) -> None:
    """Train on real clips of the training split; leaves checkpoints in data/emotion_classifier, or why there are none."""
    out, schedule = data / "emotion_classifier", p.emotion_classifier
    store = ClipStore(data, "crops")
    store.clips = store.clips[store.clips["emotion"].isin(EMOTIONS)]
    shown = set(store.clips.loc[store.ids("train"), "emotion"])
    if shown != set(EMOTIONS):
        found = ", ".join(sorted(shown)) or "no labelled emotion"
        skip(out, f"the training clips show {found}; all six are needed", losses)
        return
    (out / SKIPPED).unlink(missing_ok=True)
    fabric, memory_format = fabric_for(p.training.device, p.training.precision)
    settings = Settings(p.alignment.image_size, schedule.width, schedule.dropout)
    torch.manual_seed(p.seed)
    system = EmotionRecognition(EmotionClassifier(settings))
    optimizer = torch.optim.AdamW(system.parameters(), schedule.learning_rate, weight_decay=schedule.weight_decay)
    optimizer.register_step_post_hook(partial(slow_down, schedule.learning_rate))
    description = {
        "system": "emotion_classifier",
        "settings": asdict(settings),
        "preprocessing": about_crops(p, data),
    }
    recipe = description | {"schedule": schedule.model_dump(exclude={"epochs"}), "seed": p.seed}
    key = training_key(recipe, store, CODE)
    clips = LabelledClips(store, schedule.excerpt_frames, p.seed, schedule.batch)
    fit(fabric, memory_format, system, {"generator": optimizer}, clips, schedule.epochs, out, losses, description, key)


def slow_down(learning_rate: float, optimizer: Optimizer, *_) -> None:
    """Let the learning rate fall with the number of steps, which a resumed optimiser knows: it halves in HALF_RATE steps."""
    steps = next(iter(optimizer.state.values()))["step"].item()
    for group in optimizer.param_groups:
        group["lr"] = learning_rate / (1 + steps / HALF_RATE)


class LabelledClips(Excerpts):
    """A few frames from all over each clip, changed as other people's faces and cameras would have them, and its emotion."""

    def __init__(self, store: ClipStore, n_frames: int, seed: int, batch: int):
        super().__init__(store, None, seed, batch)
        self.frames = n_frames

    def excerpt(self, clip: str, span: slice, rng: np.random.Generator, augment: bool) -> Batch:
        crops = self.store.crops[clip]
        within = rng.random(self.frames) if augment else 0.5
        chosen = ((np.arange(self.frames) + within) * len(crops) / self.frames).astype(int)
        frames = images_to_tensor(crops[chosen])
        label = torch.tensor(EMOTIONS.index(self.store.clips.loc[clip, "emotion"]))
        return Batch(changed(frames, rng) if augment else frames, label)


def changed(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """The frames of a clip (T, 3, S, S), all mirrored or not, moved, stretched, turned and brightened alike."""
    turn = math.radians(rng.uniform(-TURN, TURN))
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    linear = rotation * (1 + rng.uniform(-SCALE, SCALE, 2))
    linear[0] *= rng.choice([-1, 1])
    place = np.column_stack([linear, rng.uniform(-2 * SHIFT, 2 * SHIFT, 2)])  # coordinates are −1 … 1 across the crop
    grid = F.affine_grid(torch.from_numpy(place).float()[None], frames[:1].shape, align_corners=False)
    moved = F.grid_sample(frames, grid.expand(len(frames), -1, -1, -1), padding_mode="border", align_corners=False)
    return ((moved + 1) / 2).clamp(0, 1) ** math.exp(rng.uniform(-GAMMA, GAMMA)) * 2 - 1


def load(folder: Path) -> tuple[EmotionClassifier, dict] | None:
    """The network of best.pt, in evaluation mode, and the checkpoint's description; None where training was skipped.

    Raises UserError where the file is missing or is not such a checkpoint.
    """
    if reason_skipped(folder):
        return None
    return load_network(folder, "emotion_classifier", EmotionClassifier, Settings)


@torch.inference_mode()
def recognise(network: EmotionClassifier, frames: np.ndarray) -> str:
    """The emotion, one of EMOTIONS, that a clip most likely shows: uint8 (T, S, S, 3)."""
    judged = images_to_tensor(frames[::3])  # frames between are hardly others
    return EMOTIONS[int(network(judged[None]).argmax())]
