"""The photo that a talking head is made from: read from a file, and its face found."""

import io
import warnings
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pillow_heif
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from pipeline.errors import ClipRejected, UserError
from pipeline.features.detection import detect_faces
from pipeline.features.landmarks import turned_away
from pipeline.files import check_file
from pipeline.systems.preprocessing import UNSTEADY
from pipeline.systems.system import System

pillow_heif.register_heif_opener()  # HEIC, as iPhones store photos

# White of pictures whose numbers are not of 8 bits, the first that holds all of a picture's: of floats from 0 to 1, of 8 bits
# in wider numbers, of 12 bits as cameras have them, of 16 and 31.
FULL_SCALES = (1, 2**8 - 1, 2**12 - 1, 2**16 - 1, 2**31 - 1)
# Formats whose second picture is another one to look at, not a preview or a map of depth.
ANIMATED = {"GIF", "WEBP", "PNG", "AVIF", "TIFF"}
SMALLEST = 80  # pixels of a photo's longer side
# Bounds of what is warned about, with what 20 portraits of all kinds have.
TURNED = (
    0.45  # `turned_away`: up to 0.38 where both eyes and cheeks are seen; 0.64 of a head turned by about 45 degrees
)
DARK = 50  # luma of 255, of the brightest twentieth of the face: 99 to 220; where dlib's landmarks begin to waver, 40
BLOWN, WHITE = 0.25, 250  # share of the face that is white, by luma: up to 0.001


class PhotoFace(NamedTuple):
    """A face in a photo, as a system takes it.

    crop: uint8 (S, S, 3). landmarks: (68, 2) in its pixels. matrix: (2, 3), the similarity from the photo to the crop.
    in_photo: the landmarks as they were found, in pixels of the photo. notes: what makes it hard to draw, a line each.
    """

    crop: np.ndarray
    landmarks: np.ndarray
    matrix: np.ndarray
    in_photo: np.ndarray
    notes: tuple[str, ...]


def read_photo(path: Path) -> tuple[np.ndarray, list[str]]:
    """Decode a photo upright (EXIF orientation), in sRGB, transparency over white.

    Returns it as uint8 RGB (H, W, 3), and what one has to know of it, a line each: of an animation the first picture is taken.
    Raises UserError where the file cannot be read as a picture, or has more pixels than Pillow takes for harmless, 179 million.
    """
    try:
        check_file(path)
    except ClipRejected as problem:
        raise UserError(problem.detail) from problem
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of odd metadata, and of half of the pixels that are too many
            # By its bytes: a grey TIFF that is to be turned, Pillow maps from its file with its sides exchanged.
            with Image.open(io.BytesIO(path.read_bytes())) as image:
                count = getattr(image, "n_frames", 1) if image.format in ANIMATED else 1
                picture = np.asarray(_on_white(_in_srgb(ImageOps.exif_transpose(_in_8_bits(image)))))
    except UnidentifiedImageError as error:
        raise UserError(f"{path} is no picture in a known format; save it as JPEG or PNG") from error
    except Image.DecompressionBombError as error:
        most = 2 * Image.MAX_IMAGE_PIXELS / 1e6
        raise UserError(f"{path} has more than {most:.0f} million pixels; save it smaller") from error
    except Exception as error:  # Pillow's decoders raise whatever they stumble over in damaged data
        raise UserError(f"{path} is damaged or cut off ({error}); copy it again, or save it as JPEG or PNG") from error
    return picture, [f"{path} holds {count} pictures; the first is taken"] if count > 1 else []


def _in_8_bits(image: Image.Image) -> Image.Image:
    """Grey pictures of wider numbers by their FULL_SCALES; Pillow would cut off what is above 255. Others as they are."""
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image
    values = np.nan_to_num(np.asarray(image, np.float32), nan=0, posinf=0, neginf=0)
    most = values.max(initial=0)
    full = next((scale for scale in FULL_SCALES if most <= scale), most)
    scaled = Image.fromarray(np.rint(np.clip(values / full, 0, 1) * 255).astype(np.uint8))
    scaled.info["exif"] = image.getexif().tobytes()
    return scaled


def _in_srgb(image: Image.Image) -> Image.Image:
    """By the colour profile that a picture brings, as CMYK from a printer's or phones' photos in Display P3 do."""
    profile, mode = image.info.get("icc_profile"), {"CMYK": "RGB"}.get(image.mode, image.mode)
    if not profile or mode not in ("RGB", "RGBA"):
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return image
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, OSError):
        return image  # a profile that is damaged, or of another kind of colours


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def faces_in(photo: np.ndarray) -> list[np.ndarray]:
    """The boxes of a photo's faces, uint8 RGB (H, W, 3), from left to right: int (left, top, right, bottom) in pixels."""
    return [face.box for face in detect_faces(photo)]


def face_of(system: System, photo: np.ndarray, path: Path, which: str | int = "largest") -> PhotoFace:
    """One of a photo's faces, as the system takes it.

    which: left, right, largest, or a number from 1 on, counted from the left. Raises UserError, in one line, where there is no
    face to use.
    """
    try:
        found = system.preprocessing.find(photo, which)
    except ClipRejected as problem:
        height, width = photo.shape[:2]
        small = f"{path} has only {width}×{height} px; use a photo with the face at least {SMALLEST} px wide"
        none = f"no face was found in {path}; use a frontal photo with the face at least 80 px wide"
        raise UserError(
            {
                "no_face": small if max(height, width) < SMALLEST else none,
                "no_such_face": f"{path} shows {problem.detail}: choose left, right, largest, or a number counted from the "
                f"left (got {which!r})",
                "lies": f"the face in {path} lies, turned {problem.detail}; turn the photo upright",
                "faint": f"what is in {path} is hardly a face ({problem.detail}); use a frontal, well-lit photograph of one",
                "cut_off": f"the border of {path} cuts the face off; use a photo with all of its brows, eyes, nose and mouth",
            }[problem.reason]
        ) from problem
    crop, landmarks, matrix = system.preprocessing.photo(photo, found)
    notes = [f"{path}: {doubt}" for doubt in doubts(crop, landmarks, found.unsteady)]
    if found.of > 1 and which == "largest":
        notes.append(f"{path} shows {found.of} faces; the largest one speaks (left, right or a number choose another)")
    return PhotoFace(crop, landmarks, matrix, found.landmarks, tuple(notes))


def doubts(crop: np.ndarray, landmarks: np.ndarray, unsteady: float) -> list[str]:
    """What makes a face hard to draw, in words. crop: uint8 RGB (S, S, 3); landmarks: (68, 2) in it; unsteady: of `Found`."""
    hull = cv2.fillConvexPoly(
        np.zeros(crop.shape[:2], np.uint8), cv2.convexHull(np.rint(landmarks).astype(np.int32)), 1
    )
    luma = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[hull > 0]
    said = {
        "the face is turned away; the half that is not seen is drawn badly": abs(turned_away(landmarks)) > TURNED,
        "the face is too dark to be drawn well": np.percentile(luma, 95) < DARK,
        "much of the face is white, blown out: it is drawn without features there": np.mean(luma >= WHITE) > BLOWN,
        "the face is hardly made out (drawn, covered, blurred?): what moves may not be its mouth": unsteady > UNSTEADY,
    }
    return [words for words, true in said.items() if true]
