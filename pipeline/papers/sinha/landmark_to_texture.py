"""How Sinha's texture networks are trained: landmark images and a photo to frames (§III-C, §IV)."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.optim import Adam

from pipeline.blocks.images import heatmaps_to_tensor, images_to_tensor
from pipeline.features.blinks import blink_events
from pipeline.features.heatmap import landmark_heatmaps
from pipeline.features.landmarks import eye_aspect_ratio, inter_ocular_distance
from pipeline.papers.seam import Seam
from pipeline.papers.sinha import landmark_net
from pipeline.papers.sinha.speak import speak_without_blinks
from pipeline.papers.sinha.texture_net import LandmarkToTexture, Settings, Video, pixel_mask
from pipeline.parameters import Parameters
from pipeline.training.augmentation import augment_some
from pipeline.training.data import WATCHED, ClipStore, Excerpts
from pipeline.training.initial import initial
from pipeline.training.recipe import Phase, Recipe
from pipeline.training.trained import load_network


def recipe(p: Parameters, data: Path) -> Recipe:
    """One GAN of generator and patch discriminator."""
    chosen = p.sinha.landmark_to_texture
    store = ClipStore(data, p.sinha.faces, "crops", "landmarks", *(["characters"] if chosen.predicted else []))
    template, image_size = np.array(store.preprocessing["template"]), store.preprocessing["image_size"]
    settings = Settings(p.sinha.width, p.heatmaps.sigma * float(inter_ocular_distance(template)))
    mask = pixel_mask(template, image_size)
    seam, knobs = (
        None,
        chosen.model_dump(include={"excerpt_frames", "balance", "augmentation", "averaging", "predicted"}),
    )
    if chosen.predicted:
        first_half = data / "trained/sinha/audio_to_landmark"
        network, about = load_network(first_half, landmark_net.LandmarkNet, landmark_net.Settings)
        seam = Seam(chosen.predicted, "characters", partial(speak_without_blinks, network))
        knobs |= {"first_half": about["key"]}
    return Recipe(
        parameters="sinha.landmark_to_texture",
        seed=p.seed,
        store=store,
        batches=VideoExcerpts(store, chosen.excerpt_frames, settings.sigma, chosen.balance, chosen.augmentation, seam),
        objective=lambda weights: LandmarkToTexture(settings, mask),
        settings=settings,
        phases=(
            Phase(
                chosen.epochs,
                dict(chosen.weights),
                {"generator": chosen.learning_rate, "discriminators": chosen.learning_rate},
            ),
        ),
        knobs=knobs | {"betas": p.sinha.betas},
        optimizer=partial(Adam, betas=tuple(p.sinha.betas), fused=True),
        keep="last",
        averaging=chosen.averaging,
        initial=initial(p.sinha.init_from, "sinha", "landmark_to_texture"),
    )


# The share of the excerpts that show a blink, of clips in which there is one. Eyes are shut in 3 % of the frames: drawn evenly,
# they are so rare that the network leaves all eyes open.
BLINKING = 0.5


class VideoExcerpts(Excerpts):
    """Frames and images of their landmarks, half of them mirrored in training; with more blinks than clips have (BLINKING).

    augmentation: the share of the excerpts whose colours are changed, the photo's as the frames'. The photo is any frame of the
    clip (the paper does not say), so that its mouth is open in some and closed in others; in validation the first.
    """

    validated = WATCHED

    def __init__(
        self,
        store: ClipStore,
        length: int,
        sigma: float,
        balance: float = 0,
        augmentation: float = 0,
        seam: Seam | None = None,
    ):
        super().__init__(store, length, balance=balance)
        self.sigma, self.augmentation, self.seam = sigma, augmentation, seam
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
        if not augment:
            return self.video(clip, span=span)
        photo, mirror = int(rng.integers(self.store.n_frames(clip))), bool(rng.integers(2))
        landmarks = self.seam.landmarks(self.store, clip, rng) if self.seam else None
        video = self.video(clip, photo, span, mirror, landmarks)
        images = augment_some(torch.cat([video.photo[None], video.frames]), self.augmentation, rng)
        return video._replace(photo=images[0], frames=images[1:])

    def video(
        self,
        clip: str,
        photo: int = 0,
        span: slice = slice(None),
        mirror: bool = False,
        landmarks: np.ndarray | None = None,
    ) -> Video:
        """landmarks: (T, 68, 2) of the whole clip, where frames are to be drawn from others than its own; the photo's are."""
        flip, own = -1 if mirror else 1, self.store.steadied(clip)
        seen = own if landmarks is None else landmarks
        crops = self.store.crops[clip]
        images = images_to_tensor(np.concatenate([crops[[photo]], crops[span]])[:, :, ::flip])
        drawn = landmark_heatmaps(np.concatenate([own[[photo]], seen[span]]), crops.shape[1], self.sigma)
        landmark_images = heatmaps_to_tensor(drawn[:, :, ::flip])
        return Video(images[0], landmark_images[0], landmark_images[1:], images[1:])
