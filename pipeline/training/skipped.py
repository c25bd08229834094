"""Trainings that a corpus leaves nothing to do for: they say so, and what comes after them goes on without."""

from pathlib import Path

# What stands in the place of the checkpoints, and says why there are none.
SKIPPED = "skipped.txt"


def skip(out: Path, reason: str, losses: Path) -> None:
    """Leave the reason in `out`, no checkpoint, not even an older one, and a table of no losses."""
    for path in out.rglob("*.pt"):
        path.unlink()
    out.mkdir(parents=True, exist_ok=True)
    (out / SKIPPED).write_text(reason + "\n")
    losses.parent.mkdir(parents=True, exist_ok=True)
    losses.write_text("epoch,validation_error\n")
    print(f"{out.name}: skipped: {reason}")


def reason_skipped(out: Path) -> str | None:
    """Why there is no checkpoint in `out`; None where the training was not skipped."""
    path = out / SKIPPED
    return path.read_text().strip() if path.exists() else None
