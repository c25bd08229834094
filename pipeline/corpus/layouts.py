"""Readers for the layouts in which corpora of talking faces come. Each lists its clips; none opens a video.

CREMA-D    VideoFlash/1001_IEO_HAP_HI.flv (or another video format), AudioWAV/1001_IEO_HAP_HI.wav
GRID       s1/bbaf2n.mpg (or s1/video/…); align/s1/bbaf2n.align or s1/align/bbaf2n.align; a speaker's folder alone, too
TCD-TIMIT  volunteers/01M/Clips/straightcam/sa1.mp4, with sa1.txt or sa1.wav beside it; lipspeakers likewise
MEAD       M003/video/front/angry/level_1/001.mp4, M003/audio/angry/level_1/001.m4a; the front camera only
folder     clips.csv with a column `video` and, as known: id, audio, subject, sentence, emotion, level, transcript, split

A root that lies further in (`volunteers`, a single speaker) holds the same clips under the same ids. Files that lie beside a
video are found whatever the case of their names.
"""

import csv
import re
from collections import ChainMap, Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pipeline.errors import ClipRejected, UserError

VIDEO_SUFFIXES = {".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"}
VIDEO_SUFFIXES |= {".3gp", ".mts", ".ts", ".vob"}
SPLITS = ("train", "validation", "test_sentences", "test")
EMOTIONS = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
# The same in words, as MEAD writes them. It has two more that no system knows: such clips keep their word.
EMOTION_WORDS = {"angry": "ANG", "disgusted": "DIS", "fear": "FEA", "happy": "HAP", "neutral": "NEU", "sad": "SAD"}

# How far below a corpus's root its speakers' folders may lie.
ANY_DEPTH = ("", "*/", "*/*/")
# What file managers and browsers add to the name of a file that they write a second time: "bbwg3a (1)", "bbwg3a - Copy".
COPY = re.compile(r"[ _]?\(\d+\)$|[ -]+copy.*$", re.IGNORECASE)
# Of clips.csv.
COLUMNS = ("video", "id", "audio", "subject", "sentence", "emotion", "level", "transcript", "split")

# Cao et al. 2014; CREMA-D's own codes.
CREMA_D_SENTENCES = {
    "IEO": "it's eleven o'clock",
    "TIE": "that is exactly what happened",
    "IOM": "i'm on my way to the meeting",
    "IWW": "i wonder what this is about",
    "TAI": "the airplane is almost full",
    "MTI": "maybe tomorrow it will be cold",
    "IWL": "i would like a new alarm clock",
    "ITH": "i think i have a doctor's appointment",
    "DFA": "don't forget a jacket",
    "ITS": "i think i've seen this before",
    "TSI": "the surface is slick",
    "WSI": "we'll stop in a couple of minutes",
}

# Cooke et al. 2006: each letter of a GRID name is a word; letter and digit stand for themselves.
GRID_WORDS = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},
    dict(
        zip("z123456789", ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"], strict=True)
    ),
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)


@dataclass(frozen=True)
class Clip:
    """One clip as its layout describes it; `problem` is set where its name or row cannot be read.

    sounds: where its speech may be, best first. A container's own sound is in sync with its pictures, so that a corpus's
    separate file comes after it; a file that a user names is the only one.
    emotion: one of EMOTIONS, or any other word, which no training looks at.
    """

    id: str
    video: Path
    sounds: tuple[Path, ...]
    subject: str = "unknown"
    sentence: str | None = None
    emotion: str | None = None
    level: str | None = None
    transcript: str | None = None
    split: str | None = None
    problem: ClipRejected | None = field(default=None, compare=False)


def read_corpus(layout: str, root: Path) -> list[Clip]:
    """All clips of a corpus, in the order of their ids. Raises UserError where the folder is missing or holds no clip."""
    if not root.is_dir():
        raise UserError(f"corpus.root: the folder {root} does not exist; set it in params.yaml")
    try:
        clips = sorted(LAYOUTS[layout](root), key=lambda clip: clip.id)
    except PermissionError as error:
        raise UserError(f"corpus.root: {error.filename} may not be read; change its permissions") from error
    except csv.Error as error:
        raise UserError(f"{root / 'clips.csv'} is not a table of comma-separated values: {error}") from error
    if not clips:
        raise UserError(
            f"corpus.root: no clip in {root} in the layout {layout!r}; see pipeline/corpus/layouts.py for its form"
        )
    return clips


def _videos(root: Path, pattern: str, depths: tuple[str, ...] = ("",)) -> list[Path]:
    """The videos that lie as the pattern says below the root, or below folders in it, as deep as `depths` says."""
    found = (path for above in depths for path in root.glob(above + pattern))
    return sorted(path for path in found if path.suffix.lower() in VIDEO_SUFFIXES)


