"""How a system's training prepared photos, videos and speech, and the same for anybody's: it cannot be another way in use."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.errors import ClipRejected
from pipeline.features.alignment import align_faces, crop_face, crop_faces
from pipeline.features.audio import log_mel, mfcc, resample
from pipeline.features.characters.recogniser import recogniser
from pipeline.features.characters.steps import StepWindows
from pipeline.features.detection import (
    SURE,
    Face,
    best_score,
    detect_faces,
    predict_tilted_landmarks,
    surroundings,
    turns_to_upright,
    unsteadiness,
)
from pipeline.features.face_mesh import mesh_faces
from pipeline.features.landmarks import JAW, inter_ocular_distance, spanned_box, tilt
from pipeline.features.lip_parsing import refine_clip
from pipeline.features.tracking import detect_video
from pipeline.features.windows import to_int16
from pipeline.video import stream_frames

WAVEFORM_RATE = 8000  # Hz, of the waveform that systems hear directly (Maity 2024)
# Degrees. Of 19 portraits tilted by 45 the landmarks of all 17 that are found are right, within 0.03 of the eyes' distance; by
# 50 those of 6 of 9.
LIES = 45
# `unsteadiness` of landmarks that are hardly any: portraits have 0.004 to 0.02, tilted or turned ones too; faces that are none,
# most drawn ones, and those a tenth as bright 0.05 to 0.23.
UNSTEADY = 0.04
# What lies, by the turns that set it right.
QUARTERS = {1: "by a quarter to the right", 2: "upside down", 3: "by a quarter to the left"}


class Found(NamedTuple):
    """A face in a photo: landmarks (68, 2) and box (left, top, right, bottom) in pixels, `unsteadiness` (0 by MediaPipe).

    of: how many faces the photo has.
    """

    landmarks: np.ndarray
    box: np.ndarray
    unsteady: float
    of: int = 1


def chosen(faces: Sequence[Face], which: str | int) -> Face:
    """One of the faces of a photo, given from left to right. which: left, right, largest, or a number from 1 on, from the left.

    Raises ClipRejected: no_face; no_such_face where there are fewer.
    """
    if not faces:
        raise ClipRejected("no_face", "no face was found")
    numbers = {
        "left": 1,
        "right": len(faces),
        "largest": 1 + int(np.argmax([face.box[2] - face.box[0] for face in faces])),
    }
    number = str(numbers.get(which, which))
    if not (number.isdecimal() and 1 <= int(number) <= len(faces)):
        raise ClipRejected("no_such_face", f"{len(faces)} faces" if len(faces) > 1 else "one face")
    return faces[int(number) - 1]


def _predicted(image: np.ndarray, box: np.ndarray) -> Found:
    landmarks = predict_tilted_landmarks(image, box)
    return Found(landmarks, box, unsteadiness(image, box, landmarks))


def _meshed(image: np.ndarray, box: np.ndarray) -> Found:
    """MediaPipe finds what is large in its picture: it is shown the face's surroundings."""
    left, top, right, bottom = surroundings(box, image.shape[1], image.shape[0])
    meshes = next(mesh_faces([image[top:bottom, left:right]]))
    if not meshes:
        raise ClipRejected("no_face", "no face was found")
    landmarks = meshes[0] + np.array([left, top], np.float32)
    return Found(landmarks, spanned_box(landmarks), 0.0)


