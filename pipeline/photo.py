"""The photo that a talking head is made from: read from a file, and its face found."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.errors import ClipRejected, UserError
from pipeline.systems.system import System


def read_photo(path: Path) -> np.ndarray:
    """Decode a photo upright (EXIF orientation), transparency over white: uint8 RGB (H, W, 3). Raises UserError."""
    try:
        image = ImageOps.exif_transpose(Image.open(path)).convert("RGBA")
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise UserError(f"--image: {path} cannot be read as a picture ({error})") from error
    white = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(white, image).convert("RGB"))


def face_of(system: System, photo: np.ndarray, path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The crop of a photo's largest face as the system takes it, its landmarks, and the way to it; see `Preprocessing.photo`.

    Raises UserError.
    """
    try:
        return system.preprocessing.photo(photo)
    except ClipRejected as problem:
        wrong = {
            "no_face": f"no face was found in {path}; use a frontal photo with the face at least 80 px wide",
            "cut_off": f"the border of {path} cuts the face off; use a photo with all of its brows, eyes, nose and mouth",
        }
        raise UserError(f"--image: {wrong[problem.reason]}") from problem
