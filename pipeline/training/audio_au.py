"""Train the system of Chen S. 2021 from the shards and its pre-trained parts, and load a trained one."""

import json
from dataclasses import asdict
from hashlib import file_digest
from pathlib import Path

import numpy as np
import torch
from torch.optim import Adam, Optimizer

from pipeline.errors import UserError
from pipeline.features.windows import mfcc_windows
from pipeline.models.action_units import AUS, occurrence_weights
from pipeline.models.audio_au import AudioAU, Excerpt, Generator, Settings
from pipeline.models.perceptual import Perceptual, load_vgg19
from pipeline.parameters import Parameters
from pipeline.training.action_units import au_labels, load_au_classifier, load_audio_to_au
from pipeline.training.checkpoints import load_network
from pipeline.training.data import ClipStore, Excerpts, about_crops, images_to_tensor, training_key
from pipeline.training.loop import fit
from pipeline.training.machine import fabric_for
from pipeline.training.phases import finished

SYSTEM = "audio_au"
# The paper's modules that a training's result depends on.
CODE = (
    "features/windows.py",
    *(f"models/{name}.py" for name in ("action_units", "audio_au", "gan", "perceptual")),
    *(f"training/{name}.py" for name in ("action_units", "audio_au")),
)
# Of the parameters: what the first phase's key holds in another form, or does not depend on.
ELSEWHERE = {
    "epochs": True,
    "weights": True,
    "learning_rate": {"discriminator"},
    "audio_to_au": True,
    "au_classifier": True,
}


def train(p: Parameters, data: Path, losses: Path) -> None:
    """Train without, then with the frame discriminator (§4.2); leaves checkpoints in data/end_to_end/audio_au.

    Those of the first phase are in its folder `warm_up`, with that phase's losses.csv.
    """
    schedule, weights = p.audio_au, dict(p.audio_au.weights)
    first_weights = weights | {"adversarial": 0.0}
    if not any(first_weights.values()):
        raise UserError(
            "params.yaml: audio_au.weights: all but adversarial are 0, so that there is nothing to begin with"
        )
    fabric, memory_format = fabric_for(p.training.device, p.training.precision)
    store = ClipStore(data, "crops", "mfcc", *(["action_units"] if weights["au"] else []))
    perceptual, origin = None, None
    if weights["perceptual"]:
        features, origin = load_vgg19(p.perceptual.vgg19, p.perceptual.width)
        # As the networks, in the training's arithmetic: in float32 it would take longer than they do.
        perceptual = Perceptual(fabric.setup_module(features))
    out = data / "end_to_end" / SYSTEM

    def description(system: AudioAU) -> dict:
        return {
            "system": SYSTEM,
            "settings": asdict(system.generator.settings),
            "weights": system.weights,
            "perceptual": origin,
            "preprocessing": about_crops(p, data),
        }

    def phase(system: AudioAU, seed: int, epochs: int, out: Path, losses: Path, key: str) -> None:
        excerpts = TalkingExcerpts(store, schedule.excerpt_frames, seed, schedule.batch, p.corpus.fps)
        about = description(system)
        fit(fabric, memory_format, system, optimizers(system, p), excerpts, epochs, out, losses, about, key)

    system = untrained(p, data, first_weights, perceptual)
    recipe = {"schedule": schedule.model_dump(exclude=ELSEWHERE), "training": p.training.model_dump(), "seed": p.seed}
    recipe |= {"parts": _digests(p, data)}
    first, epochs = out / "warm_up" / "last.pt", schedule.epochs.without_discriminator
    first_losses = first.with_name("losses.csv")
    key = training_key(description(system) | recipe, store, CODE)
    if not finished(first, key, epochs, first_losses):
        phase(system, p.seed, epochs, first.parent, first_losses, key)

    system = untrained(p, data, weights, perceptual)
    # Where the first phase ended, not its best epoch: "then add it to fine-tune" (§4.2), and the classifier is of that epoch.
    for name, state in torch.load(first, map_location="cpu", weights_only=True)["networks"].items():
        getattr(system, name).load_state_dict(state)
    after = {
        "first": key,
        "epochs": epochs,
        "weight": weights["adversarial"],
        "rate": schedule.learning_rate.discriminator,
    }
    # Another seed, so that the second phase does not draw the first one's excerpts again.
    phase(system, p.seed + 1, schedule.epochs.with_discriminator, out, losses, json.dumps(after))


