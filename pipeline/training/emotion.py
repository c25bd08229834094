"""Train the emotion-conditioned system (Maity 2024) from the shards, in two phases, and load a trained one."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from pipeline.corpus.layouts import EMOTIONS
from pipeline.errors import UserError
from pipeline.features.landmarks import MOUTH
from pipeline.features.windows import from_int16
from pipeline.models.emotion import (
    FRAME_SAMPLES,
    NOISE_SIZE,
    EmotionalTalkingFace,
    Excerpt,
    Generator,
    Settings,
    heard_samples,
    mouth_mask,
)
from pipeline.models.perceptual import Perceptual, load_vgg19
from pipeline.parameters import Parameters
from pipeline.training.augmentation import augment as change_colours
from pipeline.training.checkpoints import load_network
from pipeline.training.data import ClipStore, Excerpts, about_crops, images_to_tensor, training_key
from pipeline.training.loop import fit
from pipeline.training.machine import fabric_for
from pipeline.training.phases import finished
from pipeline.training.skipped import SKIPPED, reason_skipped, skip

SYSTEM = "emotion"
WAVEFORM_RATE = 8000  # Hz, of the stored waveform
QUIET = 0.02  # the least peak that speech is taken to have: 34 dB below full scale
# The terms of the first phase (§4.3.3); the others need judges.
WARM_UP_TERMS = ("mouth", "perceptual")

# The paper's modules that a training's result depends on.
CODE = (
    "features/landmarks.py",
    "features/windows.py",
    *(f"models/{name}.py" for name in ("emotion", "gan", "perceptual")),
    *(f"training/{name}.py" for name in ("augmentation", "emotion")),
)


def train(p: Parameters, data: Path, losses: Path) -> None:
    """Train on the labelled clips of the training split; leaves checkpoints in data/end_to_end/emotion, or why there are none.

    First the mouth's and the perceptual loss alone, then the whole objective (§4.3.3), from the first phase's best generator:
    at its rate the errors of successive epochs differ by a tenth, and the last is any of them.
    The checkpoints of the first phase are in the folder `warm_up`, with that phase's losses.csv.
    """
    schedule, out = p.emotion, data / "end_to_end" / SYSTEM
    weights = dict(schedule.weights)
    first_weights = {name: weight if name in WARM_UP_TERMS else 0.0 for name, weight in weights.items()}
    if not any(first_weights.values()):
        raise UserError("params.yaml: emotion.weights: mouth and perceptual are both 0; there is nothing to begin with")
    store = ClipStore(data, "crops", "landmarks", "waveform_8000")
    store.clips = store.clips[store.clips["emotion"].isin(EMOTIONS)]
    if not store.ids("train"):
        skip(out, f"no training clip is labelled with an emotion ({', '.join(EMOTIONS)})", losses)
        return
    (out / SKIPPED).unlink(missing_ok=True)
    first, second = schedule.warm_up, schedule.adversarial
    first_losses = out / "warm_up" / "losses.csv"
    rates = {"generator": first.learning_rate}
    key = _phase(p, store, p.seed, first_weights, rates, first.epochs, out / "warm_up", first_losses)
    rates = {"generator": second.learning_rate.generator, "discriminators": second.learning_rate.discriminator}
    begun = (out / "warm_up" / "best.pt", f"{key}, {first.epochs} epochs")
    # Another seed, so that the second phase does not draw the first one's excerpts again.
    _phase(p, store, p.seed + 1, weights, rates, second.epochs, out, losses, begun)


def _phase(
    p: Parameters,
    store: ClipStore,
    seed: int,
    weights: dict[str, float],
    rates: dict[str, float],
    epochs: int,
    out: Path,
    losses: Path,
    begun: tuple[Path, str] | None = None,
) -> str:
    """One call of `fit`, unless this very training has been finished before; returns its key.

    begun: the checkpoint whose generator is trained on, and what that in turn depends on.
    """
    schedule = p.emotion
    settings = Settings(p.alignment.image_size, schedule.width)
    fabric, memory_format = fabric_for(p.training.device, p.training.precision)
    perceptual, origin = None, None
    if weights["perceptual"]:
        features, origin = load_vgg19(p.perceptual.vgg19, p.perceptual.width)
        # As the networks, in the training's arithmetic: in float32 they would take half as long again.
        perceptual = Perceptual(fabric.setup_module(features))
    description = {
        "system": SYSTEM,
        "settings": asdict(settings),
        "weights": weights,
        "perceptual": origin,
        "preprocessing": about_crops(p, store.data),
    }
    recipe = schedule.model_dump(include={"betas", "excerpt_frames", "batch", "augmentation"})
    recipe |= {"training": p.training.model_dump(), "rates": rates, "seed": seed, "begun": begun and begun[1]}
    key = training_key(description | recipe, store, CODE)
    if finished(out / "last.pt", key, epochs, losses):
        return key
    excerpts = EmotionExcerpts(
        store, schedule.excerpt_frames, seed, schedule.batch, p.corpus.fps, schedule.augmentation
    )
    torch.manual_seed(seed)
    system = EmotionalTalkingFace(settings, weights, perceptual)
    if begun:
        system.generator.load_state_dict(torch.load(begun[0], map_location="cpu", weights_only=True)["generator"])
    judges = [x for name, network in system.named_children() if name != "generator" for x in network.parameters()]
    networks = {"generator": [*system.generator.parameters()], "discriminators": judges}
    optimizers = {
        name: torch.optim.Adam(parameters, rates[name], tuple(schedule.betas), fused=True)
        for name, parameters in networks.items()
        if parameters
    }
    fit(fabric, memory_format, system, optimizers, excerpts, epochs, out, losses, description, key)
    return key


class EmotionExcerpts(Excerpts):
    """Excerpts with a photo of the same person from another of the training clips, whatever its emotion.

    Published: the photo is the excerpt's first frame, which shows the emotion already, so that the label says nothing new. One
    photo shall be shown in every emotion: it is the label that has to tell them apart. A person with one clip has its own.
    """

    def __init__(self, store: ClipStore, length: int, seed: int, batch: int, fps: float, augmentation: float):
        super().__init__(store, length, seed, batch)
        self.fps, self.augmentation = fps, augmentation
        self.of_person = store.clips.loc[self.train].groupby("subject").groups

    def excerpt(self, clip: str, span: slice, rng: np.random.Generator, augment: bool) -> Excerpt:
        """In training a share of `augmentation` of the excerpts is changed in its colours. In validation the photo is another
        clip's first frame."""
        n_frames, size = self.store.n_frames(clip), self.store.crops[clip].shape[1]
        # A batch has one length: a clip that is shorter than that is held at its last frame, in silence.
        n = self.length if augment else n_frames
        frames = np.minimum(span.start + np.arange(n), n_frames - 1)
        images = images_to_tensor(np.concatenate([self.photo(clip, rng, augment), self.store.crops[clip][frames]]))
        if augment and rng.random() < self.augmentation:
            images = change_colours(images, rng)
        mouths = torch.from_numpy(self.store.landmarks.landmarks(clip)[frames, MOUTH].mean(axis=1))
        waveform = prepared(self.store.waveform_8000[clip], self.fps)
        return Excerpt(
            photo=images[0],
            waveform=heard(waveform, span.start, span.start + n),
            emotion=torch.tensor(EMOTIONS.index(self.store.clips.at[clip, "emotion"])),
            noise=draw_noise(n, rng),
            frames=images[1:],
            mask=mouth_mask(mouths.float(), size),
        )

    def photo(self, clip: str, rng: np.random.Generator, augment: bool) -> np.ndarray:
        """uint8 (1, S, S, 3)."""
        others = [other for other in self.of_person.get(self.store.clips.at[clip, "subject"], []) if other != clip]
        crops = self.store.crops[others[rng.integers(len(others))] if others else clip]
        frame = int(rng.integers(len(crops))) if augment else 0
        return crops[frame : frame + 1]


