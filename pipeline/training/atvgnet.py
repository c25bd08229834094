"""Train ATVGnet's two networks from the shards, each by itself, and load the trained ones."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.errors import UserError
from pipeline.features.canonical import to_mean_face
from pipeline.features.landmarks import MIRRORED, inter_ocular_distance
from pipeline.features.pca import fit_pca
from pipeline.features.windows import mfcc_windows
from pipeline.models.atvgnet import (
    ATNet,
    AudioToLandmark,
    LandmarkToTexture,
    Settings,
    Speech,
    VGNet,
    Video,
    for_inference,
)
from pipeline.parameters import AtNet, Parameters, VgNet
from pipeline.training.checkpoints import load_network
from pipeline.training.data import ClipStore, Excerpts, about_crops, images_to_tensor, training_key
from pipeline.training.faces import face_statistics
from pipeline.training.loop import fit
from pipeline.training.machine import fabric_for

# The paper's modules that a training's result depends on.
CODE = (
    *(f"features/{name}.py" for name in ("alignment", "canonical", "landmarks", "pca", "windows")),
    *(f"models/{name}.py" for name in ("atvgnet", "gan")),
    *(f"training/{name}.py" for name in ("atvgnet", "faces")),
)
# What AT-net knows of faces: its buffers.
FACES = ("mean", "basis", "mean_neutral", "opening_motion", "neutral_gap")
# Neighbouring frames are alike: every so many are enough to find the principal components.
PCA_STEP = 4


def train_audio_to_landmark(p: Parameters, data: Path, losses: Path) -> None:
    """Train AT-net on the training split; leaves checkpoints in data/audio_to_landmark/atvgnet."""
    schedule = p.atvgnet.audio_to_landmark
    store = ClipStore(data, "landmarks", "neutral", "mfcc")
    faces = MeanFace(store, p.alignment.image_size, len(schedule.boost))
    batches = SpeechExcerpts(store, schedule.excerpt_frames, p.seed, schedule.batch, faces, p.corpus.fps)
    torch.manual_seed(p.seed)
    generator = ATNet(Settings(p.alignment.image_size, p.atvgnet.width, tuple(schedule.boost)))
    for name in FACES:
        getattr(generator, name).copy_(torch.from_numpy(getattr(faces, name)))
    _train(AudioToLandmark(generator), batches, schedule, store, p, data / "audio_to_landmark" / "atvgnet", losses)


def train_landmark_to_texture(p: Parameters, data: Path, losses: Path) -> None:
    """Train VG-net on the training split; leaves checkpoints in data/landmark_to_texture/atvgnet."""
    schedule = p.atvgnet.landmark_to_texture
    weights = dict(schedule.weights)
    if not any(weights.values()):
        raise UserError(
            "params.yaml: atvgnet.landmark_to_texture.weights: all are 0, so that there is nothing to train for"
        )
    store = ClipStore(data, "crops", "landmarks")
    batches = VideoExcerpts(store, schedule.excerpt_frames, p.seed, schedule.batch, schedule.excerpts)
    torch.manual_seed(p.seed)
    system = LandmarkToTexture(Settings(p.alignment.image_size, p.atvgnet.width), weights, schedule.dynamic)
    _train(system, batches, schedule, store, p, data / "landmark_to_texture" / "atvgnet", losses)


def _train(
    system: AudioToLandmark | LandmarkToTexture,
    batches: Excerpts,
    schedule: AtNet | VgNet,
    store: ClipStore,
    p: Parameters,
    out: Path,
    losses: Path,
) -> None:
    description = {
        "system": "atvgnet",
        "settings": asdict(system.generator.settings),
        "preprocessing": about_crops(p, store.data),
    }
    how = schedule.model_dump(exclude={"epochs"}) | {"betas": list(p.atvgnet.betas), "seed": p.seed}
    key = training_key(description | {"schedule": how, "step": out.parent.name}, store, CODE)

    def adam(network: nn.Module) -> torch.optim.Adam:
        return torch.optim.Adam(network.parameters(), schedule.learning_rate, tuple(p.atvgnet.betas), fused=True)

    optimizers = {"generator": adam(system.generator)}
    if isinstance(system, LandmarkToTexture):
        optimizers["discriminators"] = adam(system.discriminator)
    fabric, memory_format = fabric_for(p.training.device, p.training.precision)
    fit(fabric, memory_format, system, optimizers, batches, schedule.epochs, out, losses, description, key)


class MeanFace:
    """The mean neutral face, the motion of clips on it, and its principal components: what AT-net holds as buffers, in eye
    distances, the origin at the crop's centre."""

    def __init__(self, store: ClipStore, image_size: int, components: int):
        self.store = store
        faces = face_statistics(store)
        unit = inter_ocular_distance(faces["mean_neutral"])
        self.mean_neutral = ((faces["mean_neutral"] - image_size / 2) / unit).astype(np.float32)
        self.opening_motion = (faces["opening_motion"] / unit).astype(np.float32)
        self.neutral_gap = np.array(faces["neutral_gap"], np.float32)
        samples = np.concatenate([self.landmarks(clip, slice(None, None, PCA_STEP)) for clip in store.train])
        # M is the neutral face, and components are found about it, so that ω (Eq. 4) enlarges every motion from it. About the
        # mean frame, whose mouth is open, ω would press closed lips together.
        self.mean, self.basis, _ = fit_pca(np.concatenate([samples, 2 * self.mean_neutral - samples]), components)

    def landmarks(self, clip: str, frames: np.ndarray | slice = slice(None)) -> np.ndarray:
        """A clip's motion on the mean neutral face, all of it or some frames': float32 (T, 68, 2)."""
        landmarks = self.store.landmarks.landmarks(clip)[frames]
        return to_mean_face(landmarks, self.store.neutral[clip], self.mean_neutral).astype(np.float32)

    def components(self, landmarks: np.ndarray) -> np.ndarray:
        """(…, 68, 2) → (…, k)."""
        return (landmarks.reshape(*landmarks.shape[:-2], -1) - self.mean) @ self.basis.T


