"""Train one of Kesim & Erzin's four systems from the shards, and load a trained one."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from pipeline.errors import UserError
from pipeline.features.windows import columns_per_frame, window_columns
from pipeline.models.kesim_erzin import Generator, KesimErzin, Settings
from pipeline.parameters import Parameters
from pipeline.training.data import ClipStore, TrainingClips
from pipeline.training.loop import fit
from pipeline.training.machine import fabric_for

# Table 1's rows: what drives each beside the reference image.
INPUTS = {
    "speech_without_fm": {"speech": True, "landmarks": False},
    "speech": {"speech": True, "landmarks": False},
    "landmark": {"speech": False, "landmarks": True},
    "speech_landmark": {"speech": True, "landmarks": True},
}

# The modules that a training's result depends on.
CODE = [
    *(f"models/{name}.py" for name in ("blocks", "gan", "kesim_erzin")),
    *(f"training/{name}.py" for name in ("checkpoints", "data", "end_to_end", "loop", "machine")),
]


def train(system: str, p: Parameters, data: Path, losses: Path) -> None:
    """Train `system` (a key of INPUTS) on the training split; leaves checkpoints in data/end_to_end/SYSTEM."""
    weights = dict(getattr(p.end_to_end, system).weights)
    if not any(weights.values()):
        raise UserError(f"params.yaml: end_to_end.{system}.weights: all are 0, so that there is nothing to train for")
    fabric, memory_format = fabric_for(p.training.device, p.training.precision)
    columns = columns_per_frame(p.audio_features.sample_rate, p.audio_features.window_ms, p.corpus.fps)
    schedule, inputs = p.kesim_erzin, INPUTS[system]
    clips = TrainingClips(
        ClipStore(data, columns, schedule.context_frames), **inputs, excerpt_frames=schedule.excerpt_frames, seed=p.seed
    )
    settings = Settings(
        **inputs,
        image_size=p.alignment.image_size,
        mel_columns=window_columns(columns, schedule.context_frames),
        mel_bands=p.audio_features.mel_bands,
        width=schedule.width,
        decision_every=schedule.decision_every,
    )
    description = {
        "system": system,
        "settings": asdict(settings),
        "weights": weights,
        "preprocessing": {
            "fps": p.corpus.fps,
            "audio_features": dict(p.audio_features),
            "context_frames": schedule.context_frames,
            "sigma": p.heatmaps.sigma,
            "transform": p.alignment.transform,
            "template": np.load(data / "alignment" / "template.npy").tolist(),
        },
    }
    torch.manual_seed(p.seed)
    model = KesimErzin(settings, weights)
    key = _key(description | {"schedule": schedule.model_dump(exclude={"epochs"}), "seed": p.seed}, data)
    fit(fabric, memory_format, model, clips, schedule, data / "end_to_end" / system, losses, description, key)


def _key(description: dict, data: Path) -> str:
    """A fingerprint of all that a training depends on: parameters, shards, and the code of networks and training."""
    fingerprint = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    code = Path(__file__).parents[1]
    files = [*(code / module for module in CODE), data / "clips" / "clips.parquet"]
    for folder in ("alignment/crops", "heatmaps/images", "audio_features/mel"):
        files += [*(data / folder).glob("*.npz")]
    for path in sorted(files):
        with path.open("rb") as file:
            fingerprint.update(hashlib.file_digest(file, "sha256").digest())
    return fingerprint.hexdigest()


@dataclass(frozen=True)
class Trained:
    """A trained system: its generator, and how its input was prepared."""

    system: str
    generator: Generator
    preprocessing: dict


def load(folder: Path) -> Trained:
    """Load best.pt from a system's folder. Raises UserError where it is missing or is not such a checkpoint."""
    path = folder / "best.pt"
    if not path.exists():
        raise UserError(f"{path} does not exist; train it with `dvc repro end_to_end@{folder.name}`")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        description = checkpoint["description"]
        generator = Generator(Settings(**description["settings"]))
        generator.load_state_dict(checkpoint["generator"])
    except Exception as error:
        raise UserError(f"{path} is not a checkpoint of this system ({type(error).__name__}); train it anew") from error
    return Trained(description["system"], generator.eval(), description["preprocessing"])
