"""How Sinha's texture networks are trained: landmark images and a photo to frames (§III-C, §IV)."""

from functools import partial
from pathlib import Path

import numpy as np
from torch.optim import Adam

from pipeline.features.blinks import blink_events
from pipeline.features.heatmap import landmark_heatmaps
from pipeline.features.landmarks import eye_aspect_ratio, inter_ocular_distance
from pipeline.papers.sinha.texture_net import LandmarkToTexture, Settings, Video, pixel_mask
from pipeline.parameters import Parameters
from pipeline.training.data import ClipStore, Excerpts, heatmaps_to_tensor, images_to_tensor
from pipeline.training.recipe import Phase, Recipe


def recipe(p: Parameters, data: Path) -> Recipe:
    """One GAN of generator and patch discriminator."""
    chosen = p.sinha.landmark_to_texture
    store = ClipStore(data, p.sinha.faces, "crops", "landmarks")
    template, image_size = np.array(store.preprocessing["template"]), store.preprocessing["image_size"]
    settings = Settings(p.sinha.width, p.heatmaps.sigma * float(inter_ocular_distance(template)))
    mask = pixel_mask(template, image_size)
    return Recipe(
        parameters="sinha.landmark_to_texture",
        seed=p.seed,
        store=store,
        batches=VideoExcerpts(store, chosen.excerpt_frames, settings.sigma),
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
        keep="last",
    )


# The share of the excerpts that show a blink, of clips in which there is one. Eyes are shut in 3 % of the frames: drawn evenly,
# they are so rare that the network leaves all eyes open.
BLINKING = 0.5


class VideoExcerpts(Excerpts):
    """Frames and images of their landmarks, half of them mirrored in training; with more blinks than clips have (BLINKING).

    The photo is any frame of the clip (the paper does not say), so that its mouth is open in some and closed in others; in
    validation the first.
    """

    def __init__(self, store: ClipStore, length: int, sigma: float):
        super().__init__(store, length)
        self.sigma = sigma
        fps = store.preprocessing["fps"]
        self.blinks = {
            clip: blink_events(eye_aspect_ratio(store.landmarks.landmarks(clip)), fps) for clip in self.train
        }

    def span(self, clip: str, rng: np.random.Generator) -> slice:
        """Where the excerpt lies: as anywhere, or so that it shows when the eyes close."""
        span = super().span(clip, rng)
        if not self.blinks[clip] or rng.random() >= BLINKING:
            return span
        closes = self.blinks[clip][rng.integers(len(self.blinks[clip]))][0]
        length = span.stop - span.start
        start = int(np.clip(closes - rng.integers(length), 0, self.store.n_frames(clip) - length))
        return slice(start, start + length)

    def excerpt(self, clip: str, span: slice, rng: np.random.Generator, augment: bool) -> Video:
        photo = int(rng.integers(self.store.n_frames(clip))) if augment else 0
        return self.video(clip, photo, span, mirror=augment and bool(rng.integers(2)))

    def video(self, clip: str, photo: int = 0, span: slice = slice(None), mirror: bool = False) -> Video:
        flip, frames = -1 if mirror else 1, [photo, *range(*span.indices(self.store.n_frames(clip)))]
        crops = self.store.crops[clip][frames]
        drawn = landmark_heatmaps(self.store.steadied(clip)[frames], crops.shape[1], self.sigma)
        images, landmarks = images_to_tensor(crops[:, :, ::flip]), heatmaps_to_tensor(drawn[:, :, ::flip])
        return Video(images[0], landmarks[0], landmarks[1:], images[1:])