def _files(folder: Path) -> dict[str, Path]:
    """The files of a folder by their names in small letters; none where there is no such folder."""
    return {path.name.lower(): path for path in sorted(folder.iterdir())} if folder.is_dir() else {}


def _id(name: str) -> str:
    """A clip's id: what may stand in a file's name, with "_" for all else. Two names that become one are told apart later."""
    return re.sub(r"^[.-]|[^\w.-]", "_", name)


def _read(path: Path) -> str | None:
    """A transcript; None where there is none that can be read, since a clip can do without."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return None


def crema_d(root: Path) -> Iterator[Clip]:
    """SUBJECT_SENTENCE_EMOTION_LEVEL; the level is LO, MD, HI, XX or (in a few of the corpus's own names) X."""
    name = re.compile(rf"(\d{{4}})_({'|'.join(CREMA_D_SENTENCES)})_({'|'.join(EMOTIONS)})_(LO|MD|HI|XX|X)")
    recordings = _files(root / "AudioWAV")
    for video in _videos(root, "VideoFlash/*"):
        match = name.fullmatch(video.stem)
        if match is None:
            problem = ClipRejected("bad_name", f"{video.name} is not SUBJECT_SENTENCE_EMOTION_LEVEL")
            yield Clip(_id(video.stem), video, (), problem=problem)
            continue
        subject, sentence, emotion, level = match.groups()
        sounds = _sounds(video, recordings.get(f"{video.stem}.wav".lower()))
        yield Clip(video.stem, video, sounds, subject, sentence, emotion, level, CREMA_D_SENTENCES[sentence])


def _sounds(video: Path, recording: Path | None) -> tuple[Path, ...]:
    return (video,) if recording is None else (video, recording)


def grid(root: Path) -> Iterator[Clip]:
    """Speakers' folders s1 … s34 below `root`, or `root` itself as one of them. A second copy of a sentence is a problem."""
    is_speaker = re.compile(r"s\d+").fullmatch
    name = root.resolve().name
    speakers = [root] if is_speaker(name) else [path for path in root.iterdir() if is_speaker(path.name)]
    for folder in speakers:
        speaker = folder.resolve().name
        places = (folder / "align", folder.parent / "align" / speaker, folder.parent / "alignments" / speaker)
        alignments = ChainMap(*map(_files, places))
        first: dict[str, Path] = {}
        # The shorter name is the original's.
        for video in sorted([*_videos(folder, "*"), *_videos(folder, "video/*")], key=lambda video: len(video.stem)):
            clip_id, sentence = _id(f"{speaker}_{video.stem}"), COPY.sub("", video.stem)
            if first.setdefault(sentence, video).stem != video.stem:
                problem = ClipRejected(
                    "copy", f"{video} is a copy of {first[sentence].name}: one sentence, one speaker"
                )
                yield Clip(clip_id, video, (), problem=problem)
                continue
            alignment = alignments.get(f"{sentence}.align".lower())
            words = _read(alignment) if alignment else None
            transcript = _grid_sentence(sentence) if words is None else _grid_words(words)
            yield Clip(clip_id, video, (video,), speaker, sentence, transcript=transcript)


def _grid_words(alignment: str) -> str:
    """Words between the silences; a line is `start end word`, 1000 units to a video frame of 40 ms."""
    words = [line.split()[2] for line in alignment.splitlines() if len(line.split()) == 3]
    return " ".join(word for word in words if word not in ("sil", "sp"))


def _grid_sentence(name: str) -> str | None:
    if len(name) != len(GRID_WORDS) or any(c not in words for c, words in zip(name, GRID_WORDS, strict=True)):
        return None
    return " ".join(words[c] for c, words in zip(name, GRID_WORDS, strict=True))


def tcd_timit(root: Path) -> Iterator[Clip]:
    """The frontal camera of volunteers and lipspeakers, of the volunteers alone, or of one speaker."""
    beside = cache(_files)
    for video in _videos(root, "Clips/straightcam/*", ANY_DEPTH):
        speaker, sentence = video.parents[2].absolute().name, video.stem.lower()
        text, recording = (beside(video.parent).get(sentence + suffix) for suffix in (".txt", ".wav"))
        words = _read(text) if text else None
        transcript = None if words is None else " ".join(words.lower().split())
        sounds = _sounds(video, recording)
        yield Clip(_id(f"{speaker}_{video.stem}"), video, sounds, speaker, sentence, transcript=transcript)


def mead(root: Path) -> Iterator[Clip]:
    """The front camera of all actors, or of one. The number is the sentence: an emotion's own, or one that several share."""
    beside = cache(_files)
    for video in _videos(root, "video/front/*/level_*/*", ANY_DEPTH):
        level, emotion, actor = video.parent.name, video.parents[1].name, video.parents[4].absolute()
        recording = beside(video.parents[4] / "audio" / emotion / level).get(f"{video.stem}.m4a".lower())
        yield Clip(
            _id(f"{actor.name}_{emotion}_{level}_{video.stem}"),
            video,
            _sounds(video, recording),
            actor.name,
            video.stem,
            EMOTION_WORDS.get(emotion, emotion),
            level,
        )


def folder(root: Path) -> Iterator[Clip]:
    """A plain folder of clips, described by its `clips.csv`; paths are relative to the folder and stay inside it.

    Between the columns stands a comma, a semicolon (as spreadsheets write in half of Europe) or a tab. Blanks about a value
    and the case of a column's name do not matter.
    """
    table = root / "clips.csv"
    if not table.exists():
        raise UserError(f"{table} is missing; the layout 'folder' needs it: one row per clip, with a column `video`")
    with table.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        delimiter = max(",;\t", key=file.readline().count)
        file.seek(0)
        lines = map(_values, csv.reader(file, delimiter=delimiter))
        columns = [name.lower() for name in next(lines, [])]
        _check_columns(table, columns)
        for number, line in enumerate(lines, start=2):
            row = {column: value for column, value in zip(columns, line, strict=False) if value}
            if line:
                yield _folder_clip(root, f"{table}, line {number}", row, len(line) - len(columns))


def _values(line: list[str]) -> list[str]:
    """A line's values without the blanks about them, and without empty ones at its end, which spreadsheets add."""
    values = [value.strip() for value in line]
    while values and not values[-1]:
        values.pop()
    return values


def _check_columns(table: Path, columns: list[str]) -> None:
    header = f"{table}: its first line names the columns {', '.join(map(repr, columns))}"
    if "video" not in columns:
        raise UserError(f"{header}; the column 'video' is missing, which names each clip's file")
    unknown = [column for column in columns if column not in COLUMNS]
    if unknown:
        raise UserError(
            f"{header}; {', '.join(map(repr, unknown))} would not be read: remove it, or name it {', '.join(COLUMNS)}"
        )
    twice = [column for column, count in Counter(columns).items() if count > 1]
    if twice:
        raise UserError(f"{header}; {', '.join(map(repr, twice))} stands there twice")


def _lies_in(root: Path, path: Path) -> bool:
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError):  # links in a circle, a NUL
        return False


