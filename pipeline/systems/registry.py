"""Every system by its name."""

from collections.abc import Callable
from pathlib import Path

from pipeline.systems import kesim_erzin
from pipeline.systems.system import System

# Name → how it is loaded: (name, data folder) → System. Raises UserError where it has not been trained.
SYSTEMS: dict[str, Callable[[str, Path], System]] = {
    "speech_without_fm": kesim_erzin.load,
    "speech": kesim_erzin.load,
    "landmark": kesim_erzin.load,
    "speech_landmark": kesim_erzin.load,
}


def load(name: str, data: Path) -> System:
    """The system of that name, as trained in `data`."""
    return SYSTEMS[name](name, data)
