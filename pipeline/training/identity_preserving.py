"""Train Sinha's two networks from the shards, and load trained ones: speech to landmarks, landmarks to frames."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pipeline.errors import UserError
from pipeline.features.canonical import canonical_displacements
from pipeline.features.landmarks import inter_ocular_distance
from pipeline.features.pca import fit_pca
from pipeline.models.identity_preserving import (
    SPOKEN,
    AudioToLandmark,
    LandmarkNet,
    LandmarkSettings,
    LandmarkToTexture,
    Speech,
    TextureGenerator,
    TextureSettings,
    Video,
    pixel_mask,
)
from pipeline.parameters import Parameters
from pipeline.training.checkpoints import load_network
from pipeline.training.data import ClipStore, Excerpts, about_crops, heatmaps_to_tensor, images_to_tensor, training_key
from pipeline.training.faces import face_statistics
from pipeline.training.loop import fit
from pipeline.training.machine import fabric_for

SYSTEM = "identity_preserving"
SHARED_CODE = ("features/landmarks.py", "models/identity_preserving.py", "training/identity_preserving.py")
LANDMARK_CODE = (*SHARED_CODE, "features/alignment.py", "features/canonical.py", "features/pca.py", "training/faces.py")
TEXTURE_CODE = (*SHARED_CODE, "features/heatmap.py", "models/gan.py")


def train_audio_to_landmark(p: Parameters, data: Path, losses: Path) -> None:
    """Leaves checkpoints in data/audio_to_landmark/identity_preserving."""
    schedule = p.identity_preserving.audio_to_landmark
    weights = _weights(schedule, "audio_to_landmark")
    fabric, memory_format = fabric_for(p.training.device, p.training.precision)
    store = ClipStore(data, "characters", "landmarks", "neutral")
    faces = face_statistics(store)
    excerpts = SpeechExcerpts(store, schedule.excerpt_frames, p.seed, faces["mean_neutral"])
    moved = np.concatenate([excerpts.displacements(clip)[:, SPOKEN] for clip in excerpts.train])
    mean, components, _ = fit_pca(moved, schedule.variance)
    about = json.loads((data / "character_features" / "about.json").read_text())
    width, boost = p.identity_preserving.width, schedule.boost
    settings = LandmarkSettings(len(about["symbols"]), len(components), width, boost)
    characters = {"backend": about["backend"], "model": about["model"]}
    description = _description(p, data, settings, weights, characters=characters)
    torch.manual_seed(p.seed)
    model = AudioToLandmark(settings, weights)
    model.generator.start_from(mean, components, faces)
    optimizers = {"generator": _adam(model.generator, p, schedule)}
    key = _key(description, p, schedule, store, LANDMARK_CODE)
    out = data / "audio_to_landmark" / SYSTEM
    fit(fabric, memory_format, model, optimizers, excerpts, schedule.epochs, out, losses, description, key)


def train_landmark_to_texture(p: Parameters, data: Path, losses: Path) -> None:
    """Leaves checkpoints in data/landmark_to_texture/identity_preserving."""
    schedule = p.identity_preserving.landmark_to_texture
    weights = _weights(schedule, "landmark_to_texture")
    fabric, memory_format = fabric_for(p.training.device, p.training.precision)
    store = ClipStore(data, "crops", "heatmaps")
    excerpts = VideoExcerpts(store, schedule.excerpt_frames, p.seed)
    settings = TextureSettings(p.identity_preserving.width)
    description = _description(p, data, settings, weights, sigma=p.heatmaps.sigma)
    mask = pixel_mask(np.load(data / "alignment" / "template.npy"), p.alignment.image_size)
    torch.manual_seed(p.seed)
    model = LandmarkToTexture(settings, weights, mask)
    optimizers = {
        "generator": _adam(model.generator, p, schedule),
        "discriminators": _adam(model.discriminator, p, schedule),
    }
    key = _key(description, p, schedule, store, TEXTURE_CODE)
    out = data / "landmark_to_texture" / SYSTEM
    fit(fabric, memory_format, model, optimizers, excerpts, schedule.epochs, out, losses, description, key)


def load_audio_to_landmark(folder: Path) -> tuple[LandmarkNet, dict]:
    """The trained network of best.pt in `folder`, and its description. Raises UserError where there is none."""
    return load_network(folder, f"audio_to_landmark@{folder.name}", LandmarkNet, LandmarkSettings)


def load_landmark_to_texture(folder: Path) -> tuple[TextureGenerator, dict]:
    """The trained generator of best.pt in `folder`, and its description. Raises UserError where there is none."""
    return load_network(folder, f"landmark_to_texture@{folder.name}", TextureGenerator, TextureSettings)


class SpeechExcerpts(Excerpts):
    """Character features and true displacements."""

    def __init__(self, store: ClipStore, length: int | None, seed: int, mean_neutral: np.ndarray):
        super().__init__(store, length, seed)
        self.mean_neutral = mean_neutral

    def excerpt(self, clip: str, span: slice, rng: np.random.Generator, augment: bool) -> Speech:
        characters = torch.tensor(self.store.characters[clip][span])
        return Speech(characters, torch.from_numpy(self.displacements(clip, span)))

    def displacements(self, clip: str, span: slice = slice(None)) -> np.ndarray:
        """Canonical displacements in distances of the mean face's eyes: float32 (T, 68, 2)."""
        landmarks, neutral = self.store.landmarks.landmarks(clip)[span], self.store.neutral[clip]
        moved = canonical_displacements(landmarks, neutral, self.mean_neutral)
        return (moved / inter_ocular_distance(self.mean_neutral)).astype(np.float32)


class VideoExcerpts(Excerpts):
    """Frames and their landmark images, half of them mirrored in training.

    The photo is any frame of the clip (the paper is silent), so that its mouth is open in some and closed in others; in
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


def _weights(schedule, stage: str) -> dict[str, float]:
    weights = dict(schedule.weights)
    if not any(weights.values()):
        raise UserError(f"params.yaml: identity_preserving.{stage}.weights: all are 0; there is nothing to train for")
    return weights


def _description(p: Parameters, data: Path, settings, weights: dict[str, float], **preprocessing) -> dict:
    return {
        "system": SYSTEM,
        "settings": asdict(settings),
        "weights": weights,
        "preprocessing": about_crops(p, data) | preprocessing,
    }


def _adam(network: nn.Module, p: Parameters, schedule) -> torch.optim.Adam:
    return torch.optim.Adam(
        network.parameters(), schedule.learning_rate, tuple(p.identity_preserving.betas), fused=True
    )


def _key(description: dict, p: Parameters, schedule, store: ClipStore, code: tuple[str, ...]) -> str:
    trained = {"schedule": schedule.model_dump(exclude={"epochs"}), "betas": p.identity_preserving.betas}
    return training_key(description | trained | {"seed": p.seed}, store, code)
