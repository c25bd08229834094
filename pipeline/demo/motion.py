"""What a face does while it speaks: phonemes → visemes with coarticulation, emotion, blinks, head motion → 68 landmarks.

Displacements are in inter-ocular distances (IOD), y downwards, x to the right of the image, in the face's own upright frame.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from pipeline.features.landmarks import LEFT_EYE, RIGHT_EYE

FPS = 25.0
_RATE = 200  # Hz, at which mouth movements are planned before they are sampled by the camera

# Viseme of a phoneme: jaw opening (0 … 1), lip width (−1 rounded … 1 spread), and whether the lips must shut.
_VISEMES = {
    "shut": (0.0, 0.0, True),
    "rest": (0.0, 0.0, False),
    "lip_teeth": (0.14, 0.1, False),
    "teeth": (0.22, 0.3, False),
    "hushing": (0.24, -0.6, False),
    "tongue": (0.3, 0.1, False),
    "back": (0.34, 0.0, False),
    "round": (0.3, -1.0, False),
    "round_open": (0.62, -0.7, False),
    "spread": (0.32, 1.0, False),
    "middle": (0.55, 0.4, False),
    "open": (1.0, 0.1, False),
}
_PHONEMES = {
    "shut": "p b m",
    "lip_teeth": "f v",
    "teeth": "s z T D",
    "hushing": "S Z tS dZ r r-",
    "tongue": "t d n l t2 t# L",
    "back": "k g N h x j",
    "round": "w u: u U",
    "round_open": "oU O: O O2 o@ OI o: 0",
    "spread": "i: i I I2 I# i@ eI",
    "middle": "E e @ @2 @L a# 3 3: V e@ aI@",
    "open": "A: A@ A a aI aU aa",
}
VISEME_OF = {phoneme: viseme for viseme, phonemes in _PHONEMES.items() for phoneme in phonemes.split()}
SHUT = frozenset(_PHONEMES["shut"].split())

# Emotion in the face: brows (inner end, outer end; up is positive), mouth corners (up; outwards), eyes (wider), opening.
_EMOTIONS = {
    "NEU": {"inner_brow": 0.0, "outer_brow": 0.0, "corner_up": 0.0, "corner_out": 0.0, "eyes": 0.0, "opening": 1.0},
    "HAP": {
        "inner_brow": 0.03,
        "outer_brow": 0.05,
        "corner_up": 0.11,
        "corner_out": 0.09,
        "eyes": -0.12,
        "opening": 1.1,
    },
    "SAD": {
        "inner_brow": 0.08,
        "outer_brow": -0.05,
        "corner_up": -0.08,
        "corner_out": -0.03,
        "eyes": -0.2,
        "opening": 0.8,
    },
    "ANG": {
        "inner_brow": -0.11,
        "outer_brow": 0.03,
        "corner_up": -0.05,
        "corner_out": -0.03,
        "eyes": -0.08,
        "opening": 1.2,
    },
    "FEA": {
        "inner_brow": 0.11,
        "outer_brow": 0.05,
        "corner_up": -0.03,
        "corner_out": 0.05,
        "eyes": 0.25,
        "opening": 1.0,
    },
    "DIS": {
        "inner_brow": -0.07,
        "outer_brow": -0.05,
        "corner_up": -0.05,
        "corner_out": 0.0,
        "eyes": -0.25,
        "opening": 0.9,
    },
}
_INTENSITY = {"XX": 1.0, "LO": 0.6, "MD": 0.85, "HI": 1.1}


@dataclass(frozen=True)
class Motion:
    """Everything that moves, per frame: the face's own displacements, and the head's similarity in the image."""

    displacements: np.ndarray  # (T, 68, 2), IOD, with open eyes
    closed: np.ndarray  # (T,), how far the lids are down, 0 … 1
    head: np.ndarray  # (T, 4): shift x, shift y (IOD), roll (radians), log scale
    blinks: list[tuple[float, float]]  # (start, end) in seconds


def move(
    phonemes: list[tuple[str, float, float]],
    loudness: np.ndarray,
    eye_opening: np.ndarray,
    emotion: str,
    level: str,
    n_frames: int,
    rng: np.random.Generator,
) -> Motion:
    """The motion of one clip.

    phonemes: (name, start, end) in seconds. loudness: (n_frames,) in 0 … 1. eye_opening: (68,) how far each lid point may fall
    to meet the other lid, in IOD (nought for all other points). emotion, level: CREMA-D's codes.
    """
    face, intensity = _EMOTIONS[emotion], _INTENSITY[level]
    opening, width = mouth_tracks(phonemes, n_frames)
    opening = opening * (0.75 + 0.4 * loudness) * (1 + intensity * (face["opening"] - 1))
    moving = _drift(n_frames, rng, seconds=0.5)
    displacements = (
        opening[:, None, None] * JAW
        + width[:, None, None] * WIDTH
        + intensity * (1 + 0.15 * moving)[:, None, None] * _expression(face)
    )
    # A raised voice raises the brows a little.
    displacements += (0.03 * gaussian_filter1d(loudness, 3))[:, None, None] * BROWS
    closed, blinks = blink_track(n_frames, rng)
    # Eyes narrowed by emotion are partly closed already; widened ones are opened beyond their rest.
    closed = np.maximum(closed, -intensity * face["eyes"])
    displacements[..., 1] -= max(0.0, intensity * face["eyes"]) * eye_opening
    head = np.stack([_drift(n_frames, rng, seconds=0.8) for _ in range(4)], axis=1) * [0.05, 0.035, 0.03, 0.015]
    head[:, 1] += 0.03 * gaussian_filter1d(loudness, 4)  # stressed syllables nod
    return Motion(displacements, closed, head, blinks)


def mouth_tracks(phonemes: list[tuple[str, float, float]], n_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Jaw opening (0 … 1) and lip width (−1 … 1) at the middle of each video frame, (n_frames,) each.

    Every phoneme asks for its viseme while it lasts; a Gaussian of 45 ms about each moment lets neighbours share the mouth
    (coarticulation). Shut lips do not share: around p, b, m the opening is forced to nought.
    """
    n = round(n_frames / FPS * _RATE)
    times = (np.arange(n) + 0.5) / _RATE
    targets, shut = np.zeros((n, 2)), np.ones(n)
    for name, start, end in phonemes:
        viseme = "rest" if name == "_" else VISEME_OF.get(name, "middle")
        opening, width, is_shut = _VISEMES[viseme]
        targets[(times >= start) & (times < end)] = opening, width
        if is_shut:
            # The camera sees 25 moments a second: lips stay shut for one frame at least, and part within 50 ms.
            middle, half = (start + end) / 2, max((end - start) / 2, 0.5 / FPS)
            shut = np.minimum(shut, np.clip((np.abs(times - middle) - half) / 0.05, 0, 1))
    opening, width = gaussian_filter1d(targets, 0.045 * _RATE, axis=0, mode="nearest").T
    sampled = np.clip(((np.arange(n_frames) + 0.5) / FPS * _RATE).astype(int), 0, n - 1)
    return (opening * shut)[sampled], width[sampled]


