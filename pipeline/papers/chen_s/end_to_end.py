"""How the system of Chen S. 2021 is trained: without, then with the frame discriminator (§4.2)."""

from copy import deepcopy
from dataclasses import asdict
from functools import partial
from hashlib import file_digest
from pathlib import Path

import numpy as np
import torch
from torch.optim import Adam

from pipeline.blocks.composition import terms_with
from pipeline.blocks.images import images_to_tensor
from pipeline.blocks.perceptual import load_vgg19
from pipeline.features.windows import mfcc_windows
from pipeline.papers.chen_s.action_units import (
    AUS,
    AUClassifier,
    AUClassifierSettings,
    AudioToAU,
    AudioToAUSettings,
    occurrence_weights,
)
from pipeline.papers.chen_s.labels import au_labels
from pipeline.papers.chen_s.networks import Excerpt, Generator, Settings, TalkingHead
from pipeline.parameters import Parameters
from pipeline.training.augmentation import augment_some
from pipeline.training.data import WATCHED, ClipStore, Excerpts
from pipeline.training.initial import initial
from pipeline.training.recipe import Phase, Recipe
from pipeline.training.trained import WEIGHTS, load_network


def recipe(p: Parameters, data: Path) -> Recipe:
    """It begins with the pre-trained networks of action units, where it uses them (§4.2).

    Raises UserError where one of them is needed and has not been trained.
    """
    chosen, parts = p.chen_s.end_to_end, data / "trained" / "chen_s"
    whole, digests = terms_with(chosen.compose, dict(chosen.weights)), {}
    store = ClipStore(data, p.chen_s.faces, "crops", "mfcc", *(["action_units"] if whole["au"] else []))
    listener, classifier, au_weights, vgg19, origin = None, None, None, None, None
    begins = initial(p.chen_s.init_from, "chen_s", "end_to_end")
    # A generator that goes on from another has an Audio-to-AU module already, of which its other layers have learned.
    if chosen.au_features and not begins:
        listener, _ = load_network(parts / "audio_to_au", AudioToAU, AudioToAUSettings)
        digests["audio_to_au"] = digest(parts / "audio_to_au" / WEIGHTS)
    if whole["au"]:
        classifier, about = load_network(parts / "au_classifier", AUClassifier, AUClassifierSettings)
        au_weights = occurrence_weights(torch.tensor(about["occurrence"]))
        digests["au_classifier"] = digest(parts / "au_classifier" / WEIGHTS)
    if whole["perceptual"]:
        vgg19, origin = load_vgg19(p.perceptual.vgg19, p.perceptual.width)
    of_listener = (
        asdict(listener.settings if listener else AudioToAUSettings(p.chen_s.width)) if chosen.au_features else None
    )
    settings = Settings(store.preprocessing["image_size"], p.chen_s.width, of_listener, chosen.compose)

    def objective(weights: dict[str, float]) -> TalkingHead:
        generator = Generator(settings)
        if listener:
            generator.audio_to_au.load_state_dict(listener.state_dict())
        return TalkingHead(generator, weights, vgg19, deepcopy(classifier), au_weights)

    # The networks that are only fine-tuned have rates of their own (§4.2).
    rates = {
        "generator": chosen.learning_rate.generator,
        "generator.audio_to_au": chosen.learning_rate.audio_to_au,
        "au_classifier": chosen.learning_rate.au_classifier,
    }
    judged = rates | {"frame_discriminator": chosen.learning_rate.discriminator}
    return Recipe(
        parameters="chen_s.end_to_end",
        seed=p.seed,
        store=store,
        batches=TalkingExcerpts(store, chosen.excerpt_frames, chosen.batch, chosen.augmentation),
        objective=objective,
        settings=settings,
        phases=(
            Phase(chosen.epochs.without_discriminator, whole | {"adversarial": 0.0}, rates),
            # From where the first ended, not its best epoch: "then add it to fine-tune" (§4.2), and the classifier is of that
            # epoch.
            Phase(chosen.epochs.with_discriminator, whole, judged, start="last"),
        ),
        knobs=chosen.model_dump(include={"excerpt_frames", "batch", "augmentation", "averaging"})
        | {"betas": p.chen_s.betas},
        about={"pretrained": digests, "perceptual": origin},
        optimizer=partial(Adam, betas=tuple(p.chen_s.betas), fused=True),
        keep="last",
        averaging=chosen.averaging,
        initial=begins,
    )


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


class TalkingExcerpts(Excerpts):
    """Photo, speech, frames, and their action units where the store has them. In training half are mirrored, as in Kesim &
    Erzin; the paper does not say. augmentation: the share of the excerpts whose colours are changed."""

    validated = WATCHED

    def __init__(self, store: ClipStore, length: int, batch: int, augmentation: float = 0):
        super().__init__(store, length, batch)
        self.fps, self.augmentation = store.preprocessing["fps"], augmentation

    def excerpt(self, clip: str, span: slice, rng: np.random.Generator, augment: bool) -> Excerpt:
        n_frames, frames = self.store.n_frames(clip), np.arange(span.start, span.stop)
        if augment:
            # A batch has one length: a clip that is shorter is held at its last frame.
            frames = np.minimum(span.start + np.arange(self.length), n_frames - 1)
        crops = self.store.crops[clip][[0, *frames]]
        if augment and rng.integers(2):
            crops = crops[:, :, ::-1]
        images = images_to_tensor(crops)
        if augment and self.augmentation:
            images = augment_some(images, self.augmentation, rng)
        windows = mfcc_windows(self.store.mfcc[clip], n_frames, self.fps)[frames]
        labels = np.full((len(frames), len(AUS)), np.nan, np.float32)
        if "action_units" in self.store.sources:
            labels = au_labels(self.store, clip)[frames]
        return Excerpt(images[0], torch.from_numpy(windows), images[1:], torch.from_numpy(labels))
