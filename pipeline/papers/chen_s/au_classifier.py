"""How Chen S.'s AU classifier is pre-trained: lower faces to action units (§3.1)."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Adam

from pipeline.blocks.images import images_to_tensor
from pipeline.papers.chen_s.action_units import (
    AU_LOSS,
    AUClassifier,
    AUClassifierRecognition,
    AUClassifierSettings,
    Faces,
    lower_face,
    occurrence_weights,
)
from pipeline.papers.chen_s.labels import LabelledExcerpts
from pipeline.parameters import Parameters
from pipeline.training.data import ClipStore
from pipeline.training.initial import initial
from pipeline.training.recipe import Phase, Recipe

# How far the training images are moved. F1 of AU10, 25 and 26 in people held out of the training, mean of three seeds: 0.68
# without, 0.78 with; moved farther they gain nothing more.
SHIFT = 0.05  # of the image's side
SCALE = 0.1


def recipe(p: Parameters, data: Path) -> Recipe:
    """Rare action units weigh more (Eq. 1)."""
    chosen = p.chen_s.au_classifier
    store = ClipStore(data, p.chen_s.faces, "crops", "action_units")
    excerpts = FaceExcerpts(store, chosen.frames, chosen.batch)
    settings = AUClassifierSettings(store.preprocessing["image_size"], p.chen_s.width)

    def objective(weights: dict[str, float]) -> AUClassifierRecognition:
        return AUClassifierRecognition(AUClassifier(settings), occurrence_weights(excerpts.occurrence))

    return Recipe(
        parameters="chen_s.au_classifier",
        seed=p.seed,
        store=store,
        batches=excerpts,
        objective=objective,
        settings=settings,
        phases=(Phase(chosen.epochs, AU_LOSS, {"generator": chosen.learning_rate}),),
        knobs={"frames": chosen.frames, "batch": chosen.batch, "betas": p.chen_s.betas},
        about={"occurrence": excerpts.occurrence.tolist()},
        optimizer=partial(Adam, betas=tuple(p.chen_s.betas), fused=True),
        initial=initial(p.chen_s.init_from, "chen_s", "au_classifier"),
    )


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