@dataclass(frozen=True)
class Preprocessing:
    """What the stages before training say of what they made (`about.json`).

    fps: the video's clock. landmarks: backend, redetect_every, max_missing of `detect_video`. face_parsing: the checkpoint by
    which lips were refined. transform, image_size, template: of the crops. sigma: of heatmaps, pixels. mel: sample_rate,
    mel_bands, window_ms. characters: backend, model, symbols. What a system does not use is None.
    """

    fps: float
    landmarks: dict[str, Any]
    face_parsing: str | None
    transform: str
    image_size: int
    template: np.ndarray  # (68, 2), pixels of the crop
    sigma: float | None = None
    mel: dict[str, Any] | None = None
    characters: dict[str, Any] | None = None

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Preprocessing":
        """From a card; whatever else stands there is no matter of it."""
        known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        return cls(**known | {"template": np.array(values["template"])})

    def find(self, image: np.ndarray, which: str | int = "largest") -> Found:
        """One face of a photo, uint8 RGB (H, W, 3), by the training's backend. which: see `chosen`.

        Raises ClipRejected: no_face; no_such_face; lies (turned by more than LIES degrees); faint (hardly a face); cut_off
        (more than the jaw lies beyond the photo). Raises UserError where the backend is not installed.
        """
        meshed = self.landmarks["backend"] == "mediapipe"
        faces = detect_faces(image)
        score = best_score(faces)
        if score < SURE and (turns := turns_to_upright(image, score)):
            raise ClipRejected("lies", QUARTERS[turns])
        if meshed and not faces:
            faces = [Face(spanned_box(points), SURE) for points in next(mesh_faces([image]))]
            faces.sort(key=lambda face: face.box[0])
        face = chosen(faces, which)
        found = (_meshed if meshed else _predicted)(image, face.box)
        if abs(tilt(found.landmarks)) > LIES:
            raise ClipRejected("lies", f"by {abs(tilt(found.landmarks)):.0f}°")
        if face.score < SURE and found.unsteady > UNSTEADY:
            raise ClipRejected(
                "faint", f"score {face.score:.2f}, landmarks within {found.unsteady:.2f} of the eyes' distance"
            )
        # Of a face that is cut off, the predictor squeezes what is missing into the image, up to its border.
        features, margin = np.delete(found.landmarks, JAW, axis=0), 0.1 * inter_ocular_distance(found.landmarks)
        if (features < margin).any() or (features > np.array(image.shape[1::-1]) - 1 - margin).any():
            raise ClipRejected("cut_off", "the border cuts the face off")
        return found._replace(of=len(faces))

    def photo(self, image: np.ndarray, found: Found) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A face that was found in a photo → the crop uint8 (S, S, 3), its landmarks (68, 2) in crop pixels, and the similarity
        (2, 3) from the photo to the crop."""
        transforms, aligned = self._aligned(self._refined(found.landmarks[None], [image]), found.box[None])
        return crop_face(image, transforms[0], self.image_size), aligned[0], transforms[0]

    def video(self, path: Path) -> np.ndarray:
        """The landmarks of a video's face on the clock of `fps`, aligned as the corpus was: (T, 68, 2) in crop pixels.

        Raises ClipRejected where the video cannot be used.
        """
        return self._aligned(*self._followed(path))[1]

    def crops(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        """A video's crops on the clock of `fps`, cut as the corpus's were: uint8 (T, S, S, 3), and the similarities (T, 2, 3).

        Raises ClipRejected where the video cannot be used.
        """
        transforms, _ = self._aligned(*self._followed(path))
        return crop_faces(stream_frames(path, self.fps), transforms, self.image_size), transforms

    def _followed(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        """A video's landmarks (T, 68, 2) and boxes (T, 4), in its pixels."""
        found = detect_video(path, self.fps, **self.landmarks)
        return self._refined(found.landmarks, stream_frames(path, self.fps)), found.boxes

    def speech(
        self, waveform: np.ndarray, sample_rate: int, n_frames: int, needs: Iterable[str]
    ) -> dict[str, np.ndarray | StepWindows]:
        """Those features of speech that are needed, by the names of `Driving`'s fields.

        waveform: float in −1 … 1, (samples,) at `sample_rate` Hz. Names of what is no feature of speech are passed over.
        """
        make: dict[str, Callable[[], np.ndarray | StepWindows]] = {
            "mel": lambda: log_mel(resample(waveform, sample_rate, self.mel["sample_rate"]), **self.mel),
            "mfcc": lambda: mfcc(waveform, sample_rate),
            "waveform_8000": lambda: to_int16(resample(waveform, sample_rate, WAVEFORM_RATE)),
            "characters": lambda: self._characters(waveform, sample_rate, n_frames),
        }
        return {name: make[name]() for name in sorted(needs) if name in make}

    def _characters(self, waveform: np.ndarray, sample_rate: int, n_frames: int) -> StepWindows:
        scores = recogniser(self.characters["backend"], self.characters["model"])(waveform, sample_rate)
        return StepWindows(scores, n_frames, self.fps)

    def _aligned(self, landmarks: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return align_faces(landmarks, boxes, self.template, self.transform, self.image_size)

    def _refined(self, landmarks: np.ndarray, frames: Iterable[np.ndarray]) -> np.ndarray:
        return landmarks if self._parser is None else refine_clip(landmarks, frames, self._parser)

    @cached_property
    def _parser(self) -> Callable[[np.ndarray], np.ndarray] | None:
        if self.face_parsing is None:
            return None
        from pipeline.features.face_parsing import face_parser  # loads torch, which few need for this

        return face_parser(Path(self.face_parsing))
