"""What a table needs beside the systems: the truth, and what is made of it without any."""

from collections.abc import Callable

import cv2
import numpy as np


def _reencoded(crops: np.ndarray) -> np.ndarray:
    """Through JPEG at quality 75: how far the truth is from itself when nothing that matters has changed."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, 75]
    return np.stack([cv2.imdecode(cv2.imencode(".jpg", crop, quality)[1], cv2.IMREAD_COLOR) for crop in crops])


def _delayed(crops: np.ndarray, frames: int = 5) -> np.ndarray:
    """The truth, late by 0.2 s at 25 frames a second: does a metric notice?"""
    return crops[np.maximum(np.arange(len(crops)) - frames, 0)]


# What a table needs beside the systems, for each of the faces that these see: crops uint8 (T, S, S, 3) → frames of that shape.
REFERENCES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "static": lambda crops: np.repeat(crops[:1], len(crops), axis=0),
    "ground_truth": lambda crops: crops,
    "ground_truth_reencoded": _reencoded,
    "ground_truth_delayed": _delayed,
}

# Their colours in charts, in which they stand first; the others are for the tables alone.
COLOURS = {"ground_truth": "#444444", "static": "#aaaaaa"}
