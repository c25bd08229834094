"""Action units by OpenFace 2's program FeatureExtraction (Baltrušaitis et al. 2018), run as a process of its own.

OpenFace is not part of this project (its licence is for academic, non-commercial use). Where it is installed the command is
its path; from the container image that many use it is, in one line,

    docker run --rm --init --network none -v {folder}:{folder}
        --entrypoint /home/openface-build/build/bin/FeatureExtraction algebr/openface

The arguments (-f INPUT -out_dir FOLDER -of NAME -aus) are put behind it. `{folder}` stands for the temporary folder that
holds a copy of the clip and receives the result, under the same path inside a container and out; with --init the container
ends when its time is up.

Its exit status means little (0 for junk, or for half a file; 134 for an unwritable folder), so that only the table it wrote is
judged. Presence (AUxx_c) and intensity (AUxx_r) are two models, and disagree by design. Both are dynamic: relative to the
neutral face that OpenFace finds in the same file.
"""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.errors import ClipRejected, UserError
from pipeline.features.action_units.units import AUS, ActionUnits, without_missing

LEAST_COVERED = 0.9  # a table that ends earlier in the clip is a run that broke off
GRACE_S = 3.0  # between asking a program to end and killing it: `docker run` passes the first on to its container
HELP = (
    "give the path of its FeatureExtraction in action_units.command, or a `docker run` of the image algebr/openface, "
    "or set action_units.backend: landmarks"
)

_INTENSITY = [f"AU{au:02d}_r" for au in AUS]
_PRESENCE = [f"AU{au:02d}_c" for au in AUS]


def command_words(command: str | Sequence[str]) -> list[str]:
    """The command as a list of words, found to be runnable. A string is split as a shell would, but no shell ever sees it.

    Raises UserError where it cannot be split, or where its program is not installed.
    """
    try:
        words = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
    except ValueError as error:
        raise UserError(f"action_units.command cannot be split into words ({error}): {command!r}") from error
    if not words or not shutil.which(words[0]):
        name = words[0] if words else ""
        raise UserError(f"OpenFace was not found: no program {name!r}; {HELP}")
    return words


