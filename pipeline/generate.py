"""One photo and one speech file → a video of that face speaking.

    python -m pipeline.generate --system speech --image face.jpg --audio speech.wav --output talk.mp4

Systems that are driven by landmarks take a video of somebody else, whose facial motion the photo then follows:

    python -m pipeline.generate --system landmark --image face.jpg --driving-video them.mp4 --output talk.mp4

The system `emotion` is told which of six to show:

    python -m pipeline.generate --system emotion --emotion HAP --image face.jpg --audio speech.wav --output talk.mp4

The systems are those that `dvc repro` has trained; what they can draw is what their corpus showed them.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from pipeline.corpus.layouts import EMOTIONS
from pipeline.errors import ClipRejected, UserError, one_line_errors
from pipeline.features.alignment import TRANSFORMS, align_landmarks, apply_similarity, crop_face
from pipeline.features.detection import detect_face, predict_landmarks
from pipeline.features.tracking import detect_video
from pipeline.synthesis import write_clip
from pipeline.systems.registry import LANDMARK_DRIVEN, SYSTEMS, load
from pipeline.systems.speech import speech_features
from pipeline.systems.system import Driving
from pipeline.video import read_audio

SOUND_RATE = 22_050  # Hz, of the sound that is heard


def read_photo(path: Path) -> np.ndarray:
    """Decode a photo upright (EXIF orientation), transparency over white: uint8 RGB (H, W, 3). Raises UserError."""
    try:
        image = ImageOps.exif_transpose(Image.open(path)).convert("RGBA")
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise UserError(f"--image: {path} cannot be read as a picture ({error})") from error
    white = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(white, image).convert("RGB"))


def align_photo(
    photo: np.ndarray, template: np.ndarray, image_size: int, transform: str, name: Path
) -> tuple[np.ndarray, np.ndarray]:
    """The aligned crop of the largest face, uint8 (S, S, 3), and its landmarks (68, 2) in crop pixels. Raises UserError."""
    # Faces of 4,000 px are no better for a crop of 64, and the detector would look at them for seconds.
    shrink = max(1, round(max(photo.shape) / 1000))
    photo = np.asarray(Image.fromarray(photo).reduce(shrink))
    box = detect_face(photo)
    if box is None:
        raise UserError(f"--image: no face was found in {name}; use a frontal photo with the face at least 80 px wide")
    landmarks = predict_landmarks(photo, box)
    matrix = TRANSFORMS[transform](landmarks[None], template)[0]
    return crop_face(photo, matrix, image_size), apply_similarity(matrix, landmarks)


def follow(photo_landmarks: np.ndarray, driver_landmarks: np.ndarray) -> np.ndarray:
    """The photo's landmarks moved as the driver's move from their first frame: (68, 2), (T, 68, 2) → (T, 68, 2).

    Both are aligned to the same template. The person keeps their own face; only the motion is the driver's.
    """
    return photo_landmarks + driver_landmarks - driver_landmarks[0]


def talk(
    name: str,
    image: Path,
    audio: Path | None,
    driving_video: Path | None,
    output: Path,
    seed: int,
    visible_mark: bool,
    emotion: str | None = None,
) -> None:
    """Make the video. emotion: one of EMOTIONS, for systems that are conditioned on one.

    Raises UserError in one line for input that cannot be used.
    """
    system = load(name, Path("data"))
    how, size = system.preprocessing, system.image_size
    template, fps = np.array(how["template"]), how["fps"]
    driven_by_speech = bool(system.needs - {"landmarks", "emotion"})
    photo, photo_landmarks = align_photo(read_photo(image), template, size, how["transform"], image)
    waveform = _sound(audio, driving_video, needed=driven_by_speech)
    landmarks, lengths = None, []
    if waveform is not None:
        lengths.append(max(1, round(len(waveform) / SOUND_RATE * fps)))
    if "landmarks" in system.needs:
        driver = _driver_landmarks(driving_video, fps, template, how["transform"])
        landmarks = follow(photo_landmarks, driver)
        lengths.append(len(landmarks))
    # The shorter of speech and driving video sets the length.
    n_frames = min(lengths)
    features = speech_features(waveform, SOUND_RATE, n_frames, system)
    driving = Driving(n_frames, photo_landmarks, landmarks=landmarks, emotion=emotion, **features)
    if waveform is not None:
        waveform = waveform[: round(n_frames / fps * SOUND_RATE)]
    drawn = tqdm(system.frames(photo, driving, seed), name, n_frames, unit="frame", disable=None)
    write_clip(output, (frame.image for frame in drawn), waveform, name, fps, SOUND_RATE, visible_mark)
    print(f"{output}: {n_frames / fps:.1f} s, a face of {size}×{size} px by {name}")


def _sound(audio: Path | None, driving_video: Path | None, needed: bool) -> np.ndarray | None:
    """The speech to hear, from --audio or else the driving video; None where that is silent film and nobody needs it."""
    try:
        return read_audio(audio or driving_video, SOUND_RATE)
    except ClipRejected as problem:
        if problem.reason == "no_audio" and not audio and not needed:
            return None
        raise UserError(f"{'--audio' if audio else '--driving-video'}: {problem}") from problem


def _driver_landmarks(video: Path, fps: float, template: np.ndarray, transform: str) -> np.ndarray:
    """The driver's landmarks, aligned as the systems' own corpus was: (T, 68, 2) in crop pixels."""
    try:
        faces = detect_video(video, fps, "dlib", redetect_every=25, max_missing=0.2)
        return align_landmarks(faces.landmarks, template, transform)[1]
    except ClipRejected as problem:
        raise UserError(f"--driving-video: {problem}") from problem


@one_line_errors
def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m pipeline.generate", description=__doc__, formatter_class=raw)
    parser.add_argument("--system", required=True, choices=SYSTEMS, help="which trained system draws")
    parser.add_argument("--image", required=True, type=Path, help="a photo with one frontal face")
    parser.add_argument("--audio", type=Path, help="speech in any format that FFmpeg reads")
    parser.add_argument("--driving-video", type=Path, help="landmark systems: whose facial motion to follow")
    parser.add_argument("--emotion", choices=EMOTIONS, help="system emotion: which to show (default: NEU)")
    parser.add_argument(
        "--output", type=Path, default=Path("talk.mp4"), help="the video to write (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of noise and blinks, 0 or more (default: %(default)s)")
    parser.add_argument("--no-mark", action="store_true", help='leave out the visible "synthetic" in the corner')
    args = parser.parse_args()
    if args.output.suffix.lower() not in (".mp4", ".mkv"):
        sys.exit(f"error: --output: {args.output} must end in .mp4 or .mkv")
    if args.seed < 0:
        sys.exit(f"error: --seed: {args.seed} must be 0 or more")
    if args.emotion and args.system != "emotion":
        sys.exit(f"error: --emotion: {args.system} shows none; the system `emotion` does")
    if args.system in LANDMARK_DRIVEN and not args.driving_video:
        sys.exit(f"error: {args.system} is driven by landmarks: give a --driving-video")
    if not (args.audio or args.driving_video):
        sys.exit(f"error: {args.system} is driven by speech: give --audio")
    talk(
        args.system,
        args.image,
        args.audio,
        args.driving_video,
        args.output,
        args.seed,
        not args.no_mark,
        args.emotion or "NEU",
    )


if __name__ == "__main__":
    main()
