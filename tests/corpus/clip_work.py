"""What the tests of workers and of incremental stages do to a clip; a module of its own, so that workers can import it."""

import os
import time
from pathlib import Path

import numpy as np

from pipeline.corpus.incremental import Job, Made, process
from pipeline.errors import ClipRejected


def make(argument: tuple[int, str | None, str]) -> Made:
    """Some arrays that depend on the seed only; the call is noted in a file. `fate` says what goes wrong."""
    seed, fate, log = argument
    with open(log, "a") as file:
        file.write(f"{seed}\n")
    if fate == "reject":
        raise ClipRejected("no_face", f"seed {seed}")
    if fate == "die":
        os._exit(1)
    if fate == "break":
        raise ValueError("never seen before")
    if fate == "full":
        raise OSError(28, "No space left on device")
    if fate == "fewer":
        return Made({"crops": np.full((2, 3), seed)})
    if fate == "slow":
        time.sleep(0.02)
    rng = np.random.default_rng(seed)
    n = 1 + seed % 5
    return Made(
        arrays={"crops": rng.integers(0, 255, (n, 8, 8, 3), np.uint8), "mel": rng.normal(size=(2 * n, 6))},
        tables={"landmarks": {"points": rng.normal(size=(n, 68, 2)).astype(np.float32), "has_face": np.ones(n, bool)}},
        figures={"frames": n, "share": 1 / (1 + seed)},
    )


def run(folder: Path, seeds: dict[str, int], fates: dict[str, str] | None = None, **options) -> list[int]:
    """Process the clips of `seeds` (id → seed); returns the seeds of those that were worked on, in ascending order."""
    log = folder / "log"
    log.unlink(missing_ok=True)
    options = {"max_rejected": 1.0, "workers": 1, "made_by": "code"} | options
    jobs = {c: Job((seed,), (seed, (fates or {}).get(c), str(log))) for c, seed in seeds.items()}
    process("stage", make, jobs, data=folder / "data", **options)
    return sorted(map(int, log.read_text().split())) if log.exists() else []


def content(folder: Path) -> dict[str, bytes]:
    """All files of the stage's output."""
    out = folder / "data" / "stage"
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
