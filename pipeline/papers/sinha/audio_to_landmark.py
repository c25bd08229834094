"""How Sinha's landmark network is trained: character features to displacements of the mean face (§III-A, §IV)."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.optim import Adam

from pipeline.features.canonical import canonical_displacements
from pipeline.features.landmarks import inter_ocular_distance
from pipeline.features.pca import fit_pca
from pipeline.papers.sinha.landmark_net import SPOKEN, AudioToLandmark, Settings, Speech
from pipeline.parameters import Parameters
from pipeline.training.data import ClipStore, Excerpts
from pipeline.training.faces import face_statistics
from pipeline.training.initial import initial
from pipeline.training.recipe import Phase, Recipe

# What the network knows of faces: its buffers.
FACES = ("mean_neutral", "opening_motion", "neutral_gap")


def recipe(p: Parameters, data: Path) -> Recipe:
    """The last layer begins as the principal components of the training clips' displacements (§IV); a network that goes on from
    another has its number of them, and moves its mean face."""
    chosen = p.sinha.audio_to_landmark
    store = ClipStore(data, p.sinha.faces, "characters", "landmarks", "neutral")
    begins = initial(p.sinha.init_from, "sinha", "audio_to_landmark")
    faces = begins.arrays(*FACES) if begins else face_statistics(store)
    excerpts = SpeechExcerpts(store, chosen.excerpt_frames, chosen.balance, faces["mean_neutral"])
    moved = np.concatenate([excerpts.displacements(clip)[:, SPOKEN] for clip in excerpts.train])
    mean, components, _ = fit_pca(moved, begins.settings["components"] if begins else chosen.variance)
    symbols = len(store.preprocessing["characters"]["symbols"])
    settings = Settings(symbols, len(components), p.sinha.width)

    def objective(weights: dict[str, float]) -> AudioToLandmark:
        landmarks = AudioToLandmark(settings)
        landmarks.generator.start_from(mean, components, faces)
        return landmarks

    return Recipe(
        parameters="sinha.audio_to_landmark",
        seed=p.seed,
        store=store,
        batches=excerpts,
        objective=objective,
        settings=settings,
        phases=(Phase(chosen.epochs, dict(chosen.weights), {"generator": chosen.learning_rate}),),
        knobs=chosen.model_dump(include={"excerpt_frames", "balance", "averaging", "variance"})
        | {"betas": p.sinha.betas},
        optimizer=partial(Adam, betas=tuple(p.sinha.betas), fused=True),
        averaging=chosen.averaging,
        initial=begins,
    )


class SpeechExcerpts(Excerpts):
    """Character features and true displacements."""

    def __init__(self, store: ClipStore, length: int | None, balance: float, mean_neutral: np.ndarray):
        super().__init__(store, length, balance=balance)
        self.mean_neutral = mean_neutral

    def excerpt(self, clip: str, span: slice, rng: np.random.Generator, augment: bool) -> Speech:
        characters = torch.tensor(self.store.characters[clip][span])
        return Speech(characters, torch.from_numpy(self.displacements(clip, span)))

    def displacements(self, clip: str, span: slice = slice(None)) -> np.ndarray:
        """Canonical displacements in distances of the mean face's eyes: float32 (T, 68, 2)."""
        landmarks, neutral = self.store.steadied(clip)[span], self.store.neutral[clip]
        moved = canonical_displacements(landmarks, neutral, self.mean_neutral)
        return (moved / inter_ocular_distance(self.mean_neutral)).astype(np.float32)