def untrained(p: Parameters, data: Path, weights: dict[str, float], perceptual: Perceptual | None) -> AudioAU:
    """The networks as training finds them: those of action units are pre-trained.

    Raises UserError where one of them is needed and has not been.
    """
    module, classifier, au_weights = None, None, None
    if p.audio_au.au_features:
        module, _ = load_audio_to_au(data / "audio_to_au")
    if weights["au"]:
        classifier, about = load_au_classifier(data / "au_classifier")
        au_weights = occurrence_weights(torch.tensor(about["occurrence"]))
    torch.manual_seed(p.seed)
    settings = Settings(p.alignment.image_size, p.audio_au.width, asdict(module.settings) if module else None)
    generator = Generator(settings)
    if module:
        generator.audio_to_au.load_state_dict(module.state_dict())
    return AudioAU(generator, weights, perceptual, classifier, au_weights)


def optimizers(system: AudioAU, p: Parameters) -> dict[str, Optimizer]:
    """Adam, with the rates of those networks that are only fine-tuned (§4.2) apart."""
    rates, betas = p.audio_au.learning_rate, tuple(p.audio_au.betas)
    drawing, hearing = [], []
    for name, parameter in system.generator.named_parameters():
        (hearing if name.startswith("audio_to_au.") else drawing).append(parameter)
    groups = [{"params": drawing, "lr": rates.generator}, {"params": hearing, "lr": rates.audio_to_au}]
    chosen = {"generator": [group for group in groups if group["params"]]}
    judges = {"au_classifier": rates.au_classifier, "frame_discriminator": rates.discriminator}
    chosen["discriminators"] = [
        {"params": network.parameters(), "lr": judges[name]}
        for name, network in system.named_children()
        if name in judges
    ]
    return {name: Adam(groups, betas=betas, fused=True) for name, groups in chosen.items() if groups}


def _digests(p: Parameters, data: Path) -> dict[str, str]:
    """Checksums of the pre-trained parts that are used."""
    used = {"audio_to_au": p.audio_au.au_features, "au_classifier": p.audio_au.weights.au}
    digests = {}
    for part in (part for part, is_used in used.items() if is_used):
        with (data / part / "best.pt").open("rb") as file:
            digests[part] = file_digest(file, "sha256").hexdigest()
    return digests


class TalkingExcerpts(Excerpts):
    """Photo, speech, frames, and their action units where the store has them. Half are mirrored in training (the paper is
    silent), as in Kesim & Erzin."""

    def __init__(self, store: ClipStore, length: int, seed: int, batch: int, fps: float):
        super().__init__(store, length, seed, batch)
        self.fps = fps

    def excerpt(self, clip: str, span: slice, rng: np.random.Generator, augment: bool) -> Excerpt:
        n_frames, frames = self.store.n_frames(clip), np.arange(span.start, span.stop)
        if augment:
            # A batch has one length: a clip that is shorter is held at its last frame.
            frames = np.minimum(span.start + np.arange(self.length), n_frames - 1)
        crops = self.store.crops[clip][[0, *frames]]
        if augment and rng.integers(2):
            crops = crops[:, :, ::-1]
        images = images_to_tensor(crops)
        windows = mfcc_windows(self.store.mfcc[clip], n_frames, self.fps)[frames]
        labels = np.full((len(frames), len(AUS)), np.nan, np.float32)
        if "action_units" in self.store.sources:
            labels = au_labels(self.store, clip)[frames]
        return Excerpt(images[0], torch.from_numpy(windows), images[1:], torch.from_numpy(labels))


def load(folder: Path) -> tuple[Generator, dict]:
    """The generator of best.pt in `folder`, in evaluation mode, and the checkpoint's description.

    Raises UserError where the file is missing or is not such a checkpoint.
    """
    return load_network(folder, f"end_to_end@{SYSTEM}", Generator, Settings)
