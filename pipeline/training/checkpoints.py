"""Checkpoints: files that are whole or not there."""

import os
from pathlib import Path

import torch


def save(path: Path, content: dict) -> None:
    """Save a checkpoint; it appears whole under its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(content, partial)
    os.replace(partial, path)
