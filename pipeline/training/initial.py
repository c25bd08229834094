"""What a training goes on from: the same training's network in the folder of a trained system (`init_from` in params.yaml).

What such a network knows of its corpus (a mean face, principal components) stays as it is, and what it is trained for is made
with that. So its sizes and the crops have to be those that it was trained with.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.torch import load

from pipeline.errors import UserError
from pipeline.training.trained import fields_of, read_card

if TYPE_CHECKING:
    from torch import Tensor, nn

# What has to be prepared alike, by the key of params.yaml that says how; NAME stands for the faces' name.
ALIKE = {
    "fps": "corpus.fps",
    "image_size": "faces.NAME.image_size",
    "transform": "faces.NAME.transform",
    "template": "faces.NAME.template",
    "sigma": "heatmaps.sigma",
    "mel": "audio_features",
    "characters": "character_features.backend",
}


@dataclass(frozen=True)
class Initial:
    """A trained network to go on from.

    paper, training, folder: whose, and where. about: what it says of itself; preprocessing, corpus: what the card says of what
    it learned from. weights: its own, buffers among them. digest: SHA-256 of the file that holds them.
    """

    paper: str
    training: str
    folder: Path
    about: dict[str, Any]
    preprocessing: dict[str, Any]
    corpus: dict[str, Any]
    weights: "dict[str, Tensor]"
    digest: str

    @property
    def settings(self) -> dict[str, Any]:
        """What the network was built from."""
        return self.about["settings"]

    def arrays(self, *names: str) -> dict[str, np.ndarray]:
        """Those of its weights, float32, by their names."""
        return {name: self.weights[name].numpy() for name in names}

    @property
    def origin(self) -> dict[str, Any]:
        """What a network that went on from it says of that: the same wherever the folder lay."""
        return {"training": self.training, "key": self.about["key"], "corpus": self.corpus}

    def check(self, settings: Any, preprocessing: dict[str, Any], faces: str) -> None:
        """Whether a network of these settings, which learns from data so prepared, can go on from it. Raises UserError.

        settings: the generator's dataclass. What it has had since the network was trained was then as by default.
        """
        problem = next(self._differences(settings, preprocessing, faces), None)
        if problem:
            raise UserError(f"params.yaml: {problem}")

    def load_into(self, network: "nn.Module") -> None:
        """Give the network its weights. Raises UserError where they do not fit, as those of another version may not."""
        try:
            network.load_state_dict(self.weights)
        except RuntimeError as error:
            what = " ".join(str(error).split())[:120]
            raise UserError(f"{self._named}: its {self.training} does not fit this version ({what})") from error

    @property
    def _named(self) -> str:
        return f"{self.paper}.init_from: {self.folder}"

    def _differences(self, settings: Any, preprocessing: dict[str, Any], faces: str) -> Iterator[str]:
        for name in ALIKE.keys() & preprocessing.keys():
            key, here, there = ALIKE[name].replace("NAME", faces), preprocessing[name], self.preprocessing.get(name)
            if name == "characters":
                here, there = (f"{x['backend']} ({len(x['symbols'])} symbols)" for x in (here, there))
            if name == "template" and not _equal(here, there):
                yield f"{key} has to be {self.folder}, as {self._named} was trained on crops by another mean face"
            elif not _equal(here, there):
                yield f"{key} is {here}, and {self._named} was trained with {there}"
        by_default = {field.name: field.default for field in fields(settings) if field.default is not MISSING}
        for name, here in fields_of(settings).items():
            there = (by_default | self.settings).get(name)
            if not _equal(here, there):
                yield f"{self.paper}: {name} is {here}, and that of {self.training} in {self._named} is {there}"


def initial(init_from: str | None, paper: str, training: str) -> Initial | None:
    """The network that a training of a paper begins with; None where it begins anew, as nothing or no such network is named.

    Raises UserError where the folder holds no system of the paper, or cannot be read.
    """
    if init_from is None:
        return None
    folder, name = Path(init_from), f"{paper}_{training}"
    card = read_card(folder)
    if card["paper"] != paper:
        raise UserError(f"params.yaml: {paper}.init_from: {folder} holds a system of {card['paper']}")
    if training not in card["networks"]:
        print(f"{name}: begins anew: {folder} holds no {training}")
        return None
    path, about = folder / f"{training}.safetensors", card["networks"][training]
    try:
        stored = path.read_bytes()
        weights = load(stored)
    except Exception as error:  # of many kinds
        raise UserError(
            f"params.yaml: {paper}.init_from: {path} cannot be read ({type(error).__name__}); take the folder anew"
        ) from error
    print(f"{name}: goes on from {folder}, {about['key'][:8]}")
    digest = hashlib.sha256(stored).hexdigest()
    return Initial(paper, training, folder, about, card["preprocessing"], card["corpus"], weights, digest)


def _equal(here: Any, there: Any) -> bool:
    """Whether two values of parameters mean the same; a number that was divided and multiplied again does."""
    if isinstance(here, list) and isinstance(there, list):
        return len(here) == len(there) and all(map(_equal, here, there))
    if isinstance(here, float) and isinstance(there, int | float):
        return math.isclose(here, there, rel_tol=1e-9)
    return here == there
