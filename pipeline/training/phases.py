"""Trainings in two phases, the second of which goes on from the networks of the first."""

from pathlib import Path

import torch

from pipeline.training.loop import write_losses


def finished(last: Path, key: str, epochs: int, losses: Path) -> bool:
    """Whether the phase that left `last`, a last.pt, was this very one and had all its epochs; its losses are written again."""
    if not last.exists():
        return False
    saved = torch.load(last, map_location="cpu", weights_only=True)
    if saved["key"] != key or saved["state"]["epoch"] != epochs:
        return False
    write_losses(losses, saved["state"]["losses"])
    print(f"{last.parent} has its {epochs} epochs behind it")
    return True
