"""One photo and speech → a talking head, as a library; `pipeline.generate` is the command for it.

    from pipeline import load_system, talk

    system = load_system("pretrained/sinha")
    video = talk(system, "face.jpg", "speech.wav")
    video.save("talk.mp4")

A `Video` draws its frames when they are asked for, one by one: of any length it takes the memory of a few frames, and of its
sound, 5 MB a minute. docs/library.md shows more.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import tee
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np

from pipeline.corpus.layouts import EMOTIONS
from pipeline.errors import ClipRejected, UserError
from pipeline.features.smoothing import steadied
from pipeline.papers.interface import Drawn
from pipeline.papers.registry import SYSTEMS
from pipeline.photo import face_of, read_photo
from pipeline.refusal import People, refuse
from pipeline.shown import caption, enlarged, even, mark, provenance, resized
from pipeline.speech import read_speech
from pipeline.systems.card import find_system
from pipeline.systems.system import System
from pipeline.systems.system import load_system as load_folder
from pipeline.training.trained import read_card
from pipeline.video import read_audio, write_video
from pipeline.whole_photo import LONGEST, composed, for_video

DATA = Path("data")
SOUND_RATE = 22_050  # Hz, of the sound that is heard
CONTAINERS = (".mp4", ".mkv")
SIZES, RATES = (64, 4096), (1, 240)  # pixels of a video's longer side, and frames per second, that H.264's players take
# Where driving video and speech differ: both are cut to the shorter; or the speech sets the length, and a shorter driving video
# stands still at its end, or goes back and forth.
Fit = Literal["shortest", "speech", "loop"]


class Frame(NamedTuple):
    """A frame of a video, and what the system drew of it.

    image: uint8 (H, W, 3), as it is shown. drawn: the crop, and where it is composed, its colour and map of change; None where
    several systems stand side by side.
    """

    image: np.ndarray
    drawn: Drawn | None


@dataclass(frozen=True, eq=False)
class Video:
    """A talking head that is drawn while one goes through it: `for frame in video`. Each time it begins anew, and is the same.

    width, height: pixels, both even. fps: frames per second. n_frames: how many, `len(video)`. sound: float32 (samples,) in
    −1 … 1 at SOUND_RATE Hz, or None. systems: those that draw it. notes: what one has to know of its making, a line each.
    draw, predict: what makes its frames and `landmarks`.
    """

    width: int
    height: int
    fps: float
    n_frames: int
    sound: np.ndarray | None
    systems: tuple[System, ...]
    notes: tuple[str, ...]
    draw: Callable[[], Iterator[Frame]]
    predict: Callable[[], np.ndarray | None] = lambda: None

    def __len__(self) -> int:
        return self.n_frames

    def __iter__(self) -> Iterator[Frame]:
        return self.draw()

    @property
    def seconds(self) -> float:
        return self.n_frames / self.fps

    @cached_property
    def landmarks(self) -> np.ndarray | None:
        """The landmarks that each frame is drawn from: (n_frames, 68, 2) in pixels of the crop; None of systems without."""
        return self.predict()

    def save(
        self, path: Path | str, on_frame: Callable[[Frame], object] | None = None, overwrite: bool = False
    ) -> None:
        """Write it as MP4 or MKV with its sound, and tags that say that it is synthetic and by whom. The file appears whole.

        on_frame: called with each frame on its way into the file, for a progress bar or a preview. Raises UserError where there
        is such a file already, or it cannot be written; OSError where the disk is full.
        """
        path = Path(path)
        check_output(path, overwrite)

        def images() -> Iterator[np.ndarray]:
            for frame in self:
                if on_frame:
                    on_frame(frame)
                yield frame.image

        # A photo of a million pixels shall be made faster than it is watched.
        write_video(path, images(), self.fps, self.sound, SOUND_RATE, provenance(*self.systems), preset="veryfast")


def load_system(name: str | Path, data: Path | str = DATA) -> System:
    """A trained system, ready to use, by its name among those trained in `data`, or by its folder. Raises UserError."""
    return load_folder(find_system(str(name), Path(data)))


def talk(
    system: System,
    image: Path | str,
    audio: Path | str | None = None,
    *,
    driving_video: Path | str | None = None,
    emotion: str | None = None,
    face: str | int = "largest",
    crop: bool = False,
    size: int | None = None,
    fps: float | None = None,
    fit: Fit = "shortest",
    mark: bool = True,
    seed: int = 0,
    refused: People | None = None,
) -> Video:
    """A photo that speaks. Input is read, and the face found, at once; frames are drawn when one goes through the video.

    audio: speech, in any file with sound; without, a driving video's own sound is heard. driving_video: of systems that
    landmarks drive, whose facial motion to follow. emotion: of those that show one, one of ANG, DIS, FEA, HAP, NEU (None), SAD.
    face: which of a photo's faces speaks: left, right, largest, or a number from 1 on, from the left. crop: the face's crop
    alone, not the whole photo. size: pixels of the longer side (None: the photo's own up to 1,920; the crop's, at least 256).
    fps: frames per second (None: the system's own, 25), repeated or left out by time. fit: see `Fit`. mark: whether "synthetic"
    is written into the corner. seed: of noise and blinks. refused: who must not be animated, as `refusal.people_in` finds them.

    Raises UserError, one line, for what cannot be used.
    """
    image, audio, driving_video = (None if path is None else Path(path) for path in (image, audio, driving_video))
    check_choices(size, fps, fit, seed, emotion)
    check_drivers(system.name, system.needs, audio, driving_video, emotion)
    own_fps = system.preprocessing.fps
    photo, said = read_photo(image)
    found = face_of(system, photo, image, face)
    refuse(photo, found.in_photo, refused or {}, image)
    sound, heard = _sound(audio, driving_video, needed=bool(system.needs - {"landmarks", "emotion"}))
    n_frames = None if sound is None else max(1, round(len(sound) / SOUND_RATE * own_fps))
    landmarks, notes = None, [*said, *found.notes, *heard]
    if driving_video and audio and "landmarks" not in system.needs:
        notes.append(f"{system.name} is driven by speech alone: {driving_video} is not looked at")
    if "landmarks" in system.needs:
        driver = _driver_landmarks(system, driving_video)
        n_driver, n_speech = len(driver), n_frames
        shown = fitted(n_driver, n_speech, fit)
        landmarks, n_frames = follow(found.landmarks, driver)[shown], len(shown)
        if n_speech and abs(n_driver - n_speech) > 1:
            notes.append(_said_of_lengths(n_driver / own_fps, n_speech / own_fps, fit))
    driving = system.driving(n_frames, found.landmarks, sound, SOUND_RATE, landmarks, emotion)
    if sound is not None:
        sound = sound[: round(n_frames / own_fps * SOUND_RATE)]
    if crop:
        first = enlarged(found.crop) if size is None else resized(found.crop, (even(size), even(size)))
    else:
        first, matrix = for_video(photo, found.matrix, size)
    height, width = first.shape[:2]
    picks = at_rate(n_frames, own_fps, fps or own_fps)

    def images(drawn: Iterator[Drawn]) -> Iterator[np.ndarray]:
        if crop:
            return (resized(frame.image, (width, height)) for frame in drawn)
        # Speech moves the lower face; landmarks and emotions move eyes and brows as well.
        whole_face = bool(system.needs & {"landmarks", "emotion"})
        return composed(first, matrix, found.crop, found.landmarks, drawn, whole_face)

    def draw() -> Iterator[Frame]:
        return picked(_with_images(system.frames(found.crop, driving, seed), images, mark), picks)

    def predict() -> np.ndarray | None:
        moving = system.landmarks(driving, seed) if system.landmarks else landmarks
        return None if moving is None else moving[picks]

    return Video(width, height, fps or own_fps, len(picks), sound, (system,), tuple(notes), draw, predict)


def compare(videos: Mapping[str, Video], size: int | None = None) -> Video:
    """Videos side by side with their names under them, in one that is as long as the shortest.

    videos: by the names to show. Sound and frames per second are the first's. size: pixels of its width (None: all that they
    have, up to 1,920). Raises UserError where there is nothing to show, or no such size.
    """
    shown = list(videos.values())
    if not shown:
        raise UserError("nothing to compare: give a video or more")
    check_size(size)
    fps = shown[0].fps
    n_frames = max(1, round(min(video.seconds for video in shown) * fps))
    width = sum(video.width for video in shown)
    height = even(min(video.height for video in shown) * (size or min(width, LONGEST)) / width)
    sizes = [(even(video.width * height / video.height), height) for video in shown]
    strip = even(max(24, height / 12))
    names = np.hstack([caption(name, width, strip) for name, (width, _) in zip(videos, sizes, strict=True)])

    def row(frames: tuple[Frame, ...]) -> Frame:
        cells = np.hstack([resized(frame.image, cell) for frame, cell in zip(frames, sizes, strict=True)])
        return Frame(np.vstack([cells, names]), None)

    def draw() -> Iterator[Frame]:
        each = [picked(video, at_rate(len(video), video.fps, fps)[:n_frames]) for video in shown]
        return map(row, zip(*each, strict=True))

    sound = next((video.sound for video in shown if video.sound is not None), None)
    return Video(
        *(names.shape[1], height + strip, fps, n_frames),
        None if sound is None else sound[: round(n_frames / fps * SOUND_RATE)],
        tuple(system for video in shown for system in video.systems),
        tuple(dict.fromkeys(note for video in shown for note in video.notes)),
        draw,
    )


def follow(photo_landmarks: np.ndarray, driver_landmarks: np.ndarray) -> np.ndarray:
    """The photo's landmarks moved as the driver's move from their first frame: (68, 2), (T, 68, 2) → (T, 68, 2).

    Both are aligned to the same template. The person keeps their own face; only the motion is the driver's.
    """
    return photo_landmarks + driver_landmarks - steadied(driver_landmarks)[0]


def fitted(n_driver: int, n_speech: int | None, fit: Fit) -> np.ndarray:
    """Which frame of a driving video each frame follows, int (T,). n_speech: frames of speech; None without any."""
    if n_speech is None or fit == "shortest":
        return np.arange(min(n_driver, n_speech or n_driver))
    frames = np.arange(n_speech)
    if fit == "speech":
        return np.minimum(frames, n_driver - 1)
    # There and back again, so that nothing jumps.
    place = frames % max(1, 2 * (n_driver - 1))
    return np.minimum(place, 2 * (n_driver - 1) - place) if n_driver > 1 else place


def at_rate(n_frames: int, fps: float, new_fps: float) -> np.ndarray:
    """Which of n_frames each frame shows at another rate, int (T,), never falling: the one that is seen in its middle.

    T is to the next frame as long in time, and at least 1.
    """
    n_shown = max(1, round(n_frames / fps * new_fps))
    # To a billionth of a frame: whole ones should stay what they are.
    times = np.round((np.arange(n_shown) + 0.5) / new_fps * fps, 9)
    return np.minimum(times.astype(int), n_frames - 1)


def picked(frames: Iterator[Frame], picks: np.ndarray) -> Iterator[Frame]:
    """Of frames that come in order those with the numbers of `picks`, which never fall."""
    frames, n, frame = iter(frames), -1, None
    for pick in picks:
        while n < pick:
            frame, n = next(frames), n + 1
        yield frame


def needs_of(name: str, data: Path = DATA) -> frozenset[str]:
    """What drives a system, without loading it; see `SystemDeclaration.needs`. Raises UserError where there is none."""
    return SYSTEMS[name].needs if name in SYSTEMS else frozenset(read_card(find_system(name, data))["needs"])


def check_drivers(
    name: str, needs: frozenset[str], audio: Path | None, driving_video: Path | None, emotion: str | None
) -> None:
    """Raise UserError where a system lacks what drives it, or is given an emotion that it cannot show."""
    if emotion and "emotion" not in needs:
        conditioned = ", ".join(system for system, declared in SYSTEMS.items() if "emotion" in declared.needs)
        raise UserError(f"--emotion: {name} shows none; {conditioned} does")
    if "landmarks" in needs and not driving_video:
        raise UserError(f"{name} is driven by landmarks: give a --driving-video")
    if not (audio or driving_video):
        raise UserError(f"{name} is driven by speech: give --audio")


def check_choices(size: int | None, fps: float | None, fit: str, seed: int, emotion: str | None) -> None:
    """Raise UserError where one of these is none that there is."""
    if seed < 0:
        raise UserError(f"--seed: {seed} must be 0 or more")
    check_size(size)
    if fps is not None and not RATES[0] <= fps <= RATES[1]:
        raise UserError(f"--fps: {fps:g} must be {RATES[0]} to {RATES[1]} frames per second")
    if fit not in get_args(Fit):
        raise UserError(f"--fit: {fit} is none of {', '.join(get_args(Fit))}")
    if emotion and emotion not in EMOTIONS:
        raise UserError(f"--emotion: {emotion} is none of {', '.join(EMOTIONS)}")


def check_size(size: int | None) -> None:
    """Raise UserError where no video can have such a longer side."""
    if size is not None and not SIZES[0] <= size <= SIZES[1]:
        raise UserError(f"--size: {size} must be {SIZES[0]} to {SIZES[1]} pixels")


def check_output(path: Path, overwrite: bool) -> None:
    """Raise UserError where a video cannot be called so, or would replace a file against one's will."""
    if path.suffix.lower() not in CONTAINERS:
        raise UserError(f"--output: {path} must end in {' or '.join(CONTAINERS)}")
    if path.exists() and not overwrite:
        raise UserError(f"--output: {path} exists already; choose another name, or --force to write over it")