def openface_action_units(
    video: Path,
    n_frames: int,
    fps: float,
    command: str | Sequence[str] = "FeatureExtraction",
    time_limit_s: float = 120,
    min_confidence: float = 0.8,
) -> ActionUnits:
    """Action units of one clip by OpenFace, on a clock of `fps` with n_frames frames.

    Raises UserError where the program is not installed; ClipRejected: missing, openface_timeout, openface_failed (no table,
    not a table, or one that ends early), no_face (no frame with a confident face).
    """
    words = command_words(command)
    if not Path(video).is_file():
        raise ClipRejected("missing", str(video))
    # A container's program may leave files of another owner; that must not cost the clip.
    with tempfile.TemporaryDirectory(prefix="openface-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        # A copy under a plain name: clips may be called anything (`-q.mpg`), and a container sees this folder only.
        clip, out = folder / f"clip{_plain_suffix(video)}", folder / "out"
        shutil.copyfile(video, clip)
        out.mkdir()
        arguments = ["-f", str(clip), "-out_dir", str(out), "-of", "clip", "-aus"]
        last_words = _run([word.replace("{folder}", str(folder)) for word in words] + arguments, time_limit_s)
        table = out / "clip.csv"
        if not table.is_file():
            raise ClipRejected(
                "openface_failed", f"{video}: OpenFace wrote no table; it said: {last_words or 'nothing'}"
            )
        try:
            return read_openface(table, n_frames, fps, min_confidence)
        except ClipRejected as problem:
            raise ClipRejected(problem.reason, f"{video}: {problem.detail}") from problem


def _plain_suffix(video: Path) -> str:
    suffix = Path(video).suffix
    return suffix if suffix[1:].isascii() and suffix[1:].isalnum() else ""


def _run(words: list[str], time_limit_s: float) -> str:
    """Run a program in a session of its own, which is ended whole. Returns the last line that it printed."""
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise UserError(f"OpenFace could not be started ({error}); {HELP}") from error
    printed = _Tail(process.stdout)
    try:
        process.wait(time_limit_s)
    except subprocess.TimeoutExpired as error:
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
        raise ClipRejected(
            "openface_timeout",
            f"no result after {time_limit_s:g} s (action_units.time_limit_s); on a single CPU core OpenFace hangs for ever",
        ) from error
    finally:
        _signal(process, signal.SIGKILL)  # the session's leader may have left others behind
        process.wait()
    return printed.last_line()


def _signal(process: subprocess.Popen, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


class _Tail(threading.Thread):
    """Reads what a program prints, so that it never waits for a reader, and keeps the end of it."""

    def __init__(self, pipe):
        super().__init__(daemon=True)
        self.pipe, self.tail = pipe, b""
        self.start()

    def run(self) -> None:
        with self.pipe:
            while chunk := os.read(self.pipe.fileno(), 65_536):
                self.tail = (self.tail + chunk)[-2000:]

    def last_line(self) -> str:
        self.join(GRACE_S)
        lines = self.tail.decode(errors="replace").split("\n")
        return next(("".join(c for c in line if c.isprintable()) for line in reversed(lines) if line.strip()), "")


def read_openface(path: Path, n_frames: int, fps: float, min_confidence: float = 0.8) -> ActionUnits:
    """Read OpenFace's table onto the video's clock.

    Frame k has the row of the frame that `stream_frames` shows then: the last whose timestamp is at most (k + ½)/fps. Rows with
    success 0 or a confidence below min_confidence are missing (such rows hold stale values). Of several faces the one that
    succeeds in most frames counts (of equals, the more confident). Raises ClipRejected: openface_failed, no_face.
    """
    rows = _most_seen_face(_read_table(path))
    times = rows["timestamp"].to_numpy()
    if (np.diff(times) <= 0).any():
        # Of a folder of pictures (-fdir) every timestamp is 0.
        times = (rows["frame"].to_numpy() - 1) / fps
    step = max(np.median(np.diff(times)) if len(times) > 1 else 0.0, 1 / fps)
    if times[-1] + step < LEAST_COVERED * n_frames / fps:
        raise ClipRejected(
            "openface_failed", f"OpenFace's table ends at {times[-1] + step:.2f} of {n_frames / fps:.2f} s"
        )
    moments = (np.arange(n_frames) + 0.5) / fps + 0.0006  # timestamps have three decimals
    chosen = np.searchsorted(times, moments, side="right") - 1
    # A frame that OpenFace skipped has no row of its own: the one before is too old by a frame.
    current = (chosen >= 0) & (moments - times[np.maximum(chosen, 0)] <= step + 0.0012)
    row = rows.iloc[np.maximum(chosen, 0)]
    confidence = np.where(current, row["confidence"].to_numpy(), 0.0)
    usable = current & (row["success"].to_numpy() == 1) & (confidence >= min_confidence)
    if not usable.any():
        raise ClipRejected("no_face", f"OpenFace has no frame with a confidence of {min_confidence:g} (of {n_frames})")
    return without_missing(row[_INTENSITY].to_numpy(), row[_PRESENCE].to_numpy() > 0.5, confidence, usable)


def _read_table(path: Path) -> pd.DataFrame:
    """The columns that count, as numbers; half-written rows are left out. 2.0 separates by comma and space, 2.2 by comma."""
    try:
        table = pd.read_csv(path, skipinitialspace=True)
    except (ValueError, OSError) as error:  # pandas' own errors are ValueErrors
        raise ClipRejected(
            "openface_failed", f"OpenFace's table cannot be read: {str(error).splitlines()[0]}"
        ) from error
    table.columns = table.columns.str.strip()
    needed = ["frame", "timestamp", "confidence", "success", *_INTENSITY, *_PRESENCE]
    absent = [column for column in needed if column not in table]
    if absent:
        raise ClipRejected("openface_failed", f"OpenFace's table has no column {absent[0]}")
    if "face_id" not in table:
        table["face_id"] = 0
    numbers = table[["face_id", *needed]].apply(pd.to_numeric, errors="coerce").astype(float)
    whole = numbers[np.isfinite(numbers).all(axis=1)]
    if whole.empty:
        raise ClipRejected("openface_failed", "OpenFace's table has no whole row")
    return whole


def _most_seen_face(rows: pd.DataFrame) -> pd.DataFrame:
    seen = rows.groupby("face_id").agg({"success": "sum", "confidence": "mean"})
    face = seen.sort_values(["success", "confidence"]).index[-1]
    return rows[rows["face_id"] == face].drop_duplicates("frame").sort_values("frame")
