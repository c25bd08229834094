"""A trained network on disk: `network.safetensors` with its weights, and `about.json` with what it is; or why there is none.

And what a trained system's folder says of itself, its card (`pipeline.systems.card` makes it).

Who only reads what a network says of itself does without torch, which takes seconds to load.
"""

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pipeline.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

WEIGHTS, ABOUT = "network.safetensors", "about.json"
# A system's card, its form, and what stands on it, the last of which shows that it is whole.
CARD, FORM = "card.yaml", 1
CARD_KEYS = ("system", "paper", "needs", "corpus", "preprocessing", "networks", "metrics")
# What stands in the place of both where there was nothing to learn from.
SKIPPED = "skipped.txt"


def save_network(folder: Path, weights: "dict[str, Tensor]", about: dict[str, Any]) -> None:
    """Leave a network in `folder`, which appears whole. about: "settings" (its dataclass's fields), "preprocessing", …"""
    from safetensors.torch import save

    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    stored = save({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()})
    (partial / WEIGHTS).write_bytes(stored)
    (partial / ABOUT).write_text(json.dumps(about, indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)


def save_reason(folder: Path, reason: str) -> None:
    """Leave why nothing was trained, and no network, not even an older one."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / SKIPPED).write_text(f"{reason}\n")


def reason_skipped(folder: Path) -> str | None:
    """Why there is no network in `folder`; None where the training was not skipped."""
    path = folder / SKIPPED
    return path.read_text().strip() if path.exists() else None


def read_trained(folder: Path) -> dict[str, Any]:
    """What a trained network says of itself. Raises UserError where there is none or it cannot be read, naming the stage that
    trains it."""
    if reason := reason_skipped(folder):
        raise UserError(f"{folder} could not be trained on this corpus: {reason}")
    path = folder / ABOUT
    if not path.exists():
        raise UserError(f"{folder} holds no trained network; make it with `dvc repro {stage_of(folder)}`")
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path} cannot be read ({error}); make it anew with `dvc repro {stage_of(folder)}`") from error


def stage_of(folder: Path) -> str:
    """The stage that trains what is in data/trained/PAPER/TRAINING."""
    return "_".join(folder.parts[folder.parts.index("trained") + 1 :]) if "trained" in folder.parts else folder.name


def load_network(folder: Path, network: "type[nn.Module]", settings: type) -> "tuple[nn.Module, dict[str, Any]]":
    """The network in a folder, in evaluation mode, and what it says of itself.

    network, settings: the classes. Raises UserError where it is missing, cannot be read, or is another network.
    """
    about = read_trained(folder)
    return build(folder / WEIGHTS, about["settings"], network, settings), about


def build(weights: Path, values: dict[str, Any], network: "type[nn.Module]", settings: type) -> "nn.Module":
    """A network of those settings with the weights of a file, in evaluation mode. Raises UserError where they do not fit."""
    from safetensors.torch import load_file

    try:
        built = network(settings(**values))
        built.load_state_dict(load_file(weights))
    except Exception as error:
        what = " ".join(str(error).split())[:120]
        raise UserError(f"{weights} does not hold this system's network ({type(error).__name__}: {what})") from error
    return built.eval()


def read_card(folder: Path) -> dict[str, Any]:
    """A system's card. Raises UserError where the folder is none, or one of another form."""
    path = folder / CARD
    if reason := reason_skipped(folder):
        raise UserError(f"{folder.name} could not be trained on this corpus: {reason}")
    if not path.exists():
        raise UserError(f"{folder} holds no trained system: {CARD} is missing")
    try:
        card = yaml.safe_load(path.read_text())
        form = card["form"]
    except (yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not the card of a trained system ({type(error).__name__})") from error
    if form != FORM:
        raise UserError(
            f"{path} is of form {form}, and this version reads form {FORM}: make the system with the same version"
        )
    if missing := [key for key in CARD_KEYS if key not in card]:
        raise UserError(f"{path} is not whole: {missing[0]} is missing; take the folder anew from where it was made")
    return card


def fields_of(settings: Any) -> dict[str, Any]:
    """A settings dataclass's fields as JSON gives them back."""
    return json.loads(json.dumps(asdict(settings)))