def _folder_clip(root: Path, place: str, row: dict[str, str], n_beyond: int) -> Clip:
    """The clip of a row, column → value. n_beyond: by how many values the line is longer than the header."""
    name = row.get("video", "")
    clip_id = row.get("id") or _id(str(Path(name).with_suffix("")) if Path(name).name else "")
    paths = {kind: root / row[kind] for kind in ("video", "audio") if kind in row}
    problem = None
    if n_beyond > 0:
        problem = ClipRejected(
            "bad_row", f"{place}: {n_beyond} values more than columns; quote those with commas in them"
        )
    elif "video" not in paths:
        problem = ClipRejected("bad_row", f"{place}: no video is named")
    elif not all(_lies_in(root, path) for path in paths.values()):
        problem = ClipRejected("bad_row", f"{place}: a path leaves the corpus folder, or leads nowhere")
    elif not re.fullmatch(r"[\w][\w.-]*", clip_id):
        problem = ClipRejected(
            "bad_name", f"{place}: the id {clip_id!r} may hold letters, digits, dot, dash, underscore"
        )
    elif row.get("split", "train") not in SPLITS:
        problem = ClipRejected("bad_row", f"{place}: split {row['split']!r} is none of {', '.join(SPLITS)}")
    if problem:
        return Clip(_id(clip_id) or place, root / name, (), problem=problem)
    return Clip(
        clip_id,
        paths["video"],
        (paths.get("audio", paths["video"]),),
        row.get("subject", "unknown"),
        row.get("sentence") or row.get("transcript"),
        _emotion(row.get("emotion")),
        row.get("level"),
        row.get("transcript"),
        row.get("split"),
    )


def _emotion(name: str | None) -> str | None:
    """One of EMOTIONS, if it is one by its code or its word, in whatever case; anything else stays as it is."""
    if name is None or name.upper() in EMOTIONS:
        return name and name.upper()
    return EMOTION_WORDS.get(name.lower(), name)


LAYOUTS: dict[str, Callable[[Path], Iterator[Clip]]] = {
    "crema_d": crema_d,
    "grid": grid,
    "tcd_timit": tcd_timit,
    "mead": mead,
    "folder": folder,
}
