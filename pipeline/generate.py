"""One photo and one speech file → a video of that photo speaking.

    python -m pipeline.generate --system sinha --image face.jpg --audio speech.wav --output talk.mp4

Systems that are driven by landmarks take a video of somebody else, whose facial motion the photo then follows:

    python -m pipeline.generate --system kesim_erzin_landmark --image face.jpg --driving-video them.mp4 --output talk.mp4

Those that are told which emotion to show:

    python -m pipeline.generate --system maity --emotion HAP --image face.jpg --audio speech.wav --output talk.mp4

The video is the whole photo, at its own size up to 1,920 px, with the face alive in it; what does not move is the photo's own.
`--crop` gives what the system draws, the crop of the face, alone.

A system is named, as `dvc repro` has trained it, or given as its folder, which may come from another machine; `--list` shows
those that there are. What a system can draw is what its corpus showed it.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pipeline.corpus.layouts import EMOTIONS
from pipeline.errors import ClipRejected, UserError, one_line_errors
from pipeline.features.smoothing import steadied
from pipeline.papers.interface import Driving
from pipeline.papers.registry import PAPER_OF, SYSTEMS, paper
from pipeline.photo import face_of, read_photo
from pipeline.synthesis import enlarged, mark, provenance
from pipeline.systems.card import find_system
from pipeline.systems.system import System, load_system
from pipeline.training.trained import CARD, read_card
from pipeline.video import read_audio, write_video
from pipeline.whole_photo import composed, for_video

DATA, PRETRAINED = Path("data"), Path("pretrained")
SOUND_RATE = 22_050  # Hz, of the sound that is heard


def follow(photo_landmarks: np.ndarray, driver_landmarks: np.ndarray) -> np.ndarray:
    """The photo's landmarks moved as the driver's move from their first frame: (68, 2), (T, 68, 2) → (T, 68, 2).

    Both are aligned to the same template. The person keeps their own face; only the motion is the driver's.
    """
    return photo_landmarks + driver_landmarks - steadied(driver_landmarks)[0]


def talk(
    system: System,
    image: Path,
    audio: Path | None,
    driving_video: Path | None,
    output: Path,
    seed: int,
    visible_mark: bool,
    emotion: str | None = None,
    crop: bool = False,
) -> None:
    """Make the video. emotion: one of EMOTIONS, for systems that are conditioned on one. crop: show the face's crop alone.

    Raises UserError in one line for input that cannot be used.
    """
    fps = system.preprocessing.fps
    photo = read_photo(image)
    face, photo_landmarks, matrix = face_of(system, photo, image)
    waveform = _sound(audio, driving_video, needed=bool(system.needs - {"landmarks", "emotion"}))
    landmarks, lengths = None, []
    if waveform is not None:
        lengths.append(max(1, round(len(waveform) / SOUND_RATE * fps)))
    if "landmarks" in system.needs:
        landmarks = follow(photo_landmarks, _driver_landmarks(system, driving_video))
        lengths.append(len(landmarks))
    # The shorter of speech and driving video sets the length.
    n_frames = min(lengths)
    features = {} if waveform is None else system.speech(waveform, SOUND_RATE, n_frames)
    driving = Driving(n_frames, photo_landmarks, landmarks=landmarks, emotion=emotion, **features)
    if waveform is not None:
        waveform = waveform[: round(n_frames / fps * SOUND_RATE)]
    drawn = tqdm(system.frames(face, driving, seed), system.name, n_frames, unit="frame", disable=None)
    if crop:
        shown, frames = enlarged(face), (enlarged(frame.image) for frame in drawn)
    else:
        shown, matrix = for_video(photo, matrix)
        # Speech moves the lower face; landmarks and emotions move eyes and brows as well.
        whole_face = bool(system.needs & {"landmarks", "emotion"})
        frames = composed(shown, matrix, face, photo_landmarks, drawn, whole_face)
    marked = map(mark, frames) if visible_mark else frames
    # A photo of a million pixels shall be made faster than it is watched.
    write_video(output, marked, fps, waveform, SOUND_RATE, provenance(system), preset="veryfast")
    (height, width), size = shown.shape[:2], system.image_size
    print(f"{output}: {n_frames / fps:.1f} s of {width}×{height} px, a face of {size}×{size} px by {system.name}")


def _sound(audio: Path | None, driving_video: Path | None, needed: bool) -> np.ndarray | None:
    """The speech to hear, from --audio or else the driving video; None where that is silent film and nobody needs it."""
    try:
        return read_audio(audio or driving_video, SOUND_RATE)
    except ClipRejected as problem:
        if problem.reason == "no_audio" and not audio and not needed:
            return None
        raise UserError(f"{'--audio' if audio else '--driving-video'}: {problem}") from problem


def _driver_landmarks(system: System, video: Path) -> np.ndarray:
    """The driver's landmarks, aligned as the system's own corpus was: (T, 68, 2) in crop pixels."""
    try:
        return system.preprocessing.video(video)
    except ClipRejected as problem:
        raise UserError(f"--driving-video: {problem}") from problem


def list_systems(data: Path) -> str:
    """The systems as a table, those that ship with the project last: what drives each, and whether it is trained here, on what,
    and how it fared."""
    measured = Path("metrics/evaluation.json")
    figures = json.loads(measured.read_text()) if measured.exists() else {}
    shipped = [str(path.parent) for path in sorted(PRETRAINED.glob(f"*/{CARD}"))]
    lines = []
    for name in [*SYSTEMS, *shipped]:
        system = Path(name).name
        try:
            card = read_card(find_system(name, data))
            splits = card["corpus"]["splits"]
            state = f"trained on {splits['train']['clips']} clips of {splits['train']['subjects']} people"
            fared = card["metrics"] if name in shipped else figures.get(system, {})
            if fared.get("lmd") is not None:
                state += f"; LMD {fared['lmd']:.2f} px"
        except UserError:
            state = f"not trained: dvc repro system_{name}"
        title = paper(PAPER_OF[system]).title.split(",")[0]
        lines.append(f"{name:30} {' + '.join(sorted(SYSTEMS[system].needs)):24} {state:45} {title}")
    return "\n".join([f"{'system':30} {'driven by':24} {'state':45} paper", *lines])


@one_line_errors
def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m pipeline.generate", description=__doc__, formatter_class=raw)
    parser.add_argument("--list", action="store_true", help="show the systems that there are, and end")
    parser.add_argument("--system", help="which trained system draws: its name, or the folder of one")
    parser.add_argument("--image", type=Path, help="a photo with one frontal face")
    parser.add_argument("--audio", type=Path, help="speech in any format that FFmpeg reads")
    parser.add_argument("--driving-video", type=Path, help="landmark systems: whose facial motion to follow")
    parser.add_argument(
        "--emotion", choices=EMOTIONS, help="systems that an emotion conditions: which to show (default: NEU)"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("talk.mp4"), help="the video to write (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of noise and blinks, 0 or more (default: %(default)s)")
    parser.add_argument("--crop", action="store_true", help="show the crop of the face alone, not the whole photo")
    parser.add_argument("--no-mark", action="store_true", help='leave out the visible "synthetic" in the corner')
    args = parser.parse_args()
    if args.list:
        print(list_systems(DATA))
        return
    if not (args.system and args.image):
        parser.error("--system and --image are needed; --list shows the systems")
    if args.output.suffix.lower() not in (".mp4", ".mkv"):
        sys.exit(f"error: --output: {args.output} must end in .mp4 or .mkv")
    if args.seed < 0:
        sys.exit(f"error: --seed: {args.seed} must be 0 or more")
    # What is missing is said before anything is loaded.
    known = SYSTEMS.get(args.system)
    needs = known.needs if known else frozenset(read_card(find_system(args.system, DATA))["needs"])
    conditioned = [name for name, declared in SYSTEMS.items() if "emotion" in declared.needs]
    if args.emotion and "emotion" not in needs:
        sys.exit(f"error: --emotion: {args.system} shows none; {', '.join(conditioned)} does")
    if "landmarks" in needs and not args.driving_video:
        sys.exit(f"error: {args.system} is driven by landmarks: give a --driving-video")
    if not (args.audio or args.driving_video):
        sys.exit(f"error: {args.system} is driven by speech: give --audio")
    system = load_system(find_system(args.system, DATA))
    emotion = args.emotion or "NEU"
    talk(
        system,
        args.image,
        args.audio,
        args.driving_video,
        args.output,
        args.seed,
        not args.no_mark,
        emotion,
        args.crop,
    )


if __name__ == "__main__":
    main()
