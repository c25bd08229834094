"""Train the emotion-conditioned system (Maity 2024) from the shards, in two phases, and load a trained one."""

import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from pipeline.errors import UserError
from pipeline.features.landmarks import MOUTH
from pipeline.features.windows import from_int16
from pipeline.models.emotion import (
    EMOTIONS,
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
from pipeline.training.loop import fit, write_losses
from pipeline.training.machine import fabric_for

SYSTEM = "emotion"
WAVEFORM_RATE = 8000  # Hz, of the stored waveform
# The terms of the first phase (§4.3.3); the others need judges.
WARM_UP_TERMS = ("mouth", "perceptual")

# The paper's modules that a training's result depends on.
CODE = (
    "features/landmarks.py",
    "features/windows.py",
    *(f"models/{name}.py" for name in ("emotion", "gan", "perceptual")),
    *(f"training/{name}.py" for name in ("augmentation", "emotion")),
)


class NoEmotions(UserError):
    """The corpus does not say which emotions its clips show: this system cannot be trained on it; all others can."""


def train(p: Parameters, data: Path, losses: Path, warm_up_losses: Path) -> None:
    """Train on the labelled clips of the training split; leaves checkpoints in data/end_to_end/emotion, those of the first
    phase in its folder warm_up.

    First the mouth's and the perceptual loss alone, then the whole objective (§4.3.3), from the first phase's best generator.
    Raises NoEmotions where no training clip is labelled.
    """
    schedule, out = p.emotion, data / "end_to_end" / SYSTEM
    weights = dict(schedule.weights)
    first_weights = {name: weight if name in WARM_UP_TERMS else 0.0 for name, weight in weights.items()}
    if not any(first_weights.values()):
        raise UserError(
            "params.yaml: emotion.weights: mouth and perceptual are both 0, so that nothing can be begun with"
        )
    store = ClipStore(data, "crops", "landmarks", "waveform_8000")
    labels = emotion_labels(store)
    store.clips = store.clips.loc[list(labels)]
    excerpts = EmotionExcerpts(
        store, schedule.excerpt_frames, p.seed, schedule.batch, labels, p.corpus.fps, schedule.augmentation
    )
    warm_up, adversarial = schedule.warm_up, schedule.adversarial
    rates = {"generator": warm_up.learning_rate}
    key = _phase(p, excerpts, first_weights, rates, warm_up.epochs, out / "warm_up", warm_up_losses)
    rates = {
        "generator": adversarial.learning_rate.generator,
        "discriminators": adversarial.learning_rate.discriminator,
    }
    begun = (out / "warm_up" / "best.pt", f"{key}, {warm_up.epochs} epochs")
    _phase(p, excerpts, weights, rates, adversarial.epochs, out, losses, begun)


def _phase(
    p: Parameters,
    excerpts: "EmotionExcerpts",
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
    schedule, store = p.emotion, excerpts.store
    settings = Settings(p.alignment.image_size, schedule.width)
    features, origin = load_vgg19(p.perceptual.vgg19, p.perceptual.width)
    description = {
        "system": SYSTEM,
        "settings": asdict(settings),
        "weights": weights,
        "perceptual": dict(origin),
        "preprocessing": about_crops(p, store.data),
    }
    recipe = schedule.model_dump(include={"betas", "excerpt_frames", "batch", "augmentation"})
    recipe |= {"rates": rates, "seed": p.seed, "begun": begun and begun[1]}
    key = training_key(description | recipe, store, CODE)
    if (rows := losses_of_finished(out, key, epochs)) is not None:
        write_losses(losses, rows)
        return key
    torch.manual_seed(p.seed)
    system = EmotionalTalkingFace(settings, weights, Perceptual(features))
    if begun:
        system.generator.load_state_dict(torch.load(begun[0], map_location="cpu", weights_only=True)["generator"])
    judges = [x for name, network in system.named_children() if name != "generator" for x in network.parameters()]
    networks = {"generator": [*system.generator.parameters()], "discriminators": judges}
    optimizers = {
        name: torch.optim.Adam(parameters, rates[name], tuple(schedule.betas), fused=True)
        for name, parameters in networks.items()
        if parameters
    }
    fabric, memory_format = fabric_for(p.training.device, p.training.precision)
    fit(fabric, memory_format, system, optimizers, excerpts, epochs, out, losses, description, key)
    return key


def losses_of_finished(out: Path, key: str, epochs: int) -> list[dict] | None:
    """The losses of this very training, if it has all its epochs behind it; else None."""
    if not all((out / name).exists() for name in ("best.pt", "last.pt")):
        return None
    saved = torch.load(out / "last.pt", map_location="cpu", weights_only=True)
    return saved["state"]["losses"] if saved["key"] == key and saved["state"]["epoch"] == epochs else None


def emotion_labels(store: ClipStore) -> dict[str, int]:
    """The index in EMOTIONS of each clip whose emotion is one of them. Raises NoEmotions where no training clip's is."""
    clips = store.clips[store.clips["emotion"].isin(EMOTIONS)]
    if not (clips["split"] == "train").any():
        raise NoEmotions(
            f"no training clip is labelled with an emotion ({', '.join(EMOTIONS)}), which the system `{SYSTEM}` needs;"
            " CREMA-D's are, and a folder's where its clips.csv has the column emotion"
        )
    return {clip: EMOTIONS.index(emotion) for clip, emotion in clips["emotion"].items()}


def leave_untrained(out: Path, *losses: Path) -> None:
    """What a corpus without labels leaves, so that the stages after this one find that there is nothing: no checkpoint, not
    even an older one, and no losses."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for path in losses:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("epoch,validation_error\n")


class EmotionExcerpts(Excerpts):
    """Excerpts with a photo of the same person from another of the training clips, whatever its emotion.

    Published: the photo is the excerpt's first frame, which shows the emotion already, so that the label says nothing new. One
    photo shall be shown in every emotion: it is the label that has to tell them apart. A person with one clip has its own.
    """

    def __init__(
        self,
        store: ClipStore,
        length: int,
        seed: int,
        batch: int,
        labels: dict[str, int],
        fps: float,
        augmentation: float,
    ):
        super().__init__(store, length, seed, batch)
        self.labels, self.fps, self.augmentation = labels, fps, augmentation
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
            emotion=torch.tensor(self.labels[clip]),
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
    """The speech as the encoder takes it: stored int16 at 8 kHz → float32 in −1 … 1, without its mean, its peak 1 (published).

    The encoder steps by FRAME_SAMPLES a frame. On another clock than 25 frames a second the speech is stretched to that.
    """
    waveform = from_int16(samples)
    step = WAVEFORM_RATE / (FRAME_SAMPLES * fps)
    if step != 1:
        waveform = np.interp(np.arange(0, len(waveform), step), np.arange(len(waveform)), waveform).astype(np.float32)
    waveform = waveform - waveform.mean()
    return waveform / max(np.abs(waveform).max(), 1e-6)


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

    Raises UserError where the file is missing or is not such a checkpoint.
    """
    return load_network(folder, f"end_to_end@{folder.name}", Generator, Settings)
