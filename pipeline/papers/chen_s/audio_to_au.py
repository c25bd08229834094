"""How Chen S.'s Audio-to-AU module is pre-trained: speech to action units (§3.1)."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.optim import Adam

from pipeline.features.windows import mfcc_windows
from pipeline.papers.chen_s.action_units import (
    AU_LOSS,
    AUS,
    AudioToAU,
    AudioToAURecognition,
    AudioToAUSettings,
    Speech,
    occurrence_weights,
)
from pipeline.papers.chen_s.labels import LabelledExcerpts
from pipeline.parameters import Parameters
from pipeline.training.data import ClipStore
from pipeline.training.initial import initial
from pipeline.training.recipe import Phase, Recipe


def recipe(p: Parameters, data: Path) -> Recipe:
    """The module knows the mean and deviation of the training clips' MFCC; rare action units weigh more (Eq. 1)."""
    chosen = p.chen_s.audio_to_au
    store = ClipStore(data, p.chen_s.faces, "landmarks", "mfcc", "action_units")
    excerpts = SpeechExcerpts(store, chosen.excerpt_frames, chosen.batch)
    mfcc = np.concatenate([store.mfcc[clip] for clip in store.train])
    settings = AudioToAUSettings(p.chen_s.width)

    def objective(weights: dict[str, float]) -> AudioToAURecognition:
        network = AudioToAU(settings)
        network.start_from(mfcc)
        return AudioToAURecognition(network, occurrence_weights(excerpts.occurrence))

    return Recipe(
        parameters="chen_s.audio_to_au",
        seed=p.seed,
        store=store,
        batches=excerpts,
        objective=objective,
        settings=settings,
        phases=(Phase(chosen.epochs, AU_LOSS, {"generator": chosen.learning_rate}),),
        knobs={"excerpt_frames": chosen.excerpt_frames, "batch": chosen.batch, "betas": p.chen_s.betas},
        about={"occurrence": excerpts.occurrence.tolist()},
        optimizer=partial(Adam, betas=tuple(p.chen_s.betas), fused=True),
        initial=initial(p.chen_s.init_from, "chen_s", "audio_to_au"),
    )


class SpeechExcerpts(LabelledExcerpts):
    """MFCC windows and action units of consecutive frames. A clip that is shorter goes on in silence, without labels."""

    def __init__(self, store: ClipStore, length: int, batch: int):
        super().__init__(store, length, batch)
        self.fps = store.preprocessing["fps"]

    def excerpt(self, clip: str, span: slice, rng: np.random.Generator, augment: bool) -> Speech:
        stop = span.start + self.length if augment else span.stop
        windows = mfcc_windows(self.store.mfcc[clip], stop, self.fps)[span.start :]
        labels = np.full((len(windows), len(AUS)), np.nan, np.float32)
        labels[: span.stop - span.start] = self.labels[clip][span]
        return Speech(torch.from_numpy(windows), torch.from_numpy(labels))
