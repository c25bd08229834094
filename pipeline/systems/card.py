"""The card of a trained system: what a portable folder says of itself, and how one is made of what the trainings left.

data/systems/sinha/card.yaml                            what it is, and how photos, videos and speech are prepared for it
data/systems/sinha/landmark_to_texture.safetensors …    its networks' weights
"""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pipeline.corpus.about import read_about
from pipeline.errors import UserError
from pipeline.papers.registry import PAPER_OF, SYSTEMS, paper
from pipeline.training.trained import CARD, FORM, WEIGHTS, read_card, read_trained, reason_skipped, save_reason

PRETRAINED = Path("pretrained")
# What every system's user has to know; declarations add what is a system's own.
LIMITS = (
    "Draws a face crop of preprocessing.image_size pixels, of frontal faces as the corpus shows them.",
    "Make talking heads only of people who agreed to it; what it draws is synthetic and is to be shown as such.",
)


def make_system(name: str, data: Path, out: Path) -> None:
    """Bring a system's trained networks and its card together in the folder `out`.

    Where the corpus had nothing for a network to learn from, the folder holds the reason. Raises UserError where a network is
    missing, or they were trained on differently prepared data.
    """
    declared, of_paper = SYSTEMS[name], PAPER_OF[name]
    folders = {training: data / "trained" / of_paper / training for training in declared.networks}
    for folder in folders.values():
        if reason := reason_skipped(folder):
            save_reason(out, reason)
            return
    networks = {training: read_trained(folder) for training, folder in folders.items()}
    preprocessing = _agreed(name, {training: about.pop("preprocessing") for training, about in networks.items()})
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for training, folder in folders.items():
        shutil.copy(folder / WEIGHTS, out / f"{training}.safetensors")
    card = {
        "form": FORM,
        "system": name,
        "paper": of_paper,
        "title": paper(of_paper).title,
        "needs": sorted(declared.needs),
        "corpus": about_corpus(data),
        "labels": preprocessing.pop("labels", {}),
        "preprocessing": _portable(preprocessing, out),
        "networks": networks,
        "limits": [*LIMITS, *([declared.limits] if declared.limits else [])],
        "metrics": {},
    }
    (out / CARD).write_text(yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=120))


def about_corpus(data: Path) -> dict[str, Any]:
    """The corpus that a system learned from: its layout, whose list says who tests, and clips and subjects of each split."""
    import pandas as pd  # who only looks for a system does without

    clips = pd.read_parquet(data / "clips" / "clips.parquet")
    by_split = clips.groupby("split")
    splits = {split: {"clips": len(rows), "subjects": int(rows["subject"].nunique())} for split, rows in by_split}
    return read_about(data / "clips") | {"splits": splits}


def _agreed(name: str, by_network: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """How the data of all of a system's networks were prepared: it must be the same for all."""
    agreed: dict[str, Any] = {}
    for how in by_network.values():
        for key, value in how.items():
            if agreed.setdefault(key, value) != value:
                raise UserError(
                    f"the networks of {name} were trained with different {key}; `dvc repro` trains them anew"
                )
    return agreed


def _portable(preprocessing: dict[str, Any], out: Path) -> dict[str, Any]:
    """With the character network that the corpus's own transcripts made beside the weights. What the user gave stays his."""
    characters = preprocessing.get("characters")
    if not characters or characters["backend"] != "ctc":
        return preprocessing
    shutil.copy(characters["model"], out / "characters.pt")
    return preprocessing | {"characters": characters | {"model": "characters.pt"}}


def find_system(name: str, data: Path) -> Path:
    """The folder of a system that is meant by its name, or by the folder itself. Raises UserError where there is none."""
    if (Path(name) / CARD).exists():
        return Path(name)
    if name not in SYSTEMS:
        raise UserError(f"--system: {name} is no folder of a trained system and none of {', '.join(SYSTEMS)}")
    folder = data / "systems" / name
    if not folder.exists():
        raise UserError(
            f"{name} has not been trained yet: {folder} does not exist; make it with `dvc repro system_{name}`"
        )
    return folder


class KnownSystem(NamedTuple):
    """A system by the name that `find_system` takes. card: None where there is none that can be read; fault: then why."""

    name: str
    card: dict[str, Any] | None
    fault: str = ""


def known_systems(data: Path) -> list[KnownSystem]:
    """All systems, trained in `data` or not yet; and, by their folders, those that ship with the project."""

    def known(name: str) -> KnownSystem:
        try:
            return KnownSystem(name, read_card(find_system(name, data)))
        except UserError as error:
            return KnownSystem(name, None, str(error))

    shipped = [str(path.parent) for path in sorted(PRETRAINED.glob(f"*/{CARD}"))]
    return [known(name) for name in [*SYSTEMS, *shipped]]
