"""The papers' own figures, as `published.yaml` has them."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from pipeline.report.definitions import METRICS

FILE = Path(__file__).with_suffix(".yaml")


@cache
def published() -> dict[str, dict[str, Any]]:
    """By paper, the name of its folder: `paper`, `differs`, `results`, and `tables`, rows by the paper's own heading."""
    return yaml.safe_load(FILE.read_text())


def as_table(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Rows of `published.yaml` under the headings that metrics have here; – where a row has no such figure."""
    columns = dict.fromkeys(key for row in rows for key in row)
    return [{heading(key): row.get(key, "–") for key in columns} for row in rows]


def heading(key: str) -> str:
    """A metric's, or the key itself."""
    return METRICS[key].heading if key in METRICS else key
