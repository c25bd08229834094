"""A drawn face in its whole photo: what moves is drawn anew, and every other pixel is the photo's own in every frame.

Colours and where they stand are brought from the crop to the photo by the inverse of its alignment. Systems that compose their
frames say themselves where they draw anew (`Drawn.change`); of those that redraw the crop, it is where faces move.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import cv2
import numpy as np

from pipeline.features.alignment import apply_similarity, drawn_through
from pipeline.features.landmarks import LEFT_EYE, MOUTH, RIGHT_EYE, inter_ocular_distance
from pipeline.papers.interface import Drawn

# Pixels of a video's longer side: a photo that is larger is reduced.
LONGEST = 1920
# A change map is never quite 0. Where a frame differs from the crop by less than the first, of 255, the photo stays; from the
# second on, it is as the network has it. The map itself does not say: a small change to a glaring colour is a large one.
LEAST = (3, 8)
# Width of the band along the crop's border over which it passes into the photo, as a share of the crop.
BORDER = 1 / 12
# In distances of the eyes: how far jaws drop, the deviation of the blur at a mask's edge, and that of a colour's mean.
JAW_DROP, FEATHER, COLOUR_MEAN = 0.25, 0.12, 0.35
# Pixels about what is drawn: cubic interpolation reaches over two, and one stays empty.
REACH = 3
# Cheeks and jaw: what speech moves lies within.
LOWER_FACE = slice(2, 15)


def for_video(photo: np.ndarray, matrix: np.ndarray, size: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A photo as a video shows it, of even sides, as H.264 needs; and the way from there to the crop.

    photo: uint8 (H, W, 3); matrix: (2, 3), photo → crop. size: pixels of the longer side (None: the photo's, at most LONGEST).
    An odd last row or column is left out.
    """
    longest = max(photo.shape[:2])
    scale = (size or min(longest, LONGEST)) / longest
    by = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    shown = photo if scale == 1 else cv2.resize(photo, None, fx=scale, fy=scale, interpolation=by)
    height, width = (side // 2 * 2 for side in shown.shape[:2])
    # Pixel centres lie at whole numbers: x of what is shown lies at (x + ½) / scale − ½ of the photo.
    shift = matrix[:, :2].sum(axis=1) * (0.5 / scale - 0.5) + matrix[:, 2]
    return shown[:height, :width], np.column_stack([matrix[:, :2] / scale, shift])


def composed(
    photo: np.ndarray,
    matrix: np.ndarray,
    crop: np.ndarray,
    landmarks: np.ndarray,
    drawn: Iterable[Drawn],
    whole_face: bool,
) -> Iterator[np.ndarray]:
    """The photo with each drawn frame in its place: uint8 (H, W, 3) each.

    photo: uint8 (H, W, 3). matrix: (2, 3), photo → crop. crop, landmarks: uint8 (S, S, 3), (68, 2) in its pixels. whole_face:
    of systems without change maps, whether eyes and brows move as well as what speech moves.
    """
    frames = iter(drawn)
    first = next(frames)
    layer = layers(first, crop, landmarks, whole_face)
    for frame in chain([first], frames):
        yield put_back(photo, matrix, *layer(frame))


def layers(
    first: Drawn, crop: np.ndarray, landmarks: np.ndarray, whole_face: bool
) -> Callable[[Drawn], tuple[np.ndarray, np.ndarray]]:
    """A function of a drawn frame → colour (S, S, 3), 0 … 255, and how much of it is seen (S, S), 0 … 1, both float32."""
    fade = border_fade(len(crop))
    if first.change is not None:
        return lambda frame: (frame.colour.astype(np.float32), decided(frame, crop) * fade)
    mask = moving_part(landmarks, len(crop), whole_face) * fade
    shift = colour_shift(crop, first.image, landmarks)
    return lambda frame: (np.clip(frame.image + shift, 0, 255), mask)


def put_back(photo: np.ndarray, matrix: np.ndarray, colour: np.ndarray, change: np.ndarray) -> np.ndarray:
    """The photo, uint8 (H, W, 3), where `change` is 0, and `colour` where it is 1. matrix: (2, 3), photo → crop.

    colour: float32 (S, S, 3), 0 … 255; change: float32 (S, S), 0 along the border. Their product is brought to the photo, not
    the colour, which means nothing where nothing is drawn: networks often leave it grey, and lips beside it would turn grey.
    """
    frame = photo.copy()
    if not change.any():
        return frame
    rows, columns = (_spanned(change.any(axis=axis)) for axis in (1, 0))
    colour, change = colour[rows, columns], change[rows, columns]
    matrix = matrix - [[0, 0, columns.start], [0, 0, rows.start]]
    # By cubic interpolation to a few times the size, and by a linear one from there: as smooth as all cubic, and much faster.
    k = int(np.clip(round(1 / np.hypot(*matrix[:, 0])), 1, 4))
    layers = np.dstack([colour * change[..., None], change])
    fine = cv2.resize(layers, None, fx=k, fy=k, interpolation=cv2.INTER_CUBIC)
    # Cubic interpolation goes beyond the values that it lies between: the change is limited, the colour stays.
    beyond, limited = fine[..., 3:], np.clip(fine[..., 3:], 0, 1)
    fine *= np.divide(limited, beyond, out=np.zeros_like(limited), where=beyond > 0)
    # Pixel centres lie at whole numbers: enlarging by k moves x to k·x + (k − 1)/2.
    inverse = cv2.invertAffineTransform(k * matrix + np.array([[0, 0, (k - 1) / 2]] * 2))
    left, top, right, bottom = _bounds(fine.shape, inverse, photo.shape)
    if left < right and top < bottom:
        part = frame[top:bottom, left:right]
        drawn = drawn_through(fine, inverse - [[0, 0, left], [0, 0, top]], (right - left, bottom - top))
        # OpenCV rounds and limits the sum.
        part[:] = cv2.add(drawn[..., :3], (1 - drawn[..., 3:]) * part, dtype=cv2.CV_8U)
    return frame


def _spanned(there: np.ndarray) -> slice:
    """From the first to the last true value of a line, and REACH more on either side."""
    places = np.flatnonzero(there)
    return slice(max(0, places[0] - REACH), places[-1] + 1 + REACH)


def _bounds(shape: tuple[int, ...], inverse: np.ndarray, photo_shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The rectangle of the photo in which an image of `shape` lies: left, top, right, bottom, the last ones beyond it.

    inverse: (2, 3), image → photo.
    """
    corners = apply_similarity(inverse, np.array([(x, y) for x in (0, shape[1] - 1) for y in (0, shape[0] - 1)]))
    first, last = np.floor(corners.min(axis=0)).astype(int), np.ceil(corners.max(axis=0)).astype(int)
    height, width = photo_shape[:2]
    return max(0, first[0]), max(0, first[1]), min(width, last[0] + 1), min(height, last[1] + 1)


def decided(frame: Drawn, crop: np.ndarray) -> np.ndarray:
    """A frame's change map, float32 (S, S), 0 … 1, that is 0 where the frame hardly differs from the crop; see LEAST."""
    difference = np.abs(frame.image.astype(np.float32) - crop).max(axis=-1)
    least, whole = LEAST
    seen = smooth_step((cv2.GaussianBlur(difference, (0, 0), 1) - least) / (whole - least))
    return seen * frame.change / 255


def border_fade(size: int) -> np.ndarray:
    """Float32 (size, size): 0 along the border, 1 from a band of BORDER on."""
    distance = np.minimum(np.arange(size), np.arange(size)[::-1])
    rise = smooth_step(distance / (BORDER * size))
    return np.outer(rise, rise).astype(np.float32)


def smooth_step(x: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, and a cubic between them that is level at both."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def moving_part(landmarks: np.ndarray, size: int, whole_face: bool) -> np.ndarray:
    """Where a face moves, float32 (size, size), 0 … 1: from cheeks to below a dropped jaw, or all of it, softly bounded.

    landmarks: (68, 2) in pixels of the crop.
    """
    part = landmarks if whole_face else landmarks[LOWER_FACE]
    outline = np.concatenate([part, dropped(landmarks)[LOWER_FACE]])
    return _soft_hull(outline, size, FEATHER * inter_ocular_distance(landmarks))


def colour_shift(crop: np.ndarray, drawn: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """What a network's colours lack of the photo's: float32 (S, S, 3), to be added to all that it draws.

    crop, drawn: uint8 (S, S, 3), the photo's and the first frame's. Their difference, averaged over the neighbourhood, without
    the mouth, which may be open in one and shut in the other. It is the same for all frames, so that nothing flickers.
    """
    eyes = inter_ocular_distance(landmarks)
    mouth = np.concatenate([landmarks[MOUTH], dropped(landmarks)[MOUTH]])
    weight = np.clip(1 - 2 * _soft_hull(mouth, len(crop), FEATHER * eyes), 0, 1)
    difference = (crop.astype(np.float32) - drawn) * weight[..., None]
    mean, of_weight = (cv2.GaussianBlur(x, (0, 0), COLOUR_MEAN * eyes) for x in (difference, weight))
    return mean / of_weight[..., None]


def dropped(landmarks: np.ndarray) -> np.ndarray:
    """Landmarks (68, 2) as far down the face as a jaw drops."""
    x, y = landmarks[LEFT_EYE].mean(axis=0) - landmarks[RIGHT_EYE].mean(axis=0)
    return landmarks + JAW_DROP * np.array([-y, x])


def _soft_hull(points: np.ndarray, size: int, deviation: float) -> np.ndarray:
    """The convex hull of points (n, 2), float32 (size, size), 0 … 1, blurred by a Gaussian, and 0 beyond three deviations."""
    hull = cv2.convexHull(np.rint(points).astype(np.int32))
    reach = 2 * int(np.ceil(3 * deviation)) + 1
    filled = cv2.fillConvexPoly(np.zeros((size, size), np.float32), hull, 1.0)
    return cv2.GaussianBlur(filled, (reach, reach), deviation, borderType=cv2.BORDER_REPLICATE)
