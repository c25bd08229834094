"""Every system by its name."""

from collections.abc import Callable
from pathlib import Path

from pipeline.systems import audio_au, cascade, emotion, kesim_erzin
from pipeline.systems.system import System

# Name → how it is loaded: (name, data folder) → System. Raises UserError where it has not been trained.
SYSTEMS: dict[str, Callable[[str, Path], System]] = {
    "speech_without_fm": kesim_erzin.load,
    "speech": kesim_erzin.load,
    "landmark": kesim_erzin.load,
    "speech_landmark": kesim_erzin.load,
    "atvgnet": cascade.load_atvgnet,
    "atvgnet_true_landmarks": cascade.load_atvgnet,
    "identity_preserving": cascade.load_identity_preserving,
    "identity_preserving_true_landmarks": cascade.load_identity_preserving,
    "audio_au": audio_au.load,
    "emotion": emotion.load,
}

# Those that follow a driving video; the others speak.
LANDMARK_DRIVEN = ("landmark", "speech_landmark", "atvgnet_true_landmarks", "identity_preserving_true_landmarks")


def load(name: str, data: Path) -> System:
    """The system of that name, as trained in `data`."""
    return SYSTEMS[name](name, data)