class SpeechExcerpts(Excerpts):
    """Excerpts for AT-net.

    The example is a random frame of the clip: the published one, just before the excerpt, tells the pose and mouth. In
    validation it is the mean neutral face, as in synthesis from a photo whose mouth is closed.
    """

    def __init__(self, store: ClipStore, length: int, seed: int, batch: int, faces: MeanFace, fps: float):
        super().__init__(store, length, seed, batch)
        self.faces, self.fps = faces, fps

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


class VideoExcerpts(Excerpts):
    """Excerpts for VG-net, half of them mirrored in training.

    An epoch takes several of each clip (published: three). The photo is a random frame of the clip, as published; in
    validation the first.
    """

    def __init__(self, store: ClipStore, length: int, seed: int, batch: int, excerpts: int):
        super().__init__(store, length, seed, batch)
        self.excerpts = excerpts

    def __len__(self) -> int:
        return self.excerpts * super().__len__()

    def epoch(self, number: int) -> Iterator[Video]:
        for k in range(self.excerpts):
            yield from super().epoch(self.excerpts * number + k)

    def excerpt(self, clip: str, span: slice, rng: np.random.Generator, augment: bool) -> Video:
        n_frames = self.store.n_frames(clip)
        frames = held(span, self.length, n_frames) if augment else np.arange(n_frames)
        chosen = [int(rng.integers(n_frames)) if augment else 0, *frames]
        crops, landmarks = self.store.crops[clip][chosen], self.store.landmarks.landmarks(clip)[chosen]
        if augment and rng.integers(2):
            crops, landmarks = crops[:, :, ::-1], mirrored(landmarks, crops.shape[2])
        images, faces = images_to_tensor(crops), scaled(landmarks, crops.shape[2])
        return Video(images[0], faces[0], faces[1:], images[1:])


def held(span: slice, length: int, n_frames: int) -> np.ndarray:
    """The indices of `length` frames from the span's start. A clip that is shorter is held at its last frame: a batch has one
    length."""
    return np.minimum(span.start + np.arange(length), n_frames - 1)


def scaled(landmarks: np.ndarray, image_size: int) -> Tensor:
    """Landmarks as VG-net takes them: crop pixels (…, 68, 2) → −1 … 1 across the crop."""
    return torch.from_numpy(((landmarks - image_size / 2) * 2 / image_size).astype(np.float32))


def mirrored(landmarks: np.ndarray, image_size: int) -> np.ndarray:
    """The landmarks of the crops mirrored left to right: (…, 68, 2) → (…, 68, 2), in pixels."""
    return landmarks[..., MIRRORED, :] * [-1, 1] + [image_size - 1, 0]


def load_audio_to_landmark(folder: Path) -> tuple[ATNet, dict]:
    """AT-net of best.pt in `folder`, in evaluation mode, and the checkpoint's description.

    Raises UserError where the file is missing or is not such a checkpoint.
    """
    return load_network(folder, f"audio_to_landmark@{folder.name}", ATNet, Settings)


def load_landmark_to_texture(folder: Path) -> tuple[VGNet, dict]:
    """VG-net of best.pt in `folder`, ready to generate, and the checkpoint's description. Raises as above."""
    network, description = load_network(folder, f"landmark_to_texture@{folder.name}", VGNet, Settings)
    return for_inference(network), description