def _with_images(
    drawn: Iterator[Drawn], images: Callable[[Iterator[Drawn]], Iterator[np.ndarray]], visible_mark: bool
) -> Iterator[Frame]:
    """Frames with what is shown of them. images: of drawn frames the pictures, one for each, in order."""
    seen, kept = tee(drawn)
    for image, frame in zip(images(seen), kept, strict=False):
        yield Frame(mark(image) if visible_mark else image, frame)


def _sound(audio: Path | None, driving_video: Path | None, needed: bool) -> tuple[np.ndarray | None, list[str]]:
    """The speech to hear, from `audio` or else the driving video, and what is to be said of it; None where that is silent film.

    needed: whether it drives the system, and so has to be speech.
    """
    if audio or needed:
        return read_speech(audio or driving_video, SOUND_RATE)
    try:
        return read_audio(driving_video, SOUND_RATE), []
    except ClipRejected as problem:
        if problem.reason == "no_audio":
            return None, []
        raise UserError(problem.detail or problem.reason) from problem


def _driver_landmarks(system: System, video: Path) -> np.ndarray:
    """The driver's landmarks, aligned as the system's own corpus was: (T, 68, 2) in crop pixels."""
    try:
        return system.preprocessing.video(video)
    except ClipRejected as problem:
        raise UserError(problem.detail or problem.reason) from problem


def _said_of_lengths(driver_s: float, speech_s: float, fit: Fit) -> str:
    then = {
        "shortest": "the video ends with the shorter one (--fit speech or loop keeps all of the speech)",
        "speech": "at its end the driving video stands still",
        "loop": "the driving video goes back and forth",
    }
    said = then[fit] if fit == "shortest" or driver_s < speech_s else "the rest of the driving video is left out"
    return f"the driving video lasts {driver_s:.1f} s, the speech {speech_s:.1f} s: {said}"
