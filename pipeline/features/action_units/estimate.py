"""Action units of one clip by the backend of choice; results of different backends are not comparable."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from pipeline.errors import ClipRejected, UserError
from pipeline.features.action_units.blendshapes import mediapipe_action_units
from pipeline.features.action_units.geometry import landmark_action_units
from pipeline.features.action_units.openface import openface_action_units
from pipeline.features.action_units.units import ActionUnits
from pipeline.video import stream_frames

Backend = Literal["landmarks", "openface", "mediapipe"]


class Clip(NamedTuple):
    """What the backends read of a clip: its video, and what the landmarks stage found in it (T frames on the video's clock)."""

    video: Path
    landmarks: np.ndarray  # raw, (T, 68, 2)
    has_face: np.ndarray  # bool (T,); elsewhere landmarks are bridged


def estimate(
    clip: Clip,
    fps: float,
    backend: Backend,
    command: str | Sequence[str] = "FeatureExtraction",
    time_limit_s: float = 120,
    min_confidence: float = 0.8,
    model: str | None = None,
) -> ActionUnits:
    """Action units of every frame of the clip; the parameters are those of `action_units` in params.yaml.

    Raises ClipRejected (no_face, openface_failed, openface_timeout, and what `stream_frames` does); UserError where the backend
    is not installed, or unknown.
    """
    n_frames = len(clip.landmarks)
    if backend == "landmarks":
        units = landmark_action_units(np.where(clip.has_face[:, None, None], clip.landmarks, np.nan), fps)
    elif backend == "openface":
        units = openface_action_units(clip.video, n_frames, fps, command, time_limit_s, min_confidence)
    elif backend == "mediapipe":
        units = mediapipe_action_units(stream_frames(clip.video, fps), fps, model)
    else:
        raise UserError(f"action_units.backend must be landmarks, openface or mediapipe (got {backend})")
    if units.missing.all():
        raise ClipRejected("no_face", f"{clip.video}: no usable face in {n_frames} frames")
    return units
