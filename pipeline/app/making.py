"""Videos, made one at a time in a thread of its own; who comes later waits in line."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pipeline.app.inputs import loaded
from pipeline.papers.interface import Drawn
from pipeline.refusal import People
from pipeline.report.pictures import with_landmarks
from pipeline.shown import resized
from pipeline.talking import Frame, Video, compare, talk

SEEN_S = 5.0  # of what the network sees: enough to see it, and little to keep
PANEL = 240  # pixels of each of its pictures


@dataclass(frozen=True)
class Wish:
    """What is to be made; see `talk`. driver: the driving video."""

    system: str
    photo: Path
    speech: Path | None
    driver: Path | None
    face: int
    emotion: str | None
    crop: bool
    refused: People | None = None


@dataclass(frozen=True)
class Made:
    """The video, what the network saw, and what one has to know. composed: whether its frames are composed with the photo."""

    video: Path
    seen: Path
    composed: bool
    notes: tuple[str, ...]


class Stopped(Exception):
    """Nobody waits for the video any more."""


@dataclass(eq=False)
class Task:
    """A wish on its way. folder: where the videos go. done, total: frames; total is 0 until it is known."""

    wish: Wish
    folder: Path
    done: int = 0
    total: int = 0
    began: float = 0.0  # when frames began to be drawn, by time.monotonic
    stopped: bool = False
    future: Future = field(init=False)

    @property
    def seconds_left(self) -> float | None:
        """None until a second has gone by, from which the others can be told."""
        so_far = time.monotonic() - self.began
        return so_far / self.done * (self.total - self.done) if self.done and so_far > 1 else None

    def stop(self) -> None:
        self.stopped = True
        self.future.cancel()


_worker = ThreadPoolExecutor(1, "making")
_line: list[Task] = []


def enqueue(wish: Wish, folder: Path) -> Task:
    """Have a video made as soon as those before it are; `Task.future` has it, or the error."""
    task = Task(wish, folder)
    _line.append(task)
    task.future = _worker.submit(make, task)
    task.future.add_done_callback(lambda _: _line.remove(task))
    return task


def before(task: Task) -> int:
    """How many are made before it."""
    return _line.index(task) if task in _line else 0


def stop_all() -> None:
    """So that the program can end."""
    for task in list(_line):
        task.stop()


def make(task: Task) -> Made:
    """Make a video, and one of what the network sees. Raises UserError; Stopped where nobody waits for it any more."""
    wish, drawn = task.wish, []
    video = talk(
        loaded(wish.system),
        wish.photo,
        wish.speech,
        driving_video=wish.driver,
        face=wish.face,
        emotion=wish.emotion,
        crop=wish.crop,
        fit="loop",
        refused=wish.refused,
    )
    if task.stopped:  # its folder may be gone
        raise Stopped
    task.total, task.began = len(video), time.monotonic()

    def on_frame(frame: Frame) -> None:
        if task.stopped:
            raise Stopped
        if len(drawn) < SEEN_S * video.fps:
            drawn.append(frame.drawn)
        task.done += 1

    path, path_of_seen = task.folder / "talk.mp4", task.folder / "seen.mp4"
    video.save(path, on_frame)
    seen(video, drawn).save(path_of_seen)
    return Made(path, path_of_seen, drawn[0].change is not None, video.notes)


def seen(video: Video, drawn: list[Drawn]) -> Video:
    """What the network draws of a video's first frames, side by side: landmarks, change and colours, as far as it has them."""
    rows = {"drawn": [frame.image for frame in drawn]}
    if drawn[0].change is not None:
        # White where most is drawn anew: of most pixels it is a small share.
        scale = 255 / max(1, max(frame.change.max() for frame in drawn))
        changes = [(frame.change * scale).astype(np.uint8) for frame in drawn]
        rows["where it draws anew"] = [np.repeat(change[..., None], 3, axis=-1) for change in changes]
        rows["its colours"] = [frame.colour for frame in drawn]
    if video.landmarks is not None:
        dark = np.stack(rows["drawn"]) // 3
        rows["landmarks it goes by"] = list(with_landmarks(dark, video.landmarks[: len(drawn)], PANEL))

    def panel(images: list[np.ndarray]) -> Video:
        def draw() -> Iterator[Frame]:
            return (Frame(resized(image, (PANEL, PANEL)), None) for image in images)

        return replace(video, width=PANEL, height=PANEL, n_frames=len(images), draw=draw)

    # From what goes in to what comes out.
    return compare({name: panel(images) for name, images in reversed(rows.items())})
