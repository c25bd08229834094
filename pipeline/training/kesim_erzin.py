"""Train one of Kesim & Erzin's four systems from the shards, and load a trained one."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import UserError
from pipeline.features.windows import columns_per_frame, mel_windows, window_columns
from pipeline.models.kesim_erzin import NOISE_SIZE, Clip, Generator, KesimErzin, Settings
from pipeline.parameters import Parameters
from pipeline.training.checkpoints import load_network
from pipeline.training.data import ClipStore, Excerpts, about_crops, heatmaps_to_tensor, images_to_tensor, training_key
from pipeline.training.loop import fit
from pipeline.training.machine import fabric_for

# Table 1's rows: what drives each beside the reference image.
INPUTS = {
    "speech_without_fm": {"speech": True, "landmarks": False},
    "speech": {"speech": True, "landmarks": False},
    "landmark": {"speech": False, "landmarks": True},
    "speech_landmark": {"speech": True, "landmarks": True},
}

# The paper's modules that a training's result depends on.
CODE = ("features/windows.py", "models/gan.py", "models/kesim_erzin.py", "training/kesim_erzin.py")


def train(system: str, p: Parameters, data: Path, losses: Path) -> None:
    """Train `system` (a key of INPUTS) on the training split; leaves checkpoints in data/end_to_end/SYSTEM."""
    weights = dict(getattr(p.end_to_end, system).weights)
    if not any(weights.values()):
        raise UserError(f"params.yaml: end_to_end.{system}.weights: all are 0, so that there is nothing to train for")
    fabric, memory_format = fabric_for(p.training.device, p.training.precision)
    columns = columns_per_frame(p.audio_features.sample_rate, p.audio_features.window_ms, p.corpus.fps)
    schedule, inputs = p.kesim_erzin, INPUTS[system]
    store = ClipStore(data, "crops", "heatmaps", "mel")
    context = schedule.context_frames
    clips = Clips(store, schedule.excerpt_frames, p.seed, **inputs, columns=columns, context=context)
    settings = Settings(
        **inputs,
        image_size=p.alignment.image_size,
        mel_columns=window_columns(columns, context),
        mel_bands=p.audio_features.mel_bands,
        width=schedule.width,
        decision_every=schedule.decision_every,
    )
    description = {
        "system": system,
        "settings": asdict(settings),
        "weights": weights,
        "preprocessing": about_crops(p, data)
        | {"audio_features": dict(p.audio_features), "context_frames": context, "sigma": p.heatmaps.sigma},
    }
    torch.manual_seed(p.seed)
    model = KesimErzin(settings, weights)
    rates, betas = schedule.learning_rate, tuple(schedule.betas)
    judges = [*model.frame_discriminator.parameters(), *model.sequence_discriminator.parameters()]
    optimizers = {
        "generator": torch.optim.Adam(model.generator.parameters(), rates.generator, betas, fused=True),
        "discriminators": torch.optim.Adam(judges, rates.discriminator, betas, fused=True),
    }
    key = training_key(description | {"schedule": schedule.model_dump(exclude={"epochs"}), "seed": p.seed}, store, CODE)
    out = data / "end_to_end" / system
    fit(fabric, memory_format, model, optimizers, clips, schedule.epochs, out, losses, description, key)


class Clips(Excerpts):
    """Clips as the networks take them, half of them mirrored in training (Kesim & Erzin §4.1)."""

    def __init__(
        self,
        store: ClipStore,
        length: int | None,
        seed: int,
        speech: bool,
        landmarks: bool,
        columns: float,
        context: int,
    ):
        super().__init__(store, length, seed)
        self.speech, self.landmarks, self.columns, self.context = speech, landmarks, columns, context

    def excerpt(self, clip: str, span: slice, rng: np.random.Generator, augment: bool) -> Clip:
        noise = torch.from_numpy(rng.standard_normal(NOISE_SIZE, np.float32))
        return self.clip(clip, noise, span, mirror=augment and bool(rng.integers(2)))

    def clip(self, clip_id: str, noise: Tensor, span: slice = slice(None), mirror: bool = False) -> Clip:
        """The frames of `span`. The reference is the clip's first frame in any case."""
        crops, heatmaps = self.store.crops[clip_id], self.store.heatmaps[clip_id]
        flip = -1 if mirror else 1
        mel = None
        if self.speech:
            windows = mel_windows(self.store.mel[clip_id], len(crops), self.columns, self.context)
            mel = torch.from_numpy(windows[span].copy())
        return Clip(
            reference=images_to_tensor(crops[:1, :, ::flip])[0],
            noise=noise,
            frames=images_to_tensor(crops[span, :, ::flip]),
            mel=mel,
            heatmaps=heatmaps_to_tensor(heatmaps[span, :, ::flip]) if self.landmarks else None,
            reference_heatmap=heatmaps_to_tensor(heatmaps[:1, :, ::flip])[0] if self.landmarks else None,
        )


def noise_vector(*seed: int) -> Tensor:
    """The noise of one video (Kesim & Erzin §3.3): standard normal, the same for the same seed whatever was drawn before."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(NOISE_SIZE, np.float32))


def load(folder: Path) -> tuple[Generator, dict]:
    """The generator of best.pt in a system's folder, in evaluation mode, and the checkpoint's description.

    Raises UserError where the file is missing or is not such a checkpoint.
    """
    return load_network(folder, f"end_to_end@{folder.name}", Generator, Settings)
