"""Checkpoints: files that are whole or not there, and their loading."""

import os
from pathlib import Path

import torch

from pipeline.errors import UserError


def save(path: Path, content: dict) -> None:
    """Save a checkpoint; it appears whole under its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(content, partial)
    os.replace(partial, path)


def load_checkpoint(path: Path, stage: str) -> dict:
    """Read a best.pt: {"generator", "description", "epoch"}.

    stage: what trains it, as `dvc repro` calls it. Raises UserError where the file is missing or is no such checkpoint.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist; train it with `dvc repro {stage}`")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        _ = checkpoint["generator"], checkpoint["description"]["system"]
    except Exception as error:
        raise not_of_this_system(path, error) from error
    return checkpoint


def not_of_this_system(path: Path, error: Exception) -> UserError:
    """What to raise where a checkpoint can be read, or not even that, and its weights do not fit the networks."""
    return UserError(f"{path} is not a checkpoint of this system ({type(error).__name__}); train it anew")
