"""Motion without the person: displacements from a person's neutral face, on the mean face (Sinha 2020, §III-A and §IV).

Adding them to the mean face removes the identity from landmarks (Maity 2024 does so after Eskimez 2018); adding them to
another person's neutral face retargets them (Sinha's Eq. 1).
"""

from collections.abc import Iterable

import numpy as np

from pipeline.features.alignment import apply_similarity, fit_similarity
from pipeline.features.landmarks import JAW, RIGID, eye_aspect_ratio, lip_gap, mouth_opening


def neutral_face(landmarks: np.ndarray) -> np.ndarray:
    """A clip's face with closed lips and open eyes: (T, 68, 2), aligned, → (68, 2), in the same unit.

    The mean over the tenth of the frames, at least one, whose lips are closest, among those whose eyes are not shut (below
    three quarters of their median aspect ratio). The papers do not say how they choose; one frame alone would tremble.
    """
    eyes = eye_aspect_ratio(landmarks)
    frames = np.flatnonzero(eyes >= 0.75 * np.median(eyes))
    closest = frames[np.argsort(mouth_opening(landmarks[frames]), kind="stable")]
    return landmarks[closest[: max(1, len(landmarks) // 10)]].mean(axis=0)


def face_size(face: np.ndarray) -> np.ndarray:
    """Width and height of an upright face (68, 2), brows to chin: (2,)."""
    return np.ptp(np.concatenate([face[JAW], face[17:27]]), axis=0)


def canonical_displacements(landmarks: np.ndarray, neutral: np.ndarray, mean_neutral: np.ndarray) -> np.ndarray:
    """How far each landmark is from the person's neutral face, at the size of the mean face (Sinha §IV).

    landmarks: (T, 68, 2); neutral: the person's (68, 2), in the same coordinates; mean_neutral: (68, 2), upright. All are first
    brought to the mean face by the neutral's rigid points. Widths and heights are scaled by the ratio of the two faces'.
    Returns (T, 68, 2) in the unit of mean_neutral.
    """
    matrix = fit_similarity(neutral[RIGID], mean_neutral[RIGID])
    person = apply_similarity(matrix, neutral)
    return (apply_similarity(matrix, landmarks) - person) * face_size(mean_neutral) / face_size(person)


def to_mean_face(landmarks: np.ndarray, neutral: np.ndarray, mean_neutral: np.ndarray) -> np.ndarray:
    """Landmarks that move as the person's do, on the mean face: the identity is removed. (T, 68, 2) → (T, 68, 2)."""
    return mean_neutral + canonical_displacements(landmarks, neutral, mean_neutral)


def retarget(displacements: np.ndarray, neutral: np.ndarray, mean_neutral: np.ndarray) -> np.ndarray:
    """Canonical displacements on a person's own face (Sinha Eq. 1): (T, 68, 2) → (T, 68, 2) in the neutral's coordinates.

    Eq. 1 adds them to PA(l_N^p, l_N^m), "the rigid alignment of l_N^m with l_N^p as reference". Read to the letter that is the
    mean face in the person's place, without the person's features. What §III-A promises is "person-specific landmarks": they
    are added to the person's neutral face, and the alignment turns them into its coordinates.
    """
    matrix = fit_similarity(neutral[RIGID], mean_neutral[RIGID])
    person = apply_similarity(matrix, neutral)
    moved = person + displacements * face_size(person) / face_size(mean_neutral)
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    return apply_similarity(inverse, moved)


def opening_motion(clips: Iterable[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """How the face moves with its mouth: least squares of displacements = gap · motion, over the frames of all clips.

    clips: of each the canonical displacements (T, 68, 2), and the lips' gap (`lip_gap`) beyond that of the neutral
    face (T,). Returns (68, 2), the displacement at a gap of 1, in the unit of the displacements.
    """
    products, squares = np.zeros((68, 2)), 0.0
    for displacements, gaps in clips:
        products += np.tensordot(gaps, displacements, axes=1)
        squares += gaps @ gaps
    return products / squares


def neutral_from_photo(
    photo_landmarks: np.ndarray, motion: np.ndarray, mean_neutral: np.ndarray, neutral_gap: float
) -> np.ndarray:
    """A person's neutral face (68, 2) from the landmarks of one photo (68, 2), whose mouth may be open, or its lips pressed.

    What the gap of its lips beyond `neutral_gap` stands for, by `opening_motion` on the mean face, is taken back at the size of
    the photo's face; where the inner lips' points cross, that parts them.
    """
    excess = lip_gap(photo_landmarks) - neutral_gap
    return retarget(-excess * motion, photo_landmarks, mean_neutral)
