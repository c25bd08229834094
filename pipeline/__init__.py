"""Talking heads from one photo and speech.

The packages follow the DAG: corpus → features → models → training → synthesis → evaluation → report. As a library they are
`pipeline.talking`, which is loaded when one of its names is asked for here: stages do without.
"""

from importlib import import_module
from typing import Any

__all__ = ["Frame", "UserError", "Video", "compare", "load_system", "talk"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("pipeline.talking"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
