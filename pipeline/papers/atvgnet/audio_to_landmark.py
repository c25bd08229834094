"""How AT-net is trained: MFCC windows to landmarks on the mean face, in principal components (§3)."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.optim import Adam

from pipeline.features.canonical import to_mean_face
from pipeline.features.landmarks import inter_ocular_distance
from pipeline.features.pca import fit_pca
from pipeline.features.windows import mfcc_windows
from pipeline.papers.atvgnet.at_net import ATNet, AudioToLandmark, Settings, Speech
from pipeline.parameters import Parameters
from pipeline.training.data import ClipStore, Excerpts, held
from pipeline.training.faces import face_statistics
from pipeline.training.initial import initial
from pipeline.training.recipe import Phase, Recipe

# What AT-net knows of faces: its buffers.
FACES = ("mean", "basis", "mean_neutral", "opening_motion", "neutral_gap")
# Neighbouring frames are alike: every so many are enough to find the principal components.
PCA_STEP = 4


def recipe(p: Parameters, data: Path) -> Recipe:
    """AT-net begins with what the training split knows of faces; one that goes on from another keeps what that knows."""
    chosen = p.atvgnet.audio_to_landmark
    store = ClipStore(data, p.atvgnet.faces, "landmarks", "neutral", "mfcc")
    begins = initial(p.atvgnet.init_from, "atvgnet", "audio_to_landmark")
    known = begins.arrays(*FACES) if begins else faces_of(store, len(chosen.boost))
    faces = MeanFace(store, known)
    settings = Settings(p.atvgnet.width, chosen.boost)
    batches = SpeechExcerpts(store, chosen.excerpt_frames, chosen.batch, faces)

    def objective(weights: dict[str, float]) -> AudioToLandmark:
        network = ATNet(settings)
        for name, value in known.items():
            getattr(network, name).copy_(torch.from_numpy(value))
        return AudioToLandmark(network)

    return Recipe(
        parameters="atvgnet.audio_to_landmark",
        seed=p.seed,
        store=store,
        batches=batches,
        objective=objective,
        settings=settings,
        phases=(Phase.of(chosen, batches, {"components": 1.0}, {"generator": chosen.learning_rate}),),
        knobs={"excerpt_frames": chosen.excerpt_frames, "batch": chosen.batch, "betas": p.atvgnet.betas},
        optimizer=partial(Adam, betas=tuple(p.atvgnet.betas), fused=True),
        initial=begins,
    )


def faces_of(store: ClipStore, components: int) -> dict[str, np.ndarray]:
    """What AT-net holds as buffers (FACES): the mean neutral face and the principal components of the motion of clips on it, in
    eye distances, the origin at the crop's centre."""
    faces = face_statistics(store)
    unit = inter_ocular_distance(faces["mean_neutral"])
    known = {
        "mean_neutral": (faces["mean_neutral"] - store.preprocessing["image_size"] / 2) / unit,
        "opening_motion": faces["opening_motion"] / unit,
        "neutral_gap": np.array(faces["neutral_gap"]),
    }
    known = {name: value.astype(np.float32) for name, value in known.items()}
    motion = [on_mean_face(store, clip, known["mean_neutral"], slice(None, None, PCA_STEP)) for clip in store.train]
    samples = np.concatenate(motion)
    # M is the neutral face, and components are found about it, so that ω (Eq. 4) enlarges every motion from it. About the
    # mean frame, whose mouth is open, ω would press closed lips together.
    mean, basis, _ = fit_pca(np.concatenate([samples, 2 * known["mean_neutral"] - samples]), components)
    return known | {"mean": mean, "basis": basis}


def on_mean_face(
    store: ClipStore, clip: str, mean_neutral: np.ndarray, frames: np.ndarray | slice = slice(None)
) -> np.ndarray:
    """A clip's motion on the mean neutral face, all of it or some frames': float32 (T, 68, 2)."""
    return to_mean_face(store.steadied(clip)[frames], store.neutral[clip], mean_neutral).astype(np.float32)


class MeanFace:
    """Clips' motion on the mean neutral face, and in its principal components. known: what AT-net knows of faces (FACES)."""

    def __init__(self, store: ClipStore, known: dict[str, np.ndarray]):
        self.store = store
        self.mean_neutral, self.mean, self.basis = known["mean_neutral"], known["mean"], known["basis"]

    def landmarks(self, clip: str, frames: np.ndarray | slice = slice(None)) -> np.ndarray:
        """A clip's motion, all of it or some frames': float32 (T, 68, 2)."""
        return on_mean_face(self.store, clip, self.mean_neutral, frames)

    def components(self, landmarks: np.ndarray) -> np.ndarray:
        """(…, 68, 2) → (…, k)."""
        return (landmarks.reshape(*landmarks.shape[:-2], -1) - self.mean) @ self.basis.T


class SpeechExcerpts(Excerpts):
    """Excerpts for AT-net.

    The example is a random frame of the clip: the published one, just before the excerpt, tells the pose and mouth. In
    validation it is the mean neutral face, as in synthesis from a photo whose mouth is closed.
    """

    def __init__(self, store: ClipStore, length: int, batch: int, faces: MeanFace):
        super().__init__(store, length, batch)
        self.faces, self.fps = faces, store.preprocessing["fps"]

    def excerpt(self, clip: str, span: slice, rng: np.random.Generator, augment: bool) -> Speech:
        n_frames = self.store.n_frames(clip)
        frames = held(span, self.length, n_frames) if augment else np.arange(n_frames)
        example = self.faces.mean_neutral
        if augment:
            example = self.faces.landmarks(clip, rng.integers(n_frames, size=1))[0]
        landmarks = self.faces.landmarks(clip, frames)
        windows = mfcc_windows(self.store.mfcc[clip], n_frames, self.fps)[frames]
        arrays = (windows, self.faces.components(example), self.faces.components(landmarks), landmarks)
        return Speech(*map(torch.from_numpy, arrays))
