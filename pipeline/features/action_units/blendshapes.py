"""Action units from MediaPipe's blendshapes, where the user has the model file `face_landmarker.task`.

Its 52 coefficients bear the names of Apple's ARKit (BlendShapeLocation), each 0 (neutral) … 1 (the most). Most of those of the
mouth are single FACS movements under another name; how they correspond is below. MediaPipe is loaded only when used.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from pipeline.errors import ClipRejected, UserError
from pipeline.features.action_units.units import AUS, ActionUnits, without_missing

PRESENT_FROM = 1.0  # FACS's A (a trace), the least intensity that has a name
REST = 0.25  # quantile over a clip that is taken for rest: narrow eyes have an eyeBlink of 0.2 while open

_HELP = (
    "see https://ai.google.dev/edge/mediapipe/solutions/vision/face_landmarker, or set action_units.backend: landmarks"
)


def blendshape_intensities(shapes: Mapping[str, float]) -> np.ndarray:
    """One frame's coefficients by name → intensities (6,), 0 … 5, as in AUS. Names that are absent count as 0."""

    def both(name: str) -> float:
        return (shapes.get(f"{name}Left", 0.0) + shapes.get(f"{name}Right", 0.0)) / 2

    upper_up, jaw_open = both("mouthUpperUp"), shapes.get("jawOpen", 0.0)
    # mouthClose is how far the lips stay shut over a dropped jaw. Lips also part with the teeth closed.
    parted = max(jaw_open - shapes.get("mouthClose", 0.0), upper_up, both("mouthLowerDown"))
    by_unit = {
        10: upper_up,
        14: both("mouthDimple"),
        20: both("mouthStretch"),
        25: parted,
        26: jaw_open,
        45: both("eyeBlink"),
    }
    return np.clip([5 * by_unit[au] for au in AUS], 0, 5)


def blendshape_action_units(frames: Iterable[Mapping[str, float] | None]) -> ActionUnits:
    """Action units of a clip, beyond its own rest, from each frame's coefficients; None where no face was found."""
    intensity = np.array([blendshape_intensities(shapes) if shapes else [np.nan] * len(AUS) for shapes in frames])
    has_face = np.isfinite(intensity).all(axis=1)
    if has_face.any():
        intensity = np.maximum(intensity - np.quantile(intensity[has_face], REST, axis=0), 0)
    return without_missing(intensity, intensity >= PRESENT_FROM, has_face, has_face)


def mediapipe_action_units(frames: Iterable[np.ndarray], fps: float, model: str | Path | None) -> ActionUnits:
    """Action units of a clip's frames, uint8 RGB (H, W, 3) each, by MediaPipe's Face Landmarker.

    model: path of `face_landmarker.task`. Raises UserError where MediaPipe or the file is missing, or it is another file;
    ClipRejected: no_face.
    """
    units = blendshape_action_units(detect_blendshapes(frames, fps, model))
    if units.missing.all():
        raise ClipRejected("no_face", f"MediaPipe finds no face in any of {len(units.missing)} frames")
    return units


def detect_blendshapes(
    frames: Iterable[np.ndarray], fps: float, model: str | Path | None
) -> list[dict[str, float] | None]:
    """Every frame's coefficients by name, or None without a face. Raises UserError as `mediapipe_action_units` does."""
    if not model or not Path(model).is_file():
        raise UserError(f"action_units.model must name MediaPipe's file face_landmarker.task (got {model}); {_HELP}")
    try:
        import mediapipe
        from mediapipe.tasks.python import BaseOptions, vision
    except ImportError as error:
        raise UserError(f"action_units.backend mediapipe needs MediaPipe ({error}): pip install mediapipe") from error
    options = vision.FaceLandmarkerOptions(
        # Given as bytes: a path would be opened by MediaPipe itself, whose errors do not say what was wrong with it.
        base_options=BaseOptions(model_asset_buffer=Path(model).read_bytes()),
        running_mode=vision.RunningMode.VIDEO,
        output_face_blendshapes=True,
    )
    try:
        landmarker = vision.FaceLandmarker.create_from_options(options)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"action_units.model: {model} is no face_landmarker.task ({reason}); {_HELP}") from error
    found = []
    with landmarker:
        for k, frame in enumerate(frames):
            image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(frame))
            faces = landmarker.detect_for_video(image, round(1000 * k / fps)).face_blendshapes
            found.append({shape.category_name: shape.score for shape in faces[0]} if faces else None)
    return found
