"""The table of clips: one row per usable clip, from the layout's names and the containers' headers."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from pipeline.corpus.layouts import Clip, read_corpus
from pipeline.corpus.splits import split_of, validation_subjects
from pipeline.corpus.workers import each
from pipeline.errors import ClipRejected
from pipeline.video import is_silent, probe

DESCRIPTION = ["subject", "sentence", "emotion", "level", "transcript"]
HEADER = ["fps", "width", "height", "duration_s", "sample_rate"]
COLUMNS = ["clip", *DESCRIPTION, "split", "video", "audio", *HEADER, "checksum"]


def list_clips(
    layout: str,
    root: Path,
    held_out_sentences: int,
    test_subjects: str = "vougioukas",
    workers: int | str = "auto",
    scheduler: str | None = None,
) -> tuple[pd.DataFrame, list[tuple[str, ClipRejected]]]:
    """Read a corpus's clips and their headers, each in a process that it may bring down.

    Returns the table (columns: COLUMNS; `audio` is the file to take sound from, `checksum` the MD5 of the files' bytes) and
    the clips that cannot be used, by id, or by file where the id is taken. Raises UserError where the corpus is missing or
    empty.
    """
    clips = read_corpus(layout, root)
    described = {place: row for (place, _), row in each(_describe, list(enumerate(clips)), "clips", workers, scheduler)}
    validating = validation_subjects(layout, clips, test_subjects)
    rows: dict[str, dict] = {}
    rejected: dict[str, ClipRejected] = {}
    for place, clip in enumerate(clips):
        row = described[place]
        if not isinstance(row, ClipRejected) and clip.id in rows:
            mend = "give it another in the column `id`" if layout == "folder" else "remove or rename one of them"
            row = ClipRejected("duplicate_id", f"{clip.video} has the id of {rows[clip.id]['video']}; {mend}")
        if isinstance(row, ClipRejected):
            # A table row each: a file that is listed twice is told apart by its place in the list.
            names = (clip.id, str(clip.video), f"{clip.video} ({place})")
            rejected[next(name for name in names if name not in rows and name not in rejected)] = row
        else:
            rows[clip.id] = row | {"split": split_of(clip, layout, held_out_sentences, validating, test_subjects)}
    return pd.DataFrame(rows.values(), columns=COLUMNS), list(rejected.items())


def _describe(item: tuple[int, Clip]) -> dict:
    _, clip = item
    if clip.problem:
        raise clip.problem
    _check_names(clip)
    stream, audio = probe(clip.video), _heard(clip)
    return {
        "clip": clip.id,
        **{key: getattr(clip, key) for key in DESCRIPTION},
        "video": str(clip.video),
        "audio": str(audio),
        **{key: getattr(stream, key) for key in HEADER},
        "checksum": _checksum(dict.fromkeys((clip.video, audio))),
    }


def _heard(clip: Clip) -> Path:
    """The first of a clip's sounds in which there is anything to hear. Raises ClipRejected: why the last of them is none."""
    for path in clip.sounds:
        try:
            if is_silent(path):
                raise ClipRejected("silent", f"{path}: its sound is digital silence")
            return path
        except ClipRejected:
            if path == clip.sounds[-1]:
                raise


def _checksum(paths: Iterable[Path]) -> str:
    total = hashlib.md5()
    for path in paths:
        try:
            with path.open("rb") as file:
                while piece := file.read(1 << 20):
                    total.update(piece)
        except OSError as error:
            raise ClipRejected("unreadable", f"{path}: {error.strerror}") from error
    return total.hexdigest()


def _check_names(clip: Clip) -> None:
    """Names are bytes to Linux; a table holds only those that are text."""
    for path in (clip.video, *clip.sounds):
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            raise ClipRejected("bad_name", f"{path!r} is not UTF-8; rename it") from error
