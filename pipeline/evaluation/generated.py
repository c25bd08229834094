"""What was generated of the test clips: what there is to compare, with what, where it lies, and how figures are kept."""

import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.corpus.about import read_about
from pipeline.corpus.shards import Shards
from pipeline.errors import UserError
from pipeline.papers.registry import SYSTEMS
from pipeline.references import REFERENCES

shards = cache(Shards)  # opened once per process


@dataclass(frozen=True)
class Compared:
    """A row of the tables.

    name: in tables and charts. of: the system or reference that it is of. faces: which it is of, and whose truth it is compared
    with. folder: where its frames lie in data/synthesis, its landmarks in data/detection, its videos in data/videos.
    """

    name: str
    of: str
    faces: str
    folder: str

    def frames(self, data: Path) -> Shards:
        """Its clips' frames, uint8 (T, S, S, 3) each."""
        return shards(data / "synthesis" / self.folder / "frames")

    def found(self, data: Path) -> Shards:
        """The landmarks that a detector finds in them, (T, 68, 2) each; NaN where it finds no face."""
        return shards(data / "detection" / self.folder / "frames")


def compared(data: Path) -> list[Compared]:
    """References and systems that were synthesised, in the order of tables and charts.

    Where systems see different faces, there are references of each, such as static_large; else they are called static, ….
    """
    synthesised = [name for name in SYSTEMS if (data / "synthesis" / name / "frames").exists()]
    systems = [Compared(name, name, read_about(data / "synthesis" / name)["faces"], name) for name in synthesised]
    seen = list(dict.fromkeys(system.faces for system in systems))
    references = [
        Compared(name if len(seen) == 1 else f"{name}_{faces}", name, faces, f"references/{faces}/{name}")
        for faces in seen
        for name in REFERENCES
    ]
    return references + systems


def truth_of(row: Compared, rows: list[Compared]) -> Compared:
    """The row that another one is compared with."""
    return next(other for other in rows if other.of == "ground_truth" and other.faces == row.faces)


def about_faces(faces: str, data: Path) -> dict[str, Any]:
    """How the crops that are compared were made: fps, image_size, transform, template (68, 2), …"""
    return read_about(data / "synthesis" / "references" / faces)


def tested_clips(rows: list[Compared], data: Path, split: str) -> pd.DataFrame:
    """A row (split, subject, sentence, emotion) for each clip that was generated.

    Raises UserError where none of them is in `split`.
    """
    clips = pd.read_parquet(data / "usable_clips.parquet").set_index("clip").loc[sorted(rows[0].frames(data))]
    if split not in set(clips["split"]):
        raise UserError(f"params.yaml: evaluation.split: no clip is left in {split}; choose the other test split")
    return clips


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Figures as `dvc metrics` reads them."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file; it appears whole under its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text)
    os.replace(partial, path)