def blink_track(n_frames: int, rng: np.random.Generator) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """How far the eyes are closed (0 … 1), (n_frames,), and the blinks' (start, end) in seconds.

    Blinks come at 0.34 a second and last 0.2 to 0.3 s (Sinha 2020 cites 0.28–0.4 a second for humans); after each the eyes stay
    open for a second at least, and the waiting time beyond it is exponential. One that the clip's end cuts has no end in it.
    """
    duration, rate, rest = n_frames / FPS, 0.34, 1.0
    times = (np.arange(n_frames) + 0.5) / FPS
    closed, blinks = np.zeros(n_frames), []
    # The person has been blinking before the clip begins; its first frame, the photo of them, has open eyes.
    start = -20.0
    while start < duration:
        length = rng.uniform(0.2, 0.3)
        if start > 0.08:
            blinks.append((start, start + length))
            # Lids fall faster than they rise, and rest on each other in between.
            phase = (times - start) / length
            closed = np.maximum(closed, np.clip(np.minimum(phase / 0.35, (1 - phase) / 0.5), 0, 1))
        start += length + rest + rng.exponential(1 / rate - rest - 0.25)
    return closed, blinks


def _drift(n: int, rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Slow wandering, about 1 in size: (n,)."""
    sigma = seconds * FPS / 2
    noise = gaussian_filter1d(rng.standard_normal(n + 8 * round(sigma)), sigma)[4 * round(sigma) :][:n]
    return noise * np.sqrt(2 * np.sqrt(np.pi) * sigma)


def _points(values: dict[int, tuple[float, float]]) -> np.ndarray:
    basis = np.zeros((68, 2))
    for point, displacement in values.items():
        basis[point] = displacement
    return basis


_CHIN_FALL = (0.04, 0.09, 0.16, 0.2, 0.22, 0.22, 0.22, 0.2, 0.16, 0.09, 0.04)
# Displacements at full opening: jaw and lower lip fall, corners follow and draw in a little, the upper lip rises a little.
JAW = _points(
    dict(zip(range(3, 14), [(0.0, fall) for fall in _CHIN_FALL], strict=True))
    | {k: (0.0, 0.30) for k in (56, 57, 58, 65, 66, 67)}
    | {k: (0.0, 0.24) for k in (55, 59)}
    | {k: (0.0, -0.04) for k in (50, 51, 52, 61, 62, 63)}
    | {k: (0.0, -0.02) for k in (49, 53)}
    | {48: (0.02, 0.1), 60: (0.02, 0.1), 54: (-0.02, 0.1), 64: (-0.02, 0.1)}
)
# Spread lips: corners out and thin; rounded lips (negative): corners in and full.
WIDTH = _points(
    {48: (-0.1, 0.0), 60: (-0.09, 0.0), 54: (0.1, 0.0), 64: (0.09, 0.0)}
    | {49: (-0.06, 0.01), 59: (-0.06, -0.01), 53: (0.06, 0.01), 55: (0.06, -0.01)}
    | {50: (-0.03, 0.015), 52: (0.03, 0.015), 58: (-0.03, -0.015), 56: (0.03, -0.015), 51: (0, 0.015), 57: (0, -0.015)}
    | {61: (-0.04, 0.0), 67: (-0.04, 0.0), 63: (0.04, 0.0), 65: (0.04, 0.0)}
)
BROWS = _points({k: (0.0, -1.0) for k in range(17, 27)})


def _expression(face: dict[str, float]) -> np.ndarray:
    """Displacements of an emotion at full strength: (68, 2)."""
    basis = np.zeros((68, 2))
    inner = np.array([0, 0.25, 0.5, 0.75, 1.0])
    basis[17:22, 1] = -(face["outer_brow"] * (1 - inner) + face["inner_brow"] * inner)
    basis[22:27, 1] = basis[17:22, 1][::-1]
    # A frown draws the brows together.
    together = max(0.0, -face["inner_brow"]) * 0.3
    basis[19:22, 0], basis[22:25, 0] = together, -together
    for corners, side in (((48, 60), -1), ((54, 64), 1)):
        for point in corners:
            basis[point] = side * face["corner_out"], -face["corner_up"]
    for beside, side in (((49, 59), -1), ((53, 55), 1)):
        for point in beside:
            basis[point] = 0.5 * side * face["corner_out"], -0.45 * face["corner_up"]
    return basis


def eye_openings(landmarks: np.ndarray) -> np.ndarray:
    """How far each point of the upper lids falls until it meets the lower lid: (68, 2) → (68,) in the same unit."""
    falls = np.zeros(68)
    for eye in (RIGHT_EYE, LEFT_EYE):
        for upper, lower in ((eye.start + 1, eye.start + 5), (eye.start + 2, eye.start + 4)):
            falls[upper] = max(0.0, landmarks[lower, 1] - landmarks[upper, 1])
    return falls
