"""How Sinha's texture networks are trained: landmark images and a photo to frames (§III-C, §IV)."""

from functools import partial
from pathlib import Path

import numpy as np
from torch.optim import Adam

from pipeline.papers.sinha.texture_net import LandmarkToTexture, Settings, Video, pixel_mask
from pipeline.parameters import Parameters
from pipeline.training.data import ClipStore, Excerpts, heatmaps_to_tensor, images_to_tensor
from pipeline.training.recipe import Phase, Recipe


def recipe(p: Parameters, data: Path) -> Recipe:
    """One GAN of generator and patch discriminator."""
    chosen = p.sinha.landmark_to_texture
    store = ClipStore(data, "crops", "heatmaps")
    how, settings = store.preprocessing, Settings(p.sinha.width)
    mask = pixel_mask(np.array(how["template"]), how["image_size"])
    return Recipe(
        parameters="sinha.landmark_to_texture",
        seed=p.seed,
        store=store,
        batches=VideoExcerpts(store, chosen.excerpt_frames),
        objective=lambda weights: LandmarkToTexture(settings, mask),
        settings=settings,
        phases=(
            Phase(
                chosen.epochs,
                dict(chosen.weights),
                {"generator": chosen.learning_rate, "discriminators": chosen.learning_rate},
            ),
        ),
        knobs={"excerpt_frames": chosen.excerpt_frames, "betas": p.sinha.betas},
        optimizer=partial(Adam, betas=tuple(p.sinha.betas), fused=True),
    )


class VideoExcerpts(Excerpts):
    """Frames and their landmark images, half of them mirrored in training.

    The photo is any frame of the clip (the paper does not say), so that its mouth is open in some and closed in others; in
    validation the first.
    """

    def excerpt(self, clip: str, span: slice, rng: np.random.Generator, augment: bool) -> Video:
        photo = int(rng.integers(self.store.n_frames(clip))) if augment else 0
        return self.video(clip, photo, span, mirror=augment and bool(rng.integers(2)))

    def video(self, clip: str, photo: int = 0, span: slice = slice(None), mirror: bool = False) -> Video:
        flip = -1 if mirror else 1
        crops, heatmaps = (images[clip][:, :, ::flip] for images in (self.store.crops, self.store.heatmaps))
        return Video(
            photo=images_to_tensor(crops[photo : photo + 1])[0],
            photo_landmarks=heatmaps_to_tensor(heatmaps[photo : photo + 1])[0],
            landmarks=heatmaps_to_tensor(heatmaps[span]),
            frames=images_to_tensor(crops[span]),
        )
