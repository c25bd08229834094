"""A trained system in use: loaded from its folder, it draws frames from a photo and what drives it."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.papers.interface import Drawn, Driving
from pipeline.papers.registry import PAPER_OF
from pipeline.systems.preprocessing import Preprocessing
from pipeline.training.trained import CARD, build, read_card


@dataclass(frozen=True)
class System:
    """A system in use. needs: names of `Driving`'s fields that drive it; frames, landmarks: as of `interface.Use`."""

    name: str
    card: dict[str, Any]
    needs: frozenset[str]
    preprocessing: Preprocessing
    frames: Callable[[np.ndarray, Driving, int], Iterator[Drawn]]
    landmarks: Callable[[Driving, int], np.ndarray] | None
    checksum: str = "none"  # of its weights' files, see `checksum`; "none" where they are in no file

    @property
    def image_size(self) -> int:
        """Pixels of a frame's side."""
        return self.preprocessing.image_size

    def driving(
        self,
        n_frames: int,
        photo_landmarks: np.ndarray,
        sound: np.ndarray | None,
        sample_rate: int,
        landmarks: np.ndarray | None = None,
        emotion: str | None = None,
    ) -> Driving:
        """What drives the system, of all that there is; what it does not need is left out.

        sound: float in −1 … 1, (samples,) at `sample_rate` Hz. emotion: None = neutral. The others: as of `Driving`.
        """
        return Driving(
            n_frames,
            photo_landmarks,
            landmarks=landmarks if "landmarks" in self.needs else None,
            emotion=(emotion or "NEU") if "emotion" in self.needs else None,
            **({} if sound is None else self.preprocessing.speech(sound, sample_rate, n_frames, self.needs)),
        )

    @property
    def key(self) -> str:
        """Of all that its networks were trained on and with, shortened: says more than the state of the code."""
        return "-".join(about["key"][:8] for about in self.card["networks"].values())


def load_system(folder: Path) -> System:
    """A trained system, ready to use. Raises UserError where a file is missing, damaged or does not fit the others."""
    card = read_card(folder)
    module = import_module(f"pipeline.papers.{_known_paper(card, folder)}.use")
    how = dict(card["preprocessing"])
    characters = how.get("characters")
    if characters and (folder / str(characters["model"])).is_file():
        how["characters"] = characters | {"model": str(folder / characters["model"])}

    def network(training: str, kind: type, settings: type) -> Any:
        return build(folder / f"{training}.safetensors", card["networks"][training]["settings"], kind, settings)

    frames, landmarks = module.load(card["system"], network, how)
    needs, preprocessing = frozenset(card["needs"]), Preprocessing.of(how)
    return System(card["system"], card, needs, preprocessing, frames, landmarks, checksum(folder))


def checksum(folder: Path) -> str:
    """Of a system's weights, its first 12 digits: `cat FOLDER/*.safetensors | sha256sum` prints it whole."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _known_paper(card: dict[str, Any], folder: Path) -> str:
    if PAPER_OF.get(card["system"]) != card["paper"]:
        raise UserError(f"{folder / CARD}: there is no system {card['system']} of the paper {card['paper']} here")
    return card["paper"]
