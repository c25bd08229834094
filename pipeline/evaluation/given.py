"""Networks whose weights the user gives: LPIPS of each clip, and what FID and FVD of all clips are made of.

Nothing is loaded, torch neither, where no weights are given, and nothing is measured then: no figure, and no 0.
"""

from hashlib import file_digest
from pathlib import Path
from typing import NamedTuple

import numpy as np

# Of each clip; and of the frames of all clips together.
OF_CLIPS, OF_SETS = ("lpips",), ("fid", "fvd")
WORDS = {
    "lpips": "version 0.1, AlexNet, mean of frames",
    "fid": "Inception-v3 of 2015 at 299 px, every fifth frame of all clips; biased, compare at equal n",
    "fvd": "I3D at 224 px, windows of 16 frames of all clips; biased, compare at equal n",
}


class Given(NamedTuple):
    """Where the weights lie, None where none are given. lpips: a folder, the others files (docs/metrics.md)."""

    lpips: Path | None = None
    fid: Path | None = None
    fvd: Path | None = None

    @property
    def paths(self) -> dict[str, Path]:
        """Of those that are given."""
        return {kind: path for kind, path in self._asdict().items() if path}

    def checked(self) -> "Given":
        """The same, each network loaded once before any work is done. Raises UserError where one cannot be used."""
        for kind, path in self.paths.items():
            from pipeline.evaluation.perceptual import load

            load(kind, path)
        return self

    def described(self) -> dict[str, str]:
        """For the signature: how each figure is taken, and the SHA-256 of the weights."""
        return {kind: f"{WORDS[kind]}; SHA-256 {_digests(path)}" for kind, path in self.paths.items()}


NOTHING = Given()


def given_metrics(given: Given, truth: np.ndarray, generated: np.ndarray) -> dict[str, float]:
    """OF_CLIPS, as far as weights are given, of as many frames of both, uint8 (T, S, S, 3)."""
    if not given.lpips:
        return {}
    from pipeline.evaluation.perceptual import lpips

    return {"lpips": lpips(given.lpips, truth, generated)}


def given_features(given: Given, truth: np.ndarray, generated: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By OF_SETS, as far as weights are given, features (n, d) of as many real and generated frames, uint8 (T, S, S, 3)."""
    wanted = {kind: path for kind, path in given.paths.items() if kind in OF_SETS}
    if not wanted:
        return {}
    from pipeline.evaluation.perceptual import features

    return {kind: (features(kind, path, truth), features(kind, path, generated)) for kind, path in wanted.items()}


def _digests(path: Path) -> str:
    found = []
    for part in sorted(path.glob("*.pth")) if path.is_dir() else [path]:
        with part.open("rb") as file:
            found.append(file_digest(file, "sha256").hexdigest()[:16])
    return ", ".join(found)
