"""Action units from 68 landmarks: the built-in estimator, for where OpenFace is not installed.

Six measures of the aligned face, each relative to the same face at rest in the same clip, and one to two of them per action
unit. The definitions are those of FACS (Ekman, Friesen & Hager 2002) as far as 68 points can show them; the numbers are fitted
to OpenFace 2's output on one GRID speaker (`python -m pipeline.features.action_units.calibrate`), and so are the scales:
speech reaches intensities of about 2. How well it does on other clips and other people: `python -m benchmarks.action_units`.
"""

from typing import NamedTuple

import numpy as np

from pipeline.features.action_units.units import ActionUnits, without_missing
from pipeline.features.alignment import apply_similarity, mean_face, per_frame_transforms
from pipeline.features.smoothing import bridge_gaps, smooth

SMOOTHING_S = 0.12  # 3 frames at 25 per second; the papers' 5 would flatten blinks, which last about as long

# Where a face rests: the quantile of a measure over its clip. A speaker's lips and jaw depart from rest one way only and are
# back at it between words and about the sentence, so that a low quantile is rest, and the lowest is the detector's tremor.
# All else departs both ways, or seldom: the median. Eyes are open at the median (Soukupová & Čech's ratio, per person).
REST = {
    "lips_gap": 0.25,
    "jaw_drop": 0.25,
    "upper_lip_rise": 0.5,
    "widening": 0.5,
    "corner_rise": 0.5,
    "eye_closure": 0.5,
}


class Model(NamedTuple):
    """intensity = Σ coefficient · measure; present from `threshold` on, in the unit of the intensity."""

    coefficients: dict[str, float]
    threshold: float


# AU10 upper lip raiser (levator labii superioris): the upper lip's edge nears the nose. OpenFace's also grows with the jaw.
# AU14 dimpler (buccinator): the mouth's corners are drawn back and tightened. 68 points show that they part and rise. The
#   speaker fitted to shows it in 0.1 % of frames, so that nothing is fitted: 1, and present, is what exceeds 99 % of speech.
# AU20 lip stretcher (risorius): the mouth widens. Fitted to 0.9 % of frames; points tell it from AU14 by little.
# AU25 lips part: the inner lips' three pairs part.
# AU26 jaw drop (masseter relaxed): the chin falls.
# AU45 blink: the eye aspect ratio (Soukupová & Čech 2016) falls, as a share of the open eye's.
MODELS = {
    10: Model({"upper_lip_rise": 6.64, "jaw_drop": 3.56}, 0.25),
    14: Model({"widening": 14.2, "corner_rise": 14.2}, 1.0),
    20: Model({"widening": 4.61, "corner_rise": 3.14}, 0.3),
    25: Model({"lips_gap": 11.95}, 0.84),
    26: Model({"jaw_drop": 10.96}, 0.6),
    45: Model({"eye_closure": 2.41}, 0.35),
}


def landmark_action_units(landmarks: np.ndarray, fps: float) -> ActionUnits:
    """Action units of one clip from its raw landmarks.

    landmarks: (T, 68, 2) in pixels of any scale, y downwards, not smoothed; NaN where no face was found. Confidence is 1 with a
    face and 0 without. A face that keeps still has every intensity 0, whatever its expression: rest is the clip's own.
    """
    has_face = np.isfinite(landmarks).all(axis=(1, 2))
    moved = departures(landmarks, fps)
    intensity = np.stack([sum(c * moved[name] for name, c in m.coefficients.items()) for m in MODELS.values()], axis=1)
    presence = intensity >= np.array([model.threshold for model in MODELS.values()])
    return without_missing(intensity, presence, has_face, has_face)


def departures(landmarks: np.ndarray, fps: float) -> dict[str, np.ndarray]:
    """How far each measure is beyond rest, by name: (T, 68, 2) → {measure: (T,)}, ≥ 0; anything in frames without a face."""
    has_face = np.isfinite(landmarks).all(axis=(1, 2))
    if not has_face.any():
        return {name: np.zeros(len(landmarks)) for name in REST}
    values = measures(aligned(bridge_gaps(np.asarray(landmarks, np.float64), has_face), fps))
    rest = {name: np.quantile(values[name][has_face], quantile) for name, quantile in REST.items()}
    moved = {name: values[name] - rest[name] for name in REST}
    # As a share of the open eye: eyes differ in shape, and all close to nothing.
    moved["eye_closure"] /= max(-rest["eye_closure"], 1e-6)
    return {name: np.maximum(moved[name], 0) for name in REST}


def aligned(landmarks: np.ndarray, fps: float) -> np.ndarray:
    """Upright faces with eyes 1 apart, free of the head's motion and of the detector's tremor: (T, 68, 2) → (T, 68, 2)."""
    transforms = per_frame_transforms(landmarks, mean_face(landmarks))
    faces = np.stack([apply_similarity(m, points) for m, points in zip(transforms, landmarks, strict=True)])
    width = 2 * round((SMOOTHING_S * fps - 1) / 2) + 1
    return smooth(faces, np.full(width, 1 / width)) if width > 1 else faces


def measures(faces: np.ndarray) -> dict[str, np.ndarray]:
    """Measures of upright faces (T, 68, 2), each (T,), growing with what it is named for: eye distances; the eyes' a ratio."""

    def distance(a: int, b: int) -> np.ndarray:
        return np.linalg.norm(faces[:, a] - faces[:, b], axis=-1)

    def height(*points: int) -> np.ndarray:
        return -faces[:, points, 1].mean(axis=1)

    def eye_aspect_ratio(first: int) -> np.ndarray:
        vertical = distance(first + 1, first + 5) + distance(first + 2, first + 4)
        return vertical / (2 * distance(first, first + 3))

    nose_base = height(33)
    return {
        "lips_gap": (distance(61, 67) + distance(62, 66) + distance(63, 65)) / 3,
        "jaw_drop": -height(7, 8, 9),
        "upper_lip_rise": height(61, 62, 63) - nose_base,
        "widening": distance(48, 54),
        "corner_rise": height(48, 54) - nose_base,
        "eye_closure": -(eye_aspect_ratio(36) + eye_aspect_ratio(42)) / 2,
    }
