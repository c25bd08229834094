"""Checkpoints: files that are whole or not there, and their loading."""

import os
from pathlib import Path

import torch
from torch import nn

from pipeline.errors import UserError


def save(path: Path, content: dict) -> None:
    """Save a checkpoint; it appears whole under its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(content, partial)
    os.replace(partial, path)


def load_network(folder: Path, stage: str, network: type[nn.Module], settings: type) -> tuple[nn.Module, dict]:
    """The generator of best.pt in a system's folder, in evaluation mode, and what the checkpoint says of it.

    stage: what trains it, as `dvc repro` calls it. network, settings: the classes; description["settings"] are the latter's
    fields. Raises UserError where the file is missing, cannot be read, or is another system's than the folder's name says.
    """
    path = folder / "best.pt"
    if not path.exists():
        raise UserError(f"{path} does not exist; train it with `dvc repro {stage}`")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        description = checkpoint["description"]
        if description["system"] != folder.name:
            raise ValueError(f"it is one of {description['system']}")
        generator = network(settings(**description["settings"]))
        generator.load_state_dict(checkpoint["generator"])
    except Exception as error:
        raise UserError(f"{path} is not a checkpoint of this system ({type(error).__name__}); train it anew") from error
    return generator.eval(), description
