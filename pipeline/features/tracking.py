"""Face boxes and landmarks in every frame of a clip: the face that is largest and longest there, held on to throughout.

dlib: HOG is asked for boxes in the first frame, every `redetect_every` frames after, and wherever a cheap check doubts that
the face is still where it was; between, the predictor is given the box found last. That box is held still, not moved along
with the landmarks: HOG itself answers on a grid of a ninth of a face, so that with a quiet head it gives the same box frame
after frame, and landmarks depend on their box. A box moved along lay 0.3–0.6 px a point from detection in every frame of
seven GRID clips, the held one 0–0.4. Where a head moves by half a step of that grid, HOG is asked again.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import tee
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from pipeline.errors import ClipRejected
from pipeline.features.detection import as_grey, find_faces, overlap, predict_landmarks
from pipeline.features.jitter import jitter
from pipeline.features.landmarks import RIGID, spanned_box
from pipeline.features.person import other_person
from pipeline.features.smoothing import bridge_gaps
from pipeline.video import stream_frames

# HOG's grid: cells of 8 px under a face of 72 px, in a pyramid of steps of 1.2.
GRID_STEP, SCALE_STEP = 8 / 72, 1.2
# What the face's picture must correlate by with that of the last detection and of the frame before. Of 1,000 frames of real
# clips whose head keeps within a grid step, 95 % lie above both; pictures of two people, laid over each other by their
# landmarks, correlate by 0.3 in the median and 0.74 at most (100 pairs).
LIKE_DETECTED, LIKE_BEFORE = 0.75, 0.9
# HOG's score up to which a face was barely found (most often it turns away): it is asked again in the next frame, as dlib's
# predictor puts landmarks on a turned head that lie wrong, yet move little. Most real clips lie above 0.8 throughout.
BARELY = 0.4
# Faces that are followed at a time; all are counted.
MOST_FOLLOWED = 3
# A new face is taken for one that was seen before where their boxes overlap by so much (intersection over union).
SAME_PLACE = 0.3
# A face that was never seen beside the clip's own continues it (a cut to another camera) if it is at least so large a share
# of its width; smaller ones are pictures on the wall and errors of the detector.
CONTINUES = 0.5
# Kesim & Erzin's sequence discriminator decides at every fifth frame, and without a decision there is no loss; Sinha's temporal
# term needs two frames, jitter three.
LEAST_FRAMES = 5
# Jitter from which on the landmarks are wrong, in eye distances per frame². Of 61 clips of many corpora that had passed, it was
# above in four, whose landmarks lay a quarter of a face off, 0.057 in the next and 0.022 in the median.
MOST_JITTER = 0.08


class ClipFaces(NamedTuple):
    """The face of a clip. Frames without it (`has_face` False) are bridged, those at an end by the nearest face."""

    boxes: np.ndarray  # int32 (T, 4): left, top, right, bottom in pixels; zeros where there is no face
    landmarks: np.ndarray  # float32 (T, 68, 2) in pixels of the frame
    has_face: np.ndarray  # bool (T,)
    n_faces: np.ndarray  # int32 (T,): faces in the picture, as counted when HOG was last asked
    shot: (
        np.ndarray
    )  # int32 (T,), from 0: one more wherever the face no longer looks as it did, which a cut may have brought about


class View(NamedTuple):
    """How a face looked: where its rigid points lay, their size (both in pixels), and its picture, 32×32, of unit norm."""

    centre: np.ndarray
    size: float
    picture: np.ndarray


@dataclass(eq=False)
class Track:
    """One face through a clip: the frames that show it, with a box and landmarks for each.

    weight: what makes a face the clip's own, its width summed over these frames. doubts: those of the frames, the first one
    among them, in which it does not look as it did before.
    """

    frames: list[int] = field(default_factory=list)
    boxes: list[np.ndarray] = field(default_factory=list)
    landmarks: list[np.ndarray] = field(default_factory=list)
    weight: float = 0.0
    live: bool = True
    score: float = 0.0
    detected: View | None = None
    before: View | None = None
    doubts: list[int] = field(default_factory=list)

    def add(self, frame: int, box: np.ndarray, landmarks: np.ndarray, view: View) -> None:
        if self.before is None or (view.picture * self.before.picture).sum() < LIKE_BEFORE:
            self.doubts.append(frame)
        self.before = view
        self.frames.append(frame)
        self.boxes.append(box)
        self.landmarks.append(landmarks)
        self.weight += float(box[2] - box[0])


def detect_clip(
    frames: Collection[np.ndarray], backend: str, redetect_every: int, max_missing: float, name: str
) -> ClipFaces:
    """Face box and landmarks of every frame, by `backend`: "dlib" (grey or RGB frames) or "mediapipe" (RGB frames).

    frames: uint8 (H, W) or (H, W, 3) each, taken one at a time and not kept; counted only where many show no face.
    redetect_every: frames between two detections where nothing gives cause for an earlier one (dlib; MediaPipe tracks by
    itself). name: of the clip, for messages.
    Raises ClipRejected: what reading the frames does, too_short for fewer than LEAST_FRAMES, no_face where more than a share of
    `max_missing` of the frames have none.
    """
    if backend == "mediapipe":
        from pipeline.features.face_mesh import mesh_faces

        shown, seen = tee(frames)
        tracks, n_faces = collect(zip(shown, mesh_faces(seen), strict=True))
    else:
        tracks, n_faces = follow_faces(frames, redetect_every, max_missing)
    boxes = np.zeros((len(n_faces), 4), np.int32)
    landmarks = np.zeros((len(n_faces), 68, 2), np.float32)
    has_face = np.zeros(len(n_faces), bool)
    shot = np.zeros(len(n_faces), np.int32)
    for track in own_face(tracks):
        boxes[track.frames], landmarks[track.frames], has_face[track.frames] = track.boxes, track.landmarks, True
        shot[track.doubts] = 1
    if not has_face.any() or (~has_face).mean() > max_missing:
        raise ClipRejected("no_face", f"{name}: no face in {(~has_face).sum()} of {len(has_face)} frames looked at")
    if len(has_face) < LEAST_FRAMES:
        raise ClipRejected("too_short", f"{name}: {len(has_face)} of at least {LEAST_FRAMES} frames")
    filled = bridge_gaps(landmarks, has_face).astype(np.float32)
    shot[: has_face.argmax() + 1] = 0
    return ClipFaces(boxes, filled, has_face, np.array(n_faces, np.int32), shot.cumsum(dtype=np.int32))


def detect_video(video: Path, fps: float, backend: str, redetect_every: int, max_missing: float) -> ClipFaces:
    """`detect_clip` of a file, on the clock of `fps`, and whether what it finds is one face.

    Raises ClipRejected: as `detect_clip` does, another_person where the clip cuts to one, unsteady where the landmarks tremble
    by more than MOST_JITTER.
    """
    frames = _Frames(video, fps, grey=backend == "dlib")
    faces = detect_clip(frames, backend, redetect_every, max_missing, str(video))
    cut = other_person(faces.shot, faces.landmarks, faces.has_face, stream_frames(video, fps))
    if cut is not None:
        raise ClipRejected("another_person", f"{video}: another person from {cut / fps:.2f} s on")
    trembling = jitter(faces.landmarks)
    if trembling > MOST_JITTER:
        raise ClipRejected("unsteady", f"{video}: landmarks tremble by {100 * trembling:.1f} % of the eyes' distance")
    return faces


@dataclass(frozen=True)
class _Frames:
    """A video's frames, decoded anew whenever they are iterated over or counted."""

    video: Path
    fps: float
    grey: bool

    def __iter__(self) -> Iterator[np.ndarray]:
        return stream_frames(self.video, self.fps, self.grey)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def follow_faces(
    frames: Collection[np.ndarray], redetect_every: int, max_missing: float
) -> tuple[list[Track], list[int]]:
    """Follow the faces of a clip by dlib: their tracks, and the number of faces in each frame.

    max_missing: the share of frames without any face beyond which the rest is not looked at, as nothing in it saves the clip.
    """
    tracks: list[Track] = []
    n_faces: list[int] = []
    n_frames = cache(partial(len, frames))
    due = missing = 0
    for t, frame in enumerate(frames):
        grey = as_grey(frame)
        live = [track for track in tracks if track.live]
        fits = [] if t >= due else [_follow(track, grey) for track in live]
        if t < due and all(fit is not None for fit in fits):
            for track, (landmarks, view) in zip(live, fits, strict=True):
                track.add(t, track.boxes[-1], landmarks, view)
            n_faces.append(n_faces[-1])
            continue
        leading = max(tracks, key=lambda track: track.weight, default=None)
        near = [track.boxes[-1] for track in tracks if track.live or track is leading]
        # A face that is lost may come back elsewhere; the whole frame is searched closely for it as often as for a new one.
        faces = find_faces(grey, () if leading and not leading.live and t % redetect_every == 0 else near)
        followed = faces[:MOST_FOLLOWED]
        for track, (box, score) in zip(_assign(tracks, [face.box for face in followed]), followed, strict=True):
            landmarks = predict_landmarks(grey, box)
            track.score, track.detected = score, _view(grey, landmarks)
            track.add(t, box, landmarks, track.detected)
        n_faces.append(len(faces))
        missing += not faces
        # To look for a face costs twenty times as much as to follow one, and to count all frames as much as a few looks.
        if not faces and missing >= redetect_every and missing > max_missing * n_frames():
            break
        leading = max(tracks, key=lambda track: track.weight, default=None)
        due = t + redetect_every if leading and leading.live and leading.score > BARELY else t + 1
    return tracks, n_faces


