"""The demo corpus's people: one public-domain portrait, reshaped and recoloured into several.

The portrait is scikit-image's `astronaut` (NASA). Its smile is closed first; the neutral picture is the source of every frame.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import skimage.data

from pipeline.demo.motion import eye_openings
from pipeline.demo.render import HEIGHT, WIDTH, border_points, warp
from pipeline.features.detection import detect_face, predict_landmarks
from pipeline.features.landmarks import INNER_LIPS, LEFT_EYE, MIRRORED, RIGHT_EYE, inter_ocular_distance

TEST_SUBJECT = 1015  # stands on CREMA-D's list of test subjects
_EYE_DISTANCE = 78.0  # pixels, in the portrait before it is reshaped


@dataclass(frozen=True)
class Subject:
    """A person of the corpus."""

    number: int
    picture: np.ndarray  # uint8 (HEIGHT, WIDTH, 4): RGB and how much of a pixel is the person
    background: np.ndarray  # uint8 (HEIGHT, WIDTH, 3)
    landmarks: np.ndarray  # (68, 2), pixels
    voice: str
    pitch: int
    rate: int

    @property
    def eye_distance(self) -> float:
        return float(inter_ocular_distance(self.landmarks))

    @property
    def lid_fall(self) -> np.ndarray:
        """(68,), pixels by which the points of the upper lids fall when the eyes are shut."""
        return eye_openings(self.landmarks)


# What makes a person: face width, jaw, eye distance, nose length, lips, brows and forehead (each −1 … 1, see `_reshape`);
# skin and hair (see `_recolour`); side of the light; whether the portrait is mirrored; background colour; voice (one
# of eSpeak's without "breath", which is noise of another seed in every run).
_PEOPLE = {
    1001: ((0, 0, 0, 0, 0, 0), "fair", "brown", 0.3, False, (96, 116, 134), ("en-us+f1", 55, 165)),
    1002: ((0.7, 0.7, 0.5, 0.9, -0.8, -0.4), "tan", "black", -0.5, True, (128, 134, 112), ("en-us+m3", 35, 160)),
    1003: ((-1.0, -0.9, -0.8, 0.7, 0.9, 0.6), "dark", "black", 0.5, False, (150, 126, 104), ("en-us+f1", 48, 170)),
    1004: ((0.9, -1.0, -0.7, -1.0, 0.2, 0.9), "pale", "blond", -0.3, True, (112, 98, 122), ("en-us+f4", 70, 175)),
    1005: ((-0.7, 0.6, 1.0, -0.8, -1.0, -0.2), "ruddy", "red", 0.6, False, (86, 108, 98), ("en-us+m1", 45, 170)),
    1006: ((-0.2, 0.8, -1.0, 1.0, 1.0, -1.0), "olive", "grey", -0.6, True, (138, 138, 144), ("en-us+m2", 30, 155)),
    1007: ((0.6, 0.2, 0.9, -0.4, 0.8, 0.8), "dark", "brown", -0.2, True, (104, 128, 132), ("en-us+f4", 50, 180)),
    1008: ((-0.9, 0.2, 0.3, 0.9, -0.6, -0.8), "pale", "black", 0.4, False, (142, 118, 118), ("en-us+m4", 40, 165)),
    1009: ((0.9, -0.4, 1.0, 0.3, -0.9, 0.5), "olive", "blond", 0.1, True, (110, 120, 100), ("en-us+f1", 58, 160)),
    1010: ((0.3, 1.0, -0.9, -0.9, 0.5, -0.5), "tan", "grey", -0.4, False, (126, 122, 138), ("en-us+m5", 38, 172)),
    1011: ((-0.6, -1.0, 0.9, 0.1, 1.0, -0.9), "ruddy", "brown", 0.2, True, (98, 98, 110), ("en-us+m6", 48, 158)),
    1012: ((1.0, 0.4, -0.3, 1.0, 1.0, 1.0), "fair", "red", -0.6, False, (134, 128, 116), ("en-us+f1", 68, 168)),
    1013: ((-1.0, 0.6, -0.4, -1.0, 0.1, 1.0), "dark", "grey", 0.6, True, (118, 110, 126), ("en-us+m7", 33, 175)),
    1014: ((0.2, -0.8, 0.8, 1.0, -1.0, 0.9), "tan", "blond", -0.1, False, (92, 122, 118), ("en-us+f4", 52, 162)),
    1015: ((0.6, 0.5, 0.9, -0.8, 0.9, 0.8), "ruddy", "black", 0.4, True, (116, 124, 142), ("en-us+f4", 57, 168)),
}
# Lightness factor, and shifts of a (red) and b (yellow) in CIELAB, of skin and hair.
_SKIN = {
    "fair": (1.0, 0, 0),
    "pale": (1.08, -4, -5),
    "tan": (0.82, 3, 8),
    "olive": (0.88, -4, 9),
    "ruddy": (0.95, 9, 3),
    "dark": (0.55, 2, 4),
}
_HAIR = {
    "brown": (1.0, 0, 0),
    "black": (0.45, -3, -8),
    "blond": (1.4, 0, 14),
    "red": (1.0, 18, 16),
    "grey": (1.35, -5, -16),
}


def make_subject(number: int) -> Subject:
    """The person of that number (a key of _PEOPLE), the same every time."""
    shape, skin, hair, light, mirrored, background, (voice, pitch, rate) = _PEOPLE[number]
    photo, landmarks = _portrait()
    alpha = _person(photo, landmarks)
    rgba = np.dstack([_recolour(photo, landmarks, alpha, skin, hair), alpha])
    rgba, landmarks = _close_mouth(rgba, landmarks)
    if mirrored:
        rgba, landmarks = np.ascontiguousarray(rgba[:, ::-1]), (landmarks * [-1, 1] + [WIDTH - 1, 0])[MIRRORED]
    reshaped = _reshape(landmarks, *shape)
    held = border_points()
    rgba = warp(rgba, np.vstack([landmarks, held]), np.vstack([reshaped, held]))
    rgba[..., :3] = _light(rgba[..., :3], light)
    return Subject(number, rgba, _backdrop(background, light), reshaped, voice, pitch, rate)


def _portrait() -> tuple[np.ndarray, np.ndarray]:
    """The portrait on the frame's canvas, and its landmarks."""
    photo = skimage.data.astronaut()
    landmarks = predict_landmarks(photo, detect_face(photo)).astype(float)
    scale = _EYE_DISTANCE / inter_ocular_distance(landmarks)
    centre = landmarks[[*range(36, 48)]].mean(axis=0)
    matrix = np.column_stack([np.eye(2) * scale, np.array([WIDTH / 2, 0.42 * HEIGHT]) - scale * centre])
    canvas = cv2.warpAffine(photo, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return canvas, landmarks * scale + matrix[:, 2]


def _person(photo: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """How much of each pixel is the person, uint8: GrabCut from a guess about head and shoulders."""
    mask = np.full(photo.shape[:2], cv2.GC_PR_BGD, np.uint8)
    centre, size = landmarks[27], inter_ocular_distance(landmarks)
    axes = (int(1.35 * size), int(1.75 * size))
    cv2.ellipse(mask, (int(centre[0]), int(centre[1])), axes, 0, 0, 360, int(cv2.GC_PR_FGD), -1)
    mask[_filled(landmarks) > 0] = cv2.GC_FGD
    x, y = landmarks[8]
    shoulders = [(x - 0.5 * size, y), (x + 0.5 * size, y), (WIDTH, HEIGHT - 0.1 * size), (WIDTH, HEIGHT), (0, HEIGHT)]
    shoulders.append((0, HEIGHT - 0.1 * size))
    cv2.fillPoly(mask, [np.rint(shoulders).astype(np.int32)], int(cv2.GC_FGD))
    mask[: HEIGHT // 2, :3], mask[: HEIGHT // 2, -3:] = cv2.GC_BGD, cv2.GC_BGD
    cv2.setRNGSeed(0)
    models = np.zeros((2, 1, 65))
    cv2.grabCut(np.ascontiguousarray(photo[..., ::-1]), mask, None, models[0], models[1], 6, cv2.GC_INIT_WITH_MASK)
    person = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    # The largest piece, without holes, with soft edges.
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(person)
    person = (pieces == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8) * 255
    person = cv2.morphologyEx(person, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    person = cv2.erode(person, np.ones((3, 3), np.uint8), iterations=2)  # else the old background shines at the edge
    return cv2.GaussianBlur(person, (0, 0), 1.5)


def _close_mouth(rgba: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bring the lips together, and the corners down and in: the photo smiles with its teeth showing.

    The teeth are filled with lip first. Above the seam the picture is then warped by the upper lip's points, below it by the
    lower lip's, so that what lies between them disappears.
    """
    rgba = rgba.copy()
    teeth = np.zeros(rgba.shape[:2], np.uint8)
    cv2.fillPoly(teeth, [np.rint(landmarks[INNER_LIPS]).astype(np.int32)], 255)
    teeth = cv2.dilate(teeth, np.ones((5, 5), np.uint8))
    rgba[..., :3] = cv2.inpaint(np.ascontiguousarray(rgba[..., :3]), teeth, 3, cv2.INPAINT_TELEA)
    unit = inter_ocular_distance(landmarks)
    closed = landmarks.copy()
    for upper, lower, above, below in (
        (61, 67, (49, 50), (58, 59)),
        (62, 66, (51,), (57,)),
        (63, 65, (52, 53), (55, 56)),
    ):
        seam = 0.45 * landmarks[upper, 1] + 0.55 * landmarks[lower, 1]
        for points, target in (((upper, *above), seam - 0.006 * unit), ((lower, *below), seam + 0.006 * unit)):
            closed[list(points), 1] += target - landmarks[points[0], 1]
    for corner, side in ((48, 1), (60, 1), (54, -1), (64, -1)):
        closed[corner] += np.array([side * 0.07, 0.055]) * unit
    closed[[60, 64], 1] = closed[[61, 67, 63, 65], 1].mean()
    closed[[48, 54], 1] = closed[60, 1]
    for beside, side in ((49, 1), (59, 1), (53, -1), (55, -1)):
        closed[beside, 0] += side * 0.04 * unit
    held = border_points()
    halves = []
    for absent in ((65, 66, 67), (61, 62, 63)):
        kept = [k for k in range(68) if k not in absent]
        halves.append(warp(rgba, np.vstack([landmarks[kept], held]), np.vstack([closed[kept], held])))
    seam = closed[[60, 61, 62, 63, 64]].copy()
    seam[1:4, 1] += 0.006 * unit
    line = np.interp(np.arange(WIDTH), *seam.T)
    below = np.clip(np.arange(HEIGHT)[:, None] - line + 0.5, 0, 1)[..., None]
    joined = halves[0] * (1 - below) + halves[1] * below
    return np.rint(joined).astype(np.uint8), closed


def _reshape(
    landmarks: np.ndarray, width: float, jaw: float, eyes: float, nose: float, lips: float, brows: float
) -> np.ndarray:
    """Other proportions, each −1 … 1: narrow or broad face, pointed or square jaw, eyes close or wide apart, short or long
    nose, thin or full lips, brows low or high."""
    shape, unit = landmarks.copy(), inter_ocular_distance(landmarks)
    axis = landmarks[27:31, 0].mean()
    side = np.sign(landmarks[:, 0] - axis)
    jawline = np.arange(17)
    shape[jawline, 0] += 0.16 * unit * width * side[jawline]
    bend = np.clip(1 - np.abs(np.abs(jawline - 8) - 4) / 4, 0, 1)
    shape[jawline, 0] += (0.14 if jaw > 0 else 0.07) * unit * jaw * bend * side[jawline]
    shape[5:12, 1] += 0.14 * unit * -jaw * 0.5 * np.clip(1 - np.abs(np.arange(5, 12) - 8) / 4, 0, 1)
    for eye, brow, direction in ((RIGHT_EYE, slice(17, 22), -1), (LEFT_EYE, slice(22, 27), 1)):
        shape[eye, 0] += 0.08 * unit * eyes * direction
        shape[brow, 0] += 0.06 * unit * eyes * direction
        shape[brow, 1] -= 0.09 * unit * brows
        centre = shape[eye].mean(axis=0)
        shape[eye] = centre + (shape[eye] - centre) * (1 + 0.12 * lips * eyes)
    shape[29:36, 1] += 0.12 * unit * nose * np.linspace(0.3, 1, 7).clip(0, 1)
    shape[31:36, 0] += 0.05 * unit * width * np.linspace(-1, 1, 5)
    shape[48:68, 1] += 0.1 * unit * nose
    shape[4:13, 1] += 0.06 * unit * nose
    middle = shape[60:68, 1].mean()
    outer = [49, 50, 51, 52, 53, 55, 56, 57, 58, 59]
    shape[outer, 1] = middle + (shape[outer, 1] - middle) * (1 + 0.4 * lips)
    centre = shape[48:68, 0].mean()
    shape[48:68, 0] = centre + (shape[48:68, 0] - centre) * (1 + 0.1 * (jaw - lips) / 2)
    return shape


def _recolour(photo: np.ndarray, landmarks: np.ndarray, alpha: np.ndarray, skin: str, hair: str) -> np.ndarray:
    """Other tones of skin and hair, in CIELAB; eyes, teeth and clothes stay as they are."""
    lab = cv2.cvtColor(photo.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    unit, person = inter_ocular_distance(landmarks), alpha / 255
    hairline = landmarks[17:27] - [0, 0.26 * unit]
    face = np.vstack([landmarks[:17], hairline])
    in_face = cv2.GaussianBlur(_filled(face), (0, 0), 3)
    rows = np.arange(HEIGHT)[:, None]
    above_chin = np.clip((landmarks[8, 1] - 0.2 * unit - rows) / 10 + 0.5, 0, 1)
    # Below the chin, skin is told from clothes by its colour.
    cheek = np.median(
        lab[np.rint(landmarks[[29, 30], 1]).astype(int), np.rint(landmarks[[4, 12], 0]).astype(int)], axis=0
    )
    like_skin = np.clip(2.2 - np.linalg.norm((lab - cheek) / [40, 14, 16], axis=-1), 0, 1)
    ears = np.abs(np.arange(WIDTH)[None] - landmarks[27, 0]) < 1.18 * unit
    beside = like_skin * (rows > landmarks[1, 1]) * ears
    is_skin = np.maximum(in_face, cv2.GaussianBlur(beside, (0, 0), 1.5)) * person
    is_hair = np.clip(above_chin - is_skin, 0, 1) * person
    for part, (factor, a, b) in ((is_skin, _SKIN[skin]), (is_hair, _HAIR[hair])):
        lab[..., 0] *= 1 + part * (factor - 1)
        lab[..., 1] += part * a
        lab[..., 2] += part * b
    lab[..., 0] = lab[..., 0].clip(0, 100)
    return np.rint(cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_LAB2RGB).clip(0, 1) * 255).astype(np.uint8)


def _filled(polygon: np.ndarray) -> np.ndarray:
    """1 inside the convex hull of points (n, 2), else 0: float32 (HEIGHT, WIDTH)."""
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(polygon).astype(np.int32)), 1.0)
    return mask


def _light(image: np.ndarray, side: float) -> np.ndarray:
    """Light from the right (side > 0) or the left."""
    gain = 1 + 0.28 * side * np.linspace(-1, 1, WIDTH)[None, :, None]
    return np.rint((image * gain).clip(0, 255)).astype(np.uint8)


def _backdrop(colour: tuple[int, int, int], side: float) -> np.ndarray:
    """A plain studio wall, lit from one side and from above."""
    shade = 1 + 0.15 * side * np.linspace(-1, 1, WIDTH)[None, :] + np.linspace(0.12, -0.12, HEIGHT)[:, None]
    return np.rint((np.array(colour) * shade[..., None]).clip(0, 255)).astype(np.uint8)
