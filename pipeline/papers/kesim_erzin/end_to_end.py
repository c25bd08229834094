"""How Kesim & Erzin's four systems are trained: one GAN in three input settings (§4.2)."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.optim import Adam

from pipeline.blocks.composition import terms_with
from pipeline.blocks.images import heatmaps_to_tensor, images_to_tensor
from pipeline.features.windows import columns_per_frame, mel_windows, window_columns
from pipeline.papers.kesim_erzin.networks import NOISE_SIZE, Clip, KesimErzin, Settings
from pipeline.parameters import Parameters
from pipeline.training.augmentation import augment_some
from pipeline.training.data import WATCHED, ClipStore, Excerpts
from pipeline.training.initial import initial
from pipeline.training.recipe import Phase, Recipe

# Table 1's rows: what drives each beside the reference image.
INPUTS = {
    "speech_without_fm": {"speech": True, "landmarks": False},
    "speech": {"speech": True, "landmarks": False},
    "landmark": {"speech": False, "landmarks": True},
    "speech_landmark": {"speech": True, "landmarks": True},
}


def recipe(p: Parameters, data: Path, training: str) -> Recipe:
    """training: a row of Table 1, a key of INPUTS."""
    chosen, row = p.kesim_erzin, getattr(p.kesim_erzin, training)
    store = ClipStore(data, chosen.faces, "crops", "heatmaps", "mel")
    how = store.preprocessing
    columns = columns_per_frame(how["mel"]["sample_rate"], how["mel"]["window_ms"], how["fps"])
    settings = Settings(
        **INPUTS[training],
        image_size=how["image_size"],
        context_frames=chosen.context_frames,
        mel_columns=window_columns(columns, chosen.context_frames),
        mel_bands=how["mel"]["mel_bands"],
        width=chosen.width,
        decision_every=chosen.decision_every,
        compose=chosen.compose,
    )
    rates = {"generator": chosen.learning_rate.generator, "discriminators": chosen.learning_rate.discriminator}
    return Recipe(
        parameters=f"kesim_erzin.{training}",
        seed=p.seed,
        store=store,
        batches=Clips(store, chosen.excerpt_frames, settings, columns, chosen.augmentation),
        objective=lambda weights: KesimErzin(settings),
        settings=settings,
        phases=(Phase(chosen.epochs, terms_with(chosen.compose, dict(row.weights)), rates),),
        knobs=chosen.model_dump(include={"excerpt_frames", "augmentation", "averaging", "betas"}),
        optimizer=partial(Adam, betas=tuple(chosen.betas), fused=True),
        keep="last",
        averaging=chosen.averaging,
        initial=initial(chosen.init_from, "kesim_erzin", training),
    )


class Clips(Excerpts):
    """Clips as the networks take them, in training half of them mirrored (Kesim & Erzin §4.1), and a share of `augmentation`
    changed in their colours."""

    validated = WATCHED

    def __init__(
        self, store: ClipStore, length: int | None, settings: Settings, columns: float, augmentation: float = 0
    ):
        super().__init__(store, length)
        self.settings, self.columns, self.augmentation = settings, columns, augmentation

    def excerpt(self, clip: str, span: slice, rng: np.random.Generator, augment: bool) -> Clip:
        noise = torch.from_numpy(rng.standard_normal(NOISE_SIZE, np.float32))
        drawn = self.clip(clip, noise, span, mirror=augment and bool(rng.integers(2)))
        if not (augment and self.augmentation):
            return drawn
        images = augment_some(torch.cat([drawn.reference[None], drawn.frames]), self.augmentation, rng)
        return drawn._replace(reference=images[0], frames=images[1:])

    def clip(self, clip_id: str, noise: Tensor, span: slice = slice(None), mirror: bool = False) -> Clip:
        """The frames of `span`. The reference is the clip's first frame in any case."""
        crops, heatmaps = self.store.crops[clip_id], self.store.heatmaps[clip_id]
        flip = -1 if mirror else 1
        mel = None
        if self.settings.speech:
            windows = mel_windows(self.store.mel[clip_id], len(crops), self.columns, self.settings.context_frames)
            mel = torch.from_numpy(windows[span].copy())
        return Clip(
            reference=images_to_tensor(crops[:1, :, ::flip])[0],
            noise=noise,
            frames=images_to_tensor(crops[span, :, ::flip]),
            mel=mel,
            heatmaps=heatmaps_to_tensor(heatmaps[span, :, ::flip]) if self.settings.landmarks else None,
            reference_heatmap=heatmaps_to_tensor(heatmaps[:1, :, ::flip])[0] if self.settings.landmarks else None,
        )
