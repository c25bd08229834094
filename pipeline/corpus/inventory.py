"""The table of clips: one row per usable clip, from the layout's names and the containers' headers."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from pipeline.corpus.layouts import Clip, read_corpus
from pipeline.corpus.splits import split_of
from pipeline.errors import ClipRejected
from pipeline.video import probe

DESCRIPTION = ["subject", "sentence", "emotion", "level", "transcript"]
HEADER = ["fps", "width", "height", "duration_s", "sample_rate"]
COLUMNS = ["clip", *DESCRIPTION, "split", "video", "audio", *HEADER, "checksum"]


def list_clips(layout: str, root: Path, held_out_sentences: int) -> tuple[pd.DataFrame, dict[str, ClipRejected]]:
    """Read a corpus's clips and their headers.

    Returns the table (columns: COLUMNS; `audio` is the file to take sound from, `checksum` the MD5 of the files' bytes) and
    the clips that cannot be used. Raises UserError where the corpus is missing or empty.
    """
    rows: dict[str, dict] = {}
    rejected: dict[str, ClipRejected] = {}
    for clip in read_corpus(layout, root):
        try:
            if clip.id in rows:
                raise ClipRejected("duplicate_id", f"{clip.video} has the id of {rows[clip.id]['video']}")
            _check_names(clip)
            rows[clip.id] = _row(clip) | {"split": split_of(clip, layout, held_out_sentences)}
        except ClipRejected as problem:
            rejected[clip.id if clip.id not in rows else str(clip.video)] = problem
    return pd.DataFrame(rows.values(), columns=COLUMNS), rejected


def _row(clip: Clip) -> dict:
    if clip.problem:
        raise clip.problem
    stream = probe(clip.video)
    if stream.sample_rate is None and clip.audio is None:
        raise ClipRejected("no_audio", f"{clip.video} has no audio stream")
    # The container's own sound is in sync with its pictures; a separate file is taken where there is none.
    audio = clip.video if stream.sample_rate is not None else clip.audio
    return {
        "clip": clip.id,
        **{key: getattr(clip, key) for key in DESCRIPTION},
        "video": str(clip.video),
        "audio": str(audio),
        **{key: getattr(stream, key) for key in HEADER},
        "checksum": _checksum(dict.fromkeys((clip.video, audio))),
    }


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
    for path in filter(None, (clip.video, clip.audio)):
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            raise ClipRejected("bad_name", f"{path!r} is not UTF-8; rename it") from error
