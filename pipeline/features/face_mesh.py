"""Faces and their 68 landmarks (iBUG 300-W order) by MediaPipe's face mesh of 468 points.

The model comes inside MediaPipe's wheel; it runs on the CPU, opens two threads, and needs no graphics driver. Two runs over
the same frames give equal landmarks. What is imported here takes seconds: dlib's users need not wait for it.
"""

import contextlib
import os
import warnings
from collections.abc import Iterable, Iterator

import numpy as np

from pipeline.errors import UserError

# Faces that are looked for. With one, MediaPipe would not notice a second person.
MOST_FACES = 3
# Which vertices are the 68 points; the mean of two where no single one is near. The figures are mean distances to dlib's points
# over 20 clips of 15 people, in hundredths of the inter-ocular distance, first with the first vertex alone, then with the
# table.
#   0–16 jaw        The mesh ends at the silhouette and its line runs with the turn of the head; dlib draws cheek and jaw
#                   where they would be. Points 2–4 and 7 lie between two vertices of the outline. 11 → 7
#   17–26 brows     The mesh has an upper and a lower row along the brow; dlib's points run along the upper edge, at equal
#                   distances, which 19–21 reach between two vertices. 8 → 5
#   27–35 nose      29 halves the bridge between 195 and 5. 31 and 35 are the wings' lower ends, under the nostril, not
#                   the mesh's outermost ones (48, 278). 4 → 3
#   36–47 eyes      dlib puts the outer corner a little inside the mesh's, on the lower lid, and 37 and 44 nearer to the
#                   pupil. 4 → 3
#   48–59 lips      dlib's upper edge of the red lies between the mesh's outer ring and the ring inside it (72, 74, 11, …);
#                   55 and 59 halve the lower edge between mouth corner and 84 or 314. 4 → 3
#   60–67 inside    as in the mesh. 4 → 4
# fmt: off
VERTICES = [
    (127,), (234,), (93, 132), (132, 58), (58, 172), (136,), (149,), (148, 176), (152,),
    (377, 400), (378,), (365,), (288, 397), (361, 288), (323, 361), (454,), (356,),
    (70,), (63,), (105, 66), (66, 107), (107, 55), (336, 285), (296, 336), (334, 296), (293,), (300,),
    (168,), (197,), (195, 5), (4,), (240,), (97,), (2,), (326,), (460,),
    (33, 7), (160, 159), (158,), (133,), (153,), (144,),
    (362,), (385,), (387, 386), (263, 249), (373,), (380,),
    (61,), (39, 74), (37, 72), (0, 11), (267, 302), (269, 304), (291,), (405, 321), (314,), (17,), (84,), (181, 91),
    (78,), (82,), (13,), (312,), (308,), (317,), (14,), (87,),
]
# fmt: on
FIRST, SECOND = np.array([(pair[0], pair[-1]) for pair in VERTICES]).T


def ibug_landmarks(mesh: np.ndarray) -> np.ndarray:
    """The 68 landmarks of meshes: (..., 468, 2) → (..., 68, 2), in the meshes' unit."""
    return (mesh[..., FIRST, :] + mesh[..., SECOND, :]) / 2


def mesh_faces(frames: Iterable[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """The landmarks of each frame's faces, float32 (68, 2) in pixels, largest face first; an empty list where there is none.

    frames: uint8 RGB (H, W, 3) each, successive frames of one clip: a face is followed from one to the next.
    Raises UserError where MediaPipe is not installed.
    """
    model = None
    try:
        for frame in frames:
            with _without_messages():
                # Its threads go on writing until they have seen the first frame.
                model = model or _face_mesh()
                found = model.process(np.ascontiguousarray(frame)).multi_face_landmarks or []
            size = np.array([frame.shape[1], frame.shape[0]], np.float64)
            # MediaPipe counts from the edge of the first pixel, dlib from its centre.
            meshes = [np.array([(p.x, p.y) for p in face.landmark]) * size - 0.5 for face in found]
            faces = [ibug_landmarks(mesh).astype(np.float32) for mesh in meshes]
            yield sorted(faces, key=lambda points: -np.ptp(points, axis=0).max())
    finally:
        if model:
            with _without_messages():
                model.close()


def _face_mesh():
    try:
        from mediapipe.python.solutions.face_mesh import FaceMesh
    except ImportError as error:
        raise UserError(
            f"landmarks.backend is mediapipe, which cannot be loaded here ({error}): run `make mediapipe`, or choose dlib"
        ) from error
    return FaceMesh(max_num_faces=MOST_FACES)


@contextlib.contextmanager
def _without_messages() -> Iterator[None]:
    """Keep what MediaPipe's C++ code writes to the error stream, for every clip anew, off the terminal."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
