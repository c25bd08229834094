"""What was generated of the test clips, by system: what there is to compare, where it lies, and how figures are kept."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.corpus.shards import Shards
from pipeline.errors import UserError
from pipeline.papers.registry import SYSTEMS
from pipeline.references import REFERENCES

shards = cache(Shards)  # opened once per process


def compared(data: Path) -> list[str]:
    """References and systems that were synthesised, in the order of tables and charts."""
    return [name for name in (*REFERENCES, *SYSTEMS) if frames_of(name, data).exists()]


def frames_of(system: str, data: Path) -> Path:
    """The shards of a system's frames."""
    return data / "synthesis" / system / "frames"


def tested_clips(data: Path, split: str) -> pd.DataFrame:
    """A row (split, subject, sentence, emotion) for each clip that was generated.

    Raises UserError where none of them is in `split`.
    """
    clips = (
        pd.read_parquet(data / "usable_clips.parquet").set_index("clip").loc[sorted(shards(frames_of("static", data)))]
    )
    if split not in set(clips["split"]):
        raise UserError(f"params.yaml: evaluation.split: no clip is left in {split}; choose the other test split")
    return clips


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Figures as `dvc metrics` reads them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
