"""Where generated frames differ from the real ones, and what moves in them, as pictures (Chen S. 2021, Fig. 7)."""

from itertools import pairwise

import cv2
import numpy as np

from pipeline.features.landmarks import MOUTH

WHITE_AT = 85.0  # grey levels of difference that are shown white: a third of what there can be
FULL_AT = 0.02  # of a frame's side: motion from frame to frame that has a full colour
FLOW_SIZE = 256  # pixels of the side at which flow is sought: its windows are larger than the mouth of a small crop


def differences(frames: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mean absolute difference of the channels, in grey levels: uint8 (T, S, S, 3), the same → float32 (T, S, S)."""
    return np.abs(frames.astype(np.float32) - truth.astype(np.float32)).mean(axis=-1)


def difference_maps(differences: np.ndarray) -> np.ndarray:
    """Differences (T, S, S) as pictures, black where there is none: uint8 (T, S, S, 3)."""
    shown = np.rint(255 * np.minimum(differences / WHITE_AT, 1)).astype(np.uint8)
    return np.repeat(shown[..., None], 3, axis=-1)


def optical_flow(frames: np.ndarray) -> np.ndarray:
    """How points move from each frame to the next, (right, down) in pixels: uint8 (T, S, S, 3) → float32 (T − 1, S, S, 2).

    Dense inverse search (Kroeger et al. 2016), by OpenCV.
    """
    side = frames.shape[1]
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = [
        cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), (FLOW_SIZE, FLOW_SIZE), interpolation=cv2.INTER_CUBIC)
        for frame in frames
    ]
    flows = (search.calc(one, other, None) for one, other in pairwise(grey))
    return np.stack([cv2.resize(flow, (side, side), interpolation=cv2.INTER_AREA) for flow in flows]) * side / FLOW_SIZE


def flow_maps(flow: np.ndarray) -> np.ndarray:
    """Flow (T, S, S, 2) as pictures: the hue is its direction, the deeper the longer, white is still. uint8 (T, S, S, 3)."""
    length, angle = np.hypot(flow[..., 0], flow[..., 1]), np.arctan2(flow[..., 1], flow[..., 0])
    hue = np.rint(np.degrees(angle) % 360 / 2).astype(np.uint8) % 180
    saturation = np.rint(255 * np.minimum(length / (FULL_AT * flow.shape[1]), 1)).astype(np.uint8)
    pictures = np.stack([hue, saturation, np.full_like(hue, 255)], axis=-1)
    return np.stack([cv2.cvtColor(picture, cv2.COLOR_HSV2RGB) for picture in pictures])


def about_mouth(landmarks: np.ndarray, size: int) -> np.ndarray:
    """The pixels about the mouth, a half of its width beyond it on every side: (T, 68, 2) in pixels → bool (T, size, size).

    None in frames without a face (NaN).
    """
    mouth = landmarks[:, MOUTH]
    low, high = mouth.min(axis=1), mouth.max(axis=1)
    margin = (high[:, :1] - low[:, :1]) / 2
    places = np.stack(np.meshgrid(np.arange(size), np.arange(size)), axis=-1)
    inside = (places >= (low - margin)[:, None, None]) & (places <= (high + margin)[:, None, None])
    return inside.all(axis=-1)
