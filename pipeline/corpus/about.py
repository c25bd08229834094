"""What a stage says of how it made what is in its folder: `about.json`. Who learns from it passes it on."""

import json
import os
from pathlib import Path
from typing import Any

ABOUT = "about.json"


def write_about(folder: Path, **how: Any) -> None:
    """Write it; the file appears whole."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{ABOUT}.partial"
    partial.write_text(json.dumps(how, indent=2) + "\n")
    os.replace(partial, folder / ABOUT)


def read_about(folder: Path) -> dict[str, Any]:
    """Read it."""
    return json.loads((folder / ABOUT).read_text())
