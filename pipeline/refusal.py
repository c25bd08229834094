"""Faces that must not be animated: a folder of photos of those people, compared by dlib's face embedding.

It finds people again in other photos of theirs, not in disguise: it keeps from mistakes, and does not stop who wants to
deceive.
"""

import logging
from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.features.detection import detect_faces, predict_tilted_landmarks
from pipeline.features.person import embedding
from pipeline.photo import read_photo

# Distance of two embeddings up to which dlib takes two photos for one person's. Of two people who look alike it may be less (of
# 210 pairs of faces in portraits it is for one), and one is refused for the other's sake: the mistake that does less harm.
SAME = 0.6

# What the commands say of their option.
REFUSE = "a folder of photos of people who must not be animated: a photo that shows one of them is refused"
# For each photo the embeddings (128,) of all faces in it.
People = dict[Path, list[np.ndarray]]
logger = logging.getLogger(__name__)


def people_in(folder: Path) -> People:
    """The people whose photos lie in the folder or below it: every face counts. It takes about 0.2 s of a core for each.

    A file that is no picture, or in which no face is found, is named in a warning: it protects nobody. Hidden files are passed
    over. Raises UserError where the folder does not exist or nobody is to be seen in it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; name one with photos of people who must not be animated")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    people = {path: faces for path in files if (faces := _faces(path))}
    if not people:
        what = f"none of its {len(files)} files shows a face" if files else "it is empty"
        raise UserError(f"{folder} protects nobody: {what}; put a photo of each person there")
    return people


def refuse(photo: np.ndarray, landmarks: np.ndarray, people: People, path: Path) -> None:
    """Raises UserError, with the photo that it is like, if a face is of one of those people.

    photo: uint8 RGB (H, W, 3) of the file `path`; landmarks: (68, 2) of the face to animate, in its pixels.
    """
    if not people:
        return
    asked = embedding(photo, landmarks)
    distances = {known: min(float(np.linalg.norm(asked - face)) for face in faces) for known, faces in people.items()}
    nearest = min(distances, key=distances.__getitem__)
    if distances[nearest] <= SAME:
        raise UserError(
            f"{path} shows who must not be animated, by {nearest} (distance {distances[nearest]:.2f}; up to"
            f" {SAME} it is one person); use a photo of somebody who agreed to it"
        )


def _faces(path: Path) -> list[np.ndarray]:
    """The embeddings of a photo's faces; none, and a warning, where it cannot be used."""
    try:
        photo, _ = read_photo(path)
    except UserError:
        logger.warning("%s protects nobody: it cannot be read as a picture", path)
        return []
    faces = [embedding(photo, predict_tilted_landmarks(photo, face.box)) for face in detect_faces(photo)]
    if not faces:
        logger.warning("%s protects nobody: no face was found; take a frontal photo, the face 80 px or more", path)
    return faces
