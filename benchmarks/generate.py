"""From a photo and speech to a video, loading included: against real time, and against drawing and encoding in turn.

    python -m benchmarks.generate [--seconds 10] [--long 600]

The photo is the demo's first person at 1,000 px, the speech its example's, over and over. Every video is made by a process of
its own, as `python -m pipeline.generate` makes it. For each: seconds on the clock and of the cores, from the process's start
until the first frame went to the encoder and to its end, and the most memory that it held. Both ways are timed in turn; the
fastest of each counts. --long makes one more, of so many seconds, for its memory. The deviation is the
largest difference of pixels between the two videos, in 0 … 255.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import soundfile

from benchmarks.project import ROOT
from pipeline.demo import example
from pipeline.errors import UserError, one_line_errors
from pipeline.video import stream_frames

PX = 1000  # of the photo's longer side
FIRST = "first frame at"


class Cost(NamedTuple):
    wall_s: float
    cpu_s: float
    first_wall_s: float
    first_cpu_s: float
    megabytes: float

    def __str__(self) -> str:
        spent = f"{self.wall_s:.1f} s ({self.cpu_s:.1f} of the cores)"
        first = f"the first frame after {self.first_wall_s:.1f} ({self.first_cpu_s:.1f})"
        return f"{spent}, {first}, {self.megabytes:.0f} MB"


class InTurn:
    """An executor that does at once what it is given, in the caller's thread."""

    def __init__(self, *_: object):
        pass

    def __enter__(self) -> "InTurn":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, function: Callable, *args: object) -> Future:
        done: Future = Future()
        done.set_result(function(*args))
        return done


def watched(in_turn: bool) -> None:
    """`pipeline.generate`, which says on its standard output when the first frame went to the encoder."""
    from pipeline import generate, talking, video

    write_video = talking.write_video

    def watching(path: Path, frames: object, *args: object, **kwargs: object) -> None:
        def first_said():
            for n, frame in enumerate(frames):
                if n == 0:
                    print(FIRST, time.time(), time.process_time())
                yield frame

        write_video(path, first_said(), *args, **kwargs)

    talking.write_video = watching
    if in_turn:
        video.ThreadPoolExecutor = InTurn
    generate.main()


def made(system: str, photo: Path, speech: Path, output: Path, in_turn: bool = False) -> Cost:
    """Make a video in a process of its own. Raises UserError with what it said where it fails."""
    run = f"from benchmarks.generate import watched; watched({in_turn})"
    options = ["--system", system, "--image", photo, "--audio", speech, "--output", output, "--force"]
    start = time.time()
    process = subprocess.Popen(
        [sys.executable, "-c", run, *map(str, options)],
        cwd=ROOT,
        env=os.environ | ({"OMP_NUM_THREADS": str(len(os.sched_getaffinity(0)))} if in_turn else {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    wall, process.returncode = time.time() - start, os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise UserError(f"no video was made:\n{said[-2000:]}")
    (first,) = (line.removeprefix(FIRST).split() for line in said.splitlines() if line.startswith(FIRST))
    return Cost(wall, used.ru_utime + used.ru_stime, float(first[0]) - start, float(first[1]), used.ru_maxrss / 1024)


def lasting(seconds: float, path: Path) -> Path:
    """The example's speech, over and over, as a file so long."""
    speech, rate = soundfile.read(example.OUT / "speech.wav")
    soundfile.write(path, np.resize(speech, round(seconds * rate)), rate)
    return path


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.generate", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10, help="of speech (default: %(default)s)")
    parser.add_argument("--long", type=float, default=0, metavar="SECONDS", help="one more, so long (default: none)")
    parser.add_argument("--rounds", type=int, default=3, help="videos of each way (default: %(default)s)")
    parser.add_argument("--system", default="pretrained/sinha", help="which draws (default: %(default)s)")
    args = parser.parse_args()
    if not (example.OUT / "speech.wav").exists():
        example.make_example()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        portrait = cv2.imread(str(example.OUT / "portrait.png"))
        scale = PX / max(portrait.shape[:2])
        photo, speech = folder / "photo.png", lasting(args.seconds, folder / "speech.wav")
        cv2.imwrite(str(photo), cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC))
        ours, in_turn = [], []
        for _ in range(args.rounds):
            ours.append(made(args.system, photo, speech, folder / "ours.mp4"))
            in_turn.append(made(args.system, photo, speech, folder / "in_turn.mp4", in_turn=True))
            print(f"{args.seconds:g} s of speech: {ours[-1]}; in turn: {in_turn[-1]}; load {os.getloadavg()[0]:.1f}")
        if args.long:
            longer = made(args.system, photo, lasting(args.long, folder / "long.wav"), folder / "long.mp4")
            print(f"{args.long:g} s of speech: {longer}")
        pairs = zip(*(stream_frames(folder / f"{name}.mp4", 25) for name in ("ours", "in_turn")), strict=True)
        deviation = max(int(cv2.absdiff(one, other).max()) for one, other in pairs)
    best, alternative = (min(cost.wall_s for cost in costs) for costs in (ours, in_turn))
    print(f"real time / ours: {args.seconds / best:.2f}")
    print(
        f"generate: ratio {alternative / best:.2f} (ours {best:.1f}, alternative {alternative:.1f} s; "
        f"deviation {deviation})"
    )


if __name__ == "__main__":
    main()
