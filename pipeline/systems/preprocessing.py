"""How a system's training prepared photos, videos and speech, and the same for anybody's: it cannot be another way in use."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import ClipRejected
from pipeline.features.alignment import align_faces, crop_face
from pipeline.features.audio import log_mel, mfcc, resample
from pipeline.features.characters.recogniser import recogniser
from pipeline.features.characters.steps import StepWindows
from pipeline.features.detection import detect_face, predict_tilted_landmarks
from pipeline.features.face_mesh import mesh_faces
from pipeline.features.landmarks import JAW, inter_ocular_distance, spanned_box
from pipeline.features.lip_parsing import refine_clip
from pipeline.features.tracking import detect_video
from pipeline.features.windows import to_int16
from pipeline.video import stream_frames

WAVEFORM_RATE = 8000  # Hz, of the waveform that systems hear directly (Maity 2024)


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

    def photo(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A photo's largest face, uint8 RGB (H, W, 3) → the crop uint8 (S, S, 3), its landmarks (68, 2) in crop pixels, and the
        similarity (2, 3) from the photo to the crop.

        Raises ClipRejected ("no_face"; "cut_off" where more than the jaw lies beyond the photo).
        """
        found, box = self._find(image)
        # Of a face that is cut off, the predictor squeezes what is missing into the image, up to its border.
        features, margin = np.delete(found, JAW, axis=0), 0.1 * inter_ocular_distance(found)
        if (features < margin).any() or (features > np.array(image.shape[1::-1]) - 1 - margin).any():
            raise ClipRejected("cut_off", "the border cuts the face off")
        transforms, aligned = self._aligned(self._refined(found[None], [image]), box[None])
        return crop_face(image, transforms[0], self.image_size), aligned[0], transforms[0]

    def video(self, path: Path) -> np.ndarray:
        """The landmarks of a video's face on the clock of `fps`, aligned as the corpus was: (T, 68, 2) in crop pixels.

        Raises ClipRejected where the video cannot be used.
        """
        found = detect_video(path, self.fps, **self.landmarks)
        return self._aligned(self._refined(found.landmarks, stream_frames(path, self.fps)), found.boxes)[1]

    def speech(
        self, waveform: np.ndarray, sample_rate: int, n_frames: int, needs: Iterable[str]
    ) -> dict[str, np.ndarray]:
        """Those features of speech that are needed, by the names of `Driving`'s fields.

        waveform: float in −1 … 1, (samples,) at `sample_rate` Hz. Names of what is no feature of speech are passed over.
        """
        make: dict[str, Callable[[], np.ndarray]] = {
            "mel": lambda: log_mel(resample(waveform, sample_rate, self.mel["sample_rate"]), **self.mel),
            "mfcc": lambda: mfcc(waveform, sample_rate),
            "waveform_8000": lambda: to_int16(resample(waveform, sample_rate, WAVEFORM_RATE)),
            "characters": lambda: self._characters(waveform, sample_rate, n_frames),
        }
        return {name: make[name]() for name in sorted(needs) if name in make}

    def _characters(self, waveform: np.ndarray, sample_rate: int, n_frames: int) -> StepWindows:
        scores = recogniser(self.characters["backend"], self.characters["model"])(waveform, sample_rate)
        return StepWindows(scores, n_frames, self.fps)

    def _find(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The landmarks of the largest face, (68, 2), and its box, by the training's backend."""
        if self.landmarks["backend"] == "mediapipe":
            if faces := next(mesh_faces([image])):
                return faces[0], spanned_box(faces[0])
        elif (box := detect_face(image)) is not None:
            return predict_tilted_landmarks(image, box), box
        raise ClipRejected("no_face", "no face was found")

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