def prepared(samples: np.ndarray, fps: float) -> np.ndarray:
    """The speech as the encoder takes it: stored int16 at 8 kHz → float32 in −1 … 1, without its mean, its peak 1 (published);
    what is quieter than any speech is not made as loud.

    The encoder steps by FRAME_SAMPLES a frame. On another clock than 25 frames a second the speech is stretched to that.
    """
    waveform = from_int16(samples)
    step = WAVEFORM_RATE / (FRAME_SAMPLES * fps)
    if step != 1:
        waveform = np.interp(np.arange(0, len(waveform), step), np.arange(len(waveform)), waveform).astype(np.float32)
    waveform = waveform - waveform.mean()
    return waveform / max(np.abs(waveform).max(), QUIET)


def heard(waveform: np.ndarray, start: int, stop: int) -> torch.Tensor:
    """What the frames start … stop − 1 are made of; beyond the speech's ends stands silence."""
    wanted = heard_samples(start, stop)
    before, after = max(0, -wanted.start), max(0, wanted.stop - len(waveform))
    inside = waveform[max(0, wanted.start) : max(0, wanted.stop)]
    return torch.from_numpy(np.pad(inside, (before, after))[: wanted.stop - wanted.start])


def draw_noise(n_frames: int, rng: np.random.Generator) -> torch.Tensor:
    """A new vector every frame, standard normal (§4.1.3): (n_frames, NOISE_SIZE)."""
    return torch.from_numpy(rng.standard_normal((n_frames, NOISE_SIZE), np.float32))


def load(folder: Path) -> tuple[Generator, dict]:
    """The generator of best.pt in a system's folder, in evaluation mode, and the checkpoint's description.

    Raises UserError where the file is missing or is not such a checkpoint, or its training was skipped.
    """
    if reason := reason_skipped(folder):
        raise UserError(f"{folder.name} could not be trained on this corpus: {reason}")
    return load_network(folder, f"end_to_end@{folder.name}", Generator, Settings)
