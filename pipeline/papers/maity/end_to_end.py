"""How the system of Maity 2024 is trained: without, then with discriminators (§4.3.3)."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.optim import Adam

from pipeline.blocks.composition import terms_with
from pipeline.blocks.images import images_to_tensor
from pipeline.blocks.perceptual import load_vgg19
from pipeline.corpus.layouts import EMOTIONS
from pipeline.features.landmarks import MOUTH
from pipeline.papers.maity.inputs import draw_noise, heard, prepared
from pipeline.papers.maity.networks import EmotionalTalkingFace, Excerpt, Settings, mouth_mask
from pipeline.parameters import Parameters
from pipeline.training.augmentation import augment_some
from pipeline.training.data import ClipStore, Excerpts
from pipeline.training.initial import initial
from pipeline.training.recipe import NothingToLearn, Phase, Recipe

# The terms of the first phase (§4.3.3); the others need judges.
WARM_UP_TERMS = ("mouth", "perceptual", "change")


def recipe(p: Parameters, data: Path) -> Recipe:
    """First the mouth's and the perceptual loss alone, then the whole objective (§4.3.3), of the labelled clips.

    Raises NothingToLearn where no training clip is labelled.
    """
    chosen, whole = p.maity, terms_with(p.maity.compose, dict(p.maity.weights))
    store = ClipStore(data, chosen.faces, "crops", "landmarks", "waveform_8000")
    store.clips = store.clips[store.clips["emotion"].isin(EMOTIONS)]
    if not store.ids("train"):
        raise NothingToLearn(f"no training clip is labelled with an emotion ({', '.join(EMOTIONS)})")
    settings, vgg19, origin = Settings(store.preprocessing["image_size"], chosen.width, chosen.compose), None, None
    if whole["perceptual"]:
        vgg19, origin = load_vgg19(p.perceptual.vgg19, p.perceptual.width)
    batches = EmotionExcerpts(store, chosen.excerpt_frames, chosen.batch, chosen.augmentation)
    first, second = chosen.warm_up, chosen.adversarial
    first_weights = {name: weight if name in WARM_UP_TERMS else 0.0 for name, weight in whole.items()}
    judged = {"generator": second.learning_rate.generator, "discriminators": second.learning_rate.discriminator}
    return Recipe(
        parameters="maity",
        seed=p.seed,
        store=store,
        batches=batches,
        objective=lambda weights: EmotionalTalkingFace(settings, weights, vgg19),
        settings=settings,
        phases=(
            Phase.of(first, batches, first_weights, {"generator": first.learning_rate}),
            # From the first phase's best generator: at its rate the errors of successive epochs differ by a tenth, and the last
            # is any of them.
            Phase.of(second, batches, whole, judged, start="best"),
        ),
        knobs=chosen.model_dump(include={"excerpt_frames", "batch", "augmentation", "averaging", "betas"}),
        about={"perceptual": origin},
        optimizer=partial(Adam, betas=tuple(chosen.betas), fused=True),
        keep="last",
        averaging=chosen.averaging,
        initial=initial(p.maity.init_from, "maity", "end_to_end"),
    )


class EmotionExcerpts(Excerpts):
    """Excerpts with a photo of the same person from another of the training clips, whatever its emotion.

    Published: the photo is the excerpt's first frame, which shows the emotion already, so that the label says nothing new. One
    photo shall be shown in every emotion: it is the label that has to tell them apart. A person with one clip has its own.
    """

    def __init__(self, store: ClipStore, length: int, batch: int, augmentation: float):
        super().__init__(store, length, batch)
        self.fps, self.augmentation = store.preprocessing["fps"], augmentation
        self.of_person = store.clips.loc[self.train].groupby("subject").groups

    def excerpt(self, clip: str, span: slice, rng: np.random.Generator, augment: bool) -> Excerpt:
        """In training a share of `augmentation` of the excerpts is changed in its colours. In validation the photo is another
        clip's first frame."""
        n_frames, size = self.store.n_frames(clip), self.store.crops[clip].shape[1]
        # A batch has one length: a clip that is shorter than that is held at its last frame, in silence.
        n = self.length if augment else n_frames
        frames = np.minimum(span.start + np.arange(n), n_frames - 1)
        images = images_to_tensor(np.concatenate([self.photo(clip, rng, augment), self.store.crops[clip][frames]]))
        if augment:
            images = augment_some(images, self.augmentation, rng)
        mouths = torch.from_numpy(self.store.steadied(clip)[frames, MOUTH].mean(axis=1))
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
