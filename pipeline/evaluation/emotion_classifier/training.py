"""How the emotion classifier is trained, on real clips."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.optim import AdamW

from pipeline.blocks.images import images_to_tensor
from pipeline.corpus.layouts import EMOTIONS
from pipeline.evaluation.augmentation import changed
from pipeline.evaluation.emotion_classifier.network import Batch, EmotionClassifier, EmotionRecognition, Settings
from pipeline.parameters import Parameters
from pipeline.training.data import ClipStore, Excerpts
from pipeline.training.recipe import NothingToLearn, Phase, Recipe

# Steps after which the learning rate is half of what it began with: few clips judge the epochs, which have to be alike by then.
HALF_RATE = 150


def recipe(p: Parameters, data: Path, faces: str) -> Recipe:
    """Real clips of the training split, in the crops of `faces`, with their labels.

    Raises NothingToLearn where they do not show all six emotions.
    """
    chosen, store = p.emotion_classifier, ClipStore(data, faces, "crops")
    store.clips = store.clips[store.clips["emotion"].isin(EMOTIONS)]
    shown = set(store.clips.loc[store.ids("train"), "emotion"])
    if shown != set(EMOTIONS):
        found = ", ".join(sorted(shown)) or "no labelled emotion"
        raise NothingToLearn(f"the training clips show {found}; all six are needed")
    settings = Settings(store.preprocessing["image_size"], chosen.width, chosen.dropout)
    return Recipe(
        parameters="emotion_classifier",
        seed=p.seed,
        store=store,
        batches=LabelledClips(store, chosen.excerpt_frames, chosen.batch),
        objective=lambda weights: EmotionRecognition(EmotionClassifier(settings)),
        settings=settings,
        phases=(Phase(chosen.epochs, {"cross_entropy": 1.0}, {"generator": chosen.learning_rate}),),
        knobs=chosen.model_dump(include={"excerpt_frames", "batch", "weight_decay"}),
        optimizer=partial(AdamW, weight_decay=chosen.weight_decay),
        half_rate=HALF_RATE,
    )


class LabelledClips(Excerpts):
    """A few frames from all over each clip, changed as other people's faces and cameras would have them, and its emotion."""

    def __init__(self, store: ClipStore, n_frames: int, batch: int):
        super().__init__(store, None, batch)
        self.frames = n_frames

    def excerpt(self, clip: str, span: slice, rng: np.random.Generator, augment: bool) -> Batch:
        crops = self.store.crops[clip]
        within = rng.random(self.frames) if augment else 0.5
        chosen = ((np.arange(self.frames) + within) * len(crops) / self.frames).astype(int)
        frames = images_to_tensor(crops[chosen])
        label = torch.tensor(EMOTIONS.index(self.store.clips.loc[clip, "emotion"]))
        return Batch(changed(frames, rng) if augment else frames, label)