def _follow(track: Track, grey: np.ndarray) -> tuple[np.ndarray, View] | None:
    """Landmarks and view of a face by the box that it had; None where HOG should be asked."""
    landmarks = predict_landmarks(grey, track.boxes[-1])
    view, detected = _view(grey, landmarks), track.detected
    width = track.boxes[-1][2] - track.boxes[-1][0]
    steady = (
        np.abs(view.centre - detected.centre).max() <= GRID_STEP * width / 2
        and SCALE_STEP**-0.5 <= view.size / detected.size <= SCALE_STEP**0.5
        and (view.picture * detected.picture).sum() >= LIKE_DETECTED
        and (view.picture * track.before.picture).sum() >= LIKE_BEFORE
    )
    return (landmarks, view) if steady else None


def _view(grey: np.ndarray, landmarks: np.ndarray) -> View:
    points = landmarks[RIGID]
    centre = points.mean(axis=0)
    size = float(np.sqrt(((points - centre) ** 2).sum(axis=1).mean()))
    # A square from brow to mouth.
    (left, top), (right, bottom) = np.rint(centre - 1.5 * size).astype(int), np.rint(centre + 1.5 * size).astype(int)
    part = grey[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if not part.size:
        return View(centre, size, np.zeros((32, 32), np.float32))
    picture = cv2.resize(part, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    picture -= picture.mean()
    # An even surface is like nothing, not like everything.
    return View(centre, size, picture / max(float(np.linalg.norm(picture)), 1.0))


def _assign(tracks: list[Track], boxes: list[np.ndarray]) -> list[Track]:
    """For each box the track of the face that was at its place, live ones first, or a new one; the others are lost."""
    pairs = [(t.live, overlap(t.boxes[-1], box), i, k) for i, t in enumerate(tracks) for k, box in enumerate(boxes)]
    owner: dict[int, Track] = {}
    for _, shared, i, k in sorted(pairs, reverse=True):
        if shared > SAME_PLACE and k not in owner and tracks[i] not in owner.values():
            owner[k] = tracks[i]
    for track in tracks:
        track.live = False
    for k in range(len(boxes)):
        if k not in owner:
            owner[k] = Track()
            tracks.append(owner[k])
        owner[k].live = True
    return [owner[k] for k in range(len(boxes))]


def collect(found: Iterable[tuple[np.ndarray, list[np.ndarray]]]) -> tuple[list[Track], list[int]]:
    """Sort landmarks (68, 2) that a detector found, frame by frame, into tracks; a box is what the landmarks span.

    found: each frame with the landmarks of its faces.
    """
    tracks: list[Track] = []
    n_faces: list[int] = []
    for t, (frame, faces) in enumerate(found):
        grey = as_grey(frame)
        boxes = [spanned_box(points) for points in faces]
        for track, box, points in zip(_assign(tracks, boxes), boxes, faces, strict=True):
            track.add(t, box, points, _view(grey, points))
        n_faces.append(len(faces))
    return tracks, n_faces


def own_face(tracks: list[Track]) -> list[Track]:
    """The tracks of the clip's own face: the largest and longest, and those that continue it after a cut."""
    own: list[Track] = []
    taken: set[int] = set()
    for track in sorted(tracks, key=lambda track: -track.weight):
        large = not own or track.weight / len(track.frames) >= CONTINUES * own[0].weight / len(own[0].frames)
        if large and taken.isdisjoint(track.frames):
            own.append(track)
            taken.update(track.frames)
    return own
