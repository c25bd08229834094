"""How the judge of sync is trained, on real clips."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.optim import AdamW

from pipeline.blocks.images import images_to_tensor
from pipeline.evaluation.augmentation import changed
from pipeline.evaluation.lip_sync.network import Batch, Settings, Synchronisation, SyncNetwork
from pipeline.evaluation.lip_sync.speech import speech_windows
from pipeline.features.windows import from_int16
from pipeline.parameters import Parameters
from pipeline.training.data import ClipStore, Excerpts
from pipeline.training.recipe import NothingToLearn, Phase, Recipe

HALF_RATE = 150  # steps after which the learning rate is half of what it began with


def recipe(p: Parameters, data: Path, faces: str) -> Recipe:
    """Real clips of the training split, in the crops of `faces`, with their speech.

    Raises NothingToLearn where none is as long as an excerpt.
    """
    chosen, store = p.sync, ClipStore(data, faces, "crops", "waveform")
    store.clips = store.clips[[len(store.crops[clip]) >= chosen.excerpt_frames for clip in store.clips.index]]
    if not store.ids("train"):
        raise NothingToLearn(f"no training clip has {chosen.excerpt_frames} frames (sync.excerpt_frames)")
    settings = Settings(chosen.width, chosen.dropout)
    return Recipe(
        parameters="sync",
        seed=p.seed,
        store=store,
        batches=SpeakingClips(store, chosen.excerpt_frames, chosen.batch),
        objective=lambda weights: Synchronisation(SyncNetwork(settings)),
        settings=settings,
        phases=(Phase(chosen.epochs, {"matching": 1.0}, {"generator": chosen.learning_rate}),),
        knobs=chosen.model_dump(include={"excerpt_frames", "batch", "weight_decay"}),
        optimizer=partial(AdamW, weight_decay=chosen.weight_decay),
        half_rate=HALF_RATE,
    )


class SpeakingClips(Excerpts):
    """Excerpts of clips, changed as other people's faces and cameras would have them, with their speech."""

    def __init__(self, store: ClipStore, length: int, batch: int):
        super().__init__(store, length, batch)
        self.speech = {clip: self._heard(clip) for clip in {*store.train, *store.validation}}

    def _heard(self, clip: str) -> torch.Tensor:
        how = self.store.preprocessing
        waveform = from_int16(self.store.waveform[clip])
        return torch.from_numpy(speech_windows(waveform, how["sample_rate"], len(self.store.crops[clip]), how["fps"]))

    def excerpt(self, clip: str, span: slice, rng: np.random.Generator, augment: bool) -> Batch:
        frames = images_to_tensor(self.store.crops[clip][span])
        return Batch(changed(frames, rng) if augment else frames, self.speech[clip][span])
