"""Whether a clip shows one person throughout, by dlib's face embedding on either side of every doubt.

In every frame, the network would cost ten times as much as tracking does. Where one person follows another, the face does not
look as it did in the frame before; there the two are compared, since a head that turns fast does not either, yet stays itself.
"""

import functools
import importlib.util
from collections.abc import Iterable
from pathlib import Path

import dlib
import numpy as np

# Distance of two embeddings from which on they are of two people. dlib's own threshold, 0.6, is for any two photos; a clip has
# one light and one camera. On either side of 37 doubts in 14 real clips of one person it was 0.48 at most; 480 pairs of
# pictures of GRID's speakers lie 0.51 apart or more, all but four of them 0.55.
ANOTHER = 0.55
# A shot of fewer frames is a fault of the detector's, or motion too fast for the embedding.
LEAST_SHOT = 3


@functools.cache
def _network() -> dlib.face_recognition_model_v1:
    folder = Path(importlib.util.find_spec("face_recognition_models").submodule_search_locations[0])
    return dlib.face_recognition_model_v1(str(folder / "models" / "dlib_face_recognition_resnet_model_v1.dat"))


def embedding(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """dlib's embedding (128,) of a face: uint8 RGB (H, W, 3) and its landmarks (68, 2) in pixels."""
    points = [dlib.point(*map(int, np.rint(point))) for point in landmarks]
    # The network cuts the face out by its landmarks; the box is not looked at.
    shape = dlib.full_object_detection(dlib.rectangle(0, 0, image.shape[1], image.shape[0]), points)
    return np.array(_network().compute_face_descriptor(image, shape))


def other_person(
    shot: np.ndarray, landmarks: np.ndarray, has_face: np.ndarray, frames: Iterable[np.ndarray]
) -> int | None:
    """The first frame of the shot that shows another person than the one before it; None where there is none.

    shot (T,): which one a frame belongs to; landmarks (T, 68, 2) in pixels, has_face (T,); frames: uint8 RGB, not looked at
    where there is one shot alone. Shots of fewer than LEAST_SHOT frames with a face are passed over.
    """
    seen = [np.flatnonzero(has_face & (shot == k)) for k in range(shot[-1] + 1)]
    long = {frames_of[len(frames_of) // 2]: frames_of[0] for frames_of in seen if len(frames_of) >= LEAST_SHOT}
    if len(long) < 2:
        return None
    before = None
    for t, frame in enumerate(frames):
        if t in long:
            now = embedding(frame, landmarks[t])
            if before is not None and np.linalg.norm(now - before) > ANOTHER:
                return int(long[t])
            before = now
    return None
