"""How VG-net is trained: a photo and true landmarks to frames, against its discriminator (§3)."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from torch.optim import Adam

from pipeline.blocks.images import images_to_tensor
from pipeline.features.landmarks import MIRRORED
from pipeline.papers.atvgnet import at_net
from pipeline.papers.atvgnet.speak import speak
from pipeline.papers.atvgnet.vg_net import LandmarkToTexture, Settings, Video, about_centre
from pipeline.papers.seam import Seam
from pipeline.parameters import Parameters
from pipeline.training.augmentation import augment_some
from pipeline.training.data import WATCHED, ClipStore, Excerpts, held
from pipeline.training.initial import initial
from pipeline.training.recipe import Phase, Recipe
from pipeline.training.trained import load_network


def recipe(p: Parameters, data: Path) -> Recipe:
    """One GAN of VG-net and the discriminator that regresses landmarks."""
    chosen = p.atvgnet.landmark_to_texture
    store = ClipStore(data, p.atvgnet.faces, "crops", "landmarks", *(["mfcc"] if chosen.predicted else []))
    settings = Settings(store.preprocessing["image_size"], p.atvgnet.width)
    own = {"excerpt_frames", "batch", "excerpts", "augmentation", "averaging", "dynamic", "predicted"}
    seam, knobs = None, chosen.model_dump(include=own)
    if chosen.predicted:
        first_half = data / "trained/atvgnet/audio_to_landmark"
        network, about = load_network(first_half, at_net.ATNet, at_net.Settings)
        seam = Seam(chosen.predicted, "mfcc", partial(speak, network, store.preprocessing["fps"], seed=p.seed))
        knobs |= {"first_half": about["key"]}
    batches = VideoExcerpts(store, chosen.excerpt_frames, chosen.batch, chosen.excerpts, chosen.augmentation, seam)
    rates = {"generator": chosen.learning_rate, "discriminators": chosen.learning_rate}
    return Recipe(
        parameters="atvgnet.landmark_to_texture",
        seed=p.seed,
        store=store,
        batches=batches,
        objective=lambda weights: LandmarkToTexture(settings, chosen.dynamic),
        settings=settings,
        phases=(Phase.of(chosen, batches, dict(chosen.weights), rates),),
        knobs=knobs | {"betas": p.atvgnet.betas},
        optimizer=partial(Adam, betas=tuple(p.atvgnet.betas), fused=True),
        keep="last",
        averaging=chosen.averaging,
        initial=initial(p.atvgnet.init_from, "atvgnet", "landmark_to_texture"),
    )


class VideoExcerpts(Excerpts):
    """Excerpts for VG-net, half of them mirrored in training, the colours of a share of `augmentation` changed.

    An epoch takes several of each clip (published: three). The photo is a random frame of the clip, as published; in
    validation the first.
    """

    validated = WATCHED

    def __init__(
        self,
        store: ClipStore,
        length: int,
        batch: int,
        excerpts: int,
        augmentation: float = 0,
        seam: Seam | None = None,
    ):
        super().__init__(store, length, batch)
        self.excerpts, self.augmentation, self.seam = excerpts, augmentation, seam

    def __len__(self) -> int:
        return self.excerpts * super().__len__()

    def epoch(self, seed: int, number: int) -> Iterator[Video]:
        for k in range(self.excerpts):
            yield from super().epoch(seed, self.excerpts * number + k)

    def excerpt(self, clip: str, span: slice, rng: np.random.Generator, augment: bool) -> Video:
        n_frames = self.store.n_frames(clip)
        frames = held(span, self.length, n_frames) if augment else np.arange(span.start, span.stop)
        photo, own = int(rng.integers(n_frames)) if augment else 0, self.store.steadied(clip)
        seen = self.seam.landmarks(self.store, clip, rng) if augment and self.seam else own
        crops, landmarks = self.store.crops[clip][[photo, *frames]], np.concatenate([own[[photo]], seen[frames]])
        if augment and rng.integers(2):
            crops, landmarks = crops[:, :, ::-1], mirrored(landmarks, crops.shape[2])
        images, faces = images_to_tensor(crops), about_centre(landmarks, crops.shape[2])
        if augment and self.augmentation:
            images = augment_some(images, self.augmentation, rng)
        return Video(images[0], faces[0], faces[1:], images[1:])


def mirrored(landmarks: np.ndarray, image_size: int) -> np.ndarray:
    """The landmarks of the crops mirrored left to right: (…, 68, 2) → (…, 68, 2), in pixels."""
    return landmarks[..., MIRRORED, :] * [-1, 1] + [image_size - 1, 0]
