"""How drawn frames are shown: at what size, with which mark, and what a container says of them."""

import cv2
import numpy as np

from pipeline.systems.system import System


def enlarged(frame: np.ndarray, size: int = 256) -> np.ndarray:
    """A frame at `size` pixels, or at its own where that is more."""
    if len(frame) >= size:
        return frame
    return cv2.resize(frame, (size, size), interpolation=cv2.INTER_CUBIC)


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image uint8 (H, W, 3) at another size (width, height): smaller by areas, larger by cubic interpolation."""
    if image.shape[1::-1] == size:
        return image
    smaller = size[0] < image.shape[1]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def even(length: float) -> int:
    """The nearest even number of pixels below, which H.264 needs: at least 2."""
    return max(2, int(length) // 2 * 2)


def mark(image: np.ndarray) -> np.ndarray:
    """Write "synthetic" into the lower left corner: uint8 (H, W, 3) → a marked copy. Letters grow with the shorter side."""
    image = np.ascontiguousarray(image).copy()
    scale = max(256, min(image.shape[:2])) / 640
    place = (round(12 * scale), image.shape[0] - round(14 * scale))
    stroke = max(1, round(2 * scale))
    for colour, thickness in (((0, 0, 0), 3 * stroke), ((255, 255, 255), stroke)):
        cv2.putText(image, "synthetic", place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thickness, cv2.LINE_AA)
    return image


def caption(text: str, width: int, height: int) -> np.ndarray:
    """A black strip with a text in its middle, as large as fits: uint8 (height, width, 3)."""
    strip = np.zeros((height, width, 3), np.uint8)
    (text_width, text_height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 1)
    scale = min(0.5 * height / text_height, 0.92 * width / text_width)
    place = (round((width - scale * text_width) / 2), round((height + scale * text_height) / 2))
    cv2.putText(strip, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return strip


def provenance(*systems: System) -> dict[str, str]:
    """Container tags: that a video is synthetic, by which systems, what those were trained on, and which weights they have."""
    said = [f"system: {system.name}; key: {system.key}; weights: {system.checksum}" for system in systems]
    return {"comment": "; ".join(["synthetic talking head", *said]), "synthetic": "true"}
