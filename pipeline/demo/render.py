"""Draw a subject's frames: the neutral picture warped so that its landmarks come to lie where the motion puts them."""

import cv2
import numpy as np
from scipy.interpolate import RBFInterpolator

from pipeline.features.landmarks import INNER_LIPS, LEFT_EYE, RIGHT_EYE

WIDTH, HEIGHT = 360, 288
_GRID = 4  # pixels between the points at which a warp is computed exactly


def border_points() -> np.ndarray:
    """Points on the picture's border that hold it in place while the face moves: (20, 2)."""
    xs, ys = np.linspace(0, WIDTH - 1, 6), np.linspace(0, HEIGHT - 1, 6)
    sides = [(x, y) for x in xs for y in (0, HEIGHT - 1)] + [(x, y) for y in ys[1:-1] for x in (0, WIDTH - 1)]
    return np.array(sides)


def warp_maps(
    source: np.ndarray, target: np.ndarray, inverse: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Where each pixel of the warped picture comes from: maps for `cv2.remap`, float32 (HEIGHT, WIDTH) each.

    source, target: (n, 2) control points in pixels; a thin-plate spline carries target to source exactly.
    inverse: (2, 3), applied to a pixel before the spline (the head's motion, undone).
    """
    xs, ys = np.arange(0, WIDTH + _GRID, _GRID), np.arange(0, HEIGHT + _GRID, _GRID)
    grid = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2).astype(float)
    if inverse is not None:
        grid = grid @ inverse[:, :2].T + inverse[:, 2]
    # A trace of smoothing: lips and lids that meet are control points a pixel apart.
    spline = RBFInterpolator(target, source - target, kernel="thin_plate_spline", smoothing=1e-3)
    coarse = (grid + spline(grid)).reshape(len(ys), len(xs), 2).astype(np.float32)
    # Grid point k lies on pixel 4k: resize's half-pixel convention is undone by sampling at k + 1/8 …
    dense_x, dense_y = np.meshgrid(
        np.arange(WIDTH, dtype=np.float32) / _GRID, np.arange(HEIGHT, dtype=np.float32) / _GRID
    )
    maps = cv2.remap(coarse, dense_x, dense_y, cv2.INTER_LINEAR)
    return np.ascontiguousarray(maps[..., 0]), np.ascontiguousarray(maps[..., 1])


def warp(image: np.ndarray, source: np.ndarray, target: np.ndarray, inverse: np.ndarray | None = None) -> np.ndarray:
    """Warp a picture (HEIGHT, WIDTH, c) so that its points `source` come to lie on `target`."""
    map_x, map_y = warp_maps(source, target, inverse)
    return cv2.remap(image, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def draw_mouth(image: np.ndarray, landmarks: np.ndarray, eye_distance: float) -> None:
    """Paint what shows between parted lips into uint8 (HEIGHT, WIDTH, 3): a dark cavity, upper teeth, the tongue behind.

    landmarks: (68, 2) in pixels. Nothing is painted while the lips are closer than 3 % of the eyes' distance.
    """
    inner = landmarks[INNER_LIPS]
    opening = (inner[[7, 6, 5], 1] - inner[[1, 2, 3], 1]).mean() / eye_distance
    presence = np.clip((opening - 0.03) / 0.03, 0, 1)
    if presence == 0:
        return
    (x0, y0), (x1, y1) = np.floor(inner.min(axis=0)) - 3, np.ceil(inner.max(axis=0)) + 4
    x0, y0, x1, y1 = max(0, int(x0)), max(0, int(y0)), min(WIDTH, int(x1)), min(HEIGHT, int(y1))
    inside = _polygon(inner, (x0, y0, x1, y1))
    xs, ys = np.meshgrid(np.arange(x0, x1), np.arange(y0, y1))
    middle = inner[[0, 4], 0].mean()
    across = np.abs(xs - middle) / (np.abs(inner[4, 0] - inner[0, 0]) / 2 + 1e-6)
    upper = np.interp(xs, *inner[:5].T)
    lower = np.interp(xs, *inner[[0, 7, 6, 5, 4]].T)
    depth = (ys - upper) / eye_distance  # below the upper lip
    cavity = np.array([52.0, 18.0, 18.0]) * (1 - 0.4 * np.clip(across, 0, 1)[..., None])
    tongue = np.clip(1 - (lower - ys) / (0.3 * (lower - upper) + 1e-6), 0, 1) * np.clip(1 - across**2, 0, 1)
    colour = cavity + tongue[..., None] * np.array([75.0, 28.0, 28.0])
    # Upper teeth: as deep as the lip uncovers them, rounded off towards the corners.
    length = min(0.085, 0.45 * opening) * np.sqrt(np.clip(1 - (across / 0.92) ** 2, 0, 1))
    teeth = np.clip((length - depth) * eye_distance / 1.5 + 0.5, 0, 1) * (length > 0)
    shade = 1 - 0.45 * np.clip(across, 0, 1) ** 2 - 0.2 * np.clip(1 - depth / 0.05, 0, 1)
    colour += teeth[..., None] * (np.array([212.0, 202.0, 188.0]) * shade[..., None] - colour)
    alpha = (presence * inside)[..., None]
    patch = image[y0:y1, x0:x1].astype(np.float32)
    image[y0:y1, x0:x1] = np.clip(patch + alpha * (colour - patch), 0, 255).astype(np.uint8)


def _polygon(points: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """Coverage of a polygon within a box, 0 … 1, softened by a pixel."""
    x0, y0, x1, y1 = box
    k = 4  # drawn larger and averaged: fillPoly itself has hard edges
    mask = np.zeros(((y1 - y0) * k, (x1 - x0) * k), np.uint8)
    corners = np.rint(((points - (x0, y0)) + 0.5) * k - 0.5).astype(np.int32)
    cv2.fillPoly(mask, [corners], 255)
    small = cv2.resize(mask, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return cv2.GaussianBlur(small, (0, 0), 0.7)


def close_eyes(image: np.ndarray, landmarks: np.ndarray, closed: float) -> np.ndarray:
    """Draw the upper lids down: the skin above each eye is stretched over it, with its lashes at the lower edge.

    image: (HEIGHT, WIDTH, c); landmarks: (68, 2) in its pixels; closed: 0 (as it is) … 1 (shut). Returns a copy.
    Column by column a lid covers what lies below it; a smooth warp would squeeze the eye into a slit and fold the skin.
    """
    if closed <= 0:
        return image
    result = image.copy()
    for eye, brow in ((RIGHT_EYE, slice(17, 22)), (LEFT_EYE, slice(22, 27))):
        corner, upper_a, upper_b, other, lower_b, lower_a = landmarks[eye]
        reach = 0.12 * (other[0] - corner[0])
        xs = np.arange(int(corner[0] - reach), int(other[0] + reach) + 1)
        upper = np.interp(xs, *np.array([corner, upper_a, upper_b, other]).T)
        lower = np.interp(xs, *np.array([corner, lower_a, lower_b, other]).T)
        fall = cv2.GaussianBlur((closed * np.maximum(lower - upper, 0))[None].astype(np.float32), (0, 0), 1.2)[0]
        # The skin that stretches reaches from the lashes to below the brow.
        skin = upper - 0.75 * (upper - np.interp(xs, *landmarks[brow][np.argsort(landmarks[brow, 0])].T))
        edge = upper + fall
        y0, y1 = int(skin.min()), int(lower.max()) + 4
        ys = np.arange(y0, y1, dtype=np.float32)[:, None]
        # The lashes above the lid's edge move as they are; the skin over them is stretched.
        lash = 6.0
        stretched = skin + (ys - skin) * (upper - lash - skin) / np.maximum(edge - lash - skin, 1e-3)
        source = np.where(ys < skin, ys, np.where(ys < edge - lash, stretched, ys - fall)).astype(np.float32)
        columns = np.broadcast_to(xs.astype(np.float32), source.shape).copy()
        patch = image[y0:y1, xs[0] : xs[-1] + 1].astype(np.float32)
        lid = cv2.remap(image, columns, source, cv2.INTER_LINEAR).astype(np.float32)
        # A lid curves away from the light towards its edge.
        lid[..., :3] *= (1 - 0.12 * np.clip((ys - skin) / np.maximum(edge - skin, 1), 0, 1) * (fall > 0.5))[..., None]
        covers = np.clip(edge + 0.5 - ys, 0, 1)[..., None]
        result[y0:y1, xs[0] : xs[-1] + 1] = np.rint(patch + covers * (lid - patch)).astype(np.uint8)
    return result


def head_transform(head: np.ndarray, centre: np.ndarray, eye_distance: float) -> np.ndarray:
    """The head's similarity (shift x, shift y in IOD, roll in radians, log scale) about `centre`, as a (2, 3) matrix."""
    cos, sin = np.exp(head[3]) * np.cos(head[2]), np.exp(head[3]) * np.sin(head[2])
    linear = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([linear, centre - linear @ centre + head[:2] * eye_distance])


def render_frame(
    picture: np.ndarray,
    background: np.ndarray,
    neutral: np.ndarray,
    displaced: np.ndarray,
    closed: float,
    lid_fall: np.ndarray,
    head: np.ndarray,
    eye_distance: float,
) -> tuple[np.ndarray, np.ndarray]:
    """One frame and its true landmarks: uint8 (HEIGHT, WIDTH, 3), (68, 2) in pixels.

    picture: uint8 RGBA of the neutral person; background: uint8 RGB; neutral, displaced: (68, 2) landmarks before the head
    moves, with open eyes; closed: 0 … 1; lid_fall: (68,) pixels by which shut lids lie lower; head: see `head_transform`.
    """
    picture = close_eyes(picture, neutral, closed)
    matrix = head_transform(head, neutral.mean(axis=0), eye_distance)
    held = border_points()
    inverse = cv2.invertAffineTransform(matrix)
    drawn = warp(picture, np.vstack([neutral, held]), np.vstack([displaced, held]), inverse)
    with_lids = displaced + np.column_stack([np.zeros(68), closed * lid_fall])
    landmarks = with_lids @ matrix[:, :2].T + matrix[:, 2]
    person = np.ascontiguousarray(drawn[..., :3])
    draw_mouth(person, landmarks, eye_distance)
    alpha = drawn[..., 3:].astype(np.float32) / 255
    frame = background + alpha * (person.astype(np.float32) - background)
    return np.clip(frame, 0, 255).astype(np.uint8), landmarks
