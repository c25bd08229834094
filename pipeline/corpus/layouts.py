"""Readers for the layouts in which corpora of talking faces come. Each lists its clips; none opens a video.

CREMA-D    VideoFlash/1001_IEO_HAP_HI.flv (or another video format), AudioWAV/1001_IEO_HAP_HI.wav
GRID       s1/bbaf2n.mpg (or s1/video/…); align/s1/bbaf2n.align or s1/align/bbaf2n.align; a speaker's folder alone, too
TCD-TIMIT  volunteers/01M/Clips/straightcam/sa1.mp4, with sa1.txt or sa1.wav beside it; lipspeakers likewise
folder     clips.csv with a column `video` and, as known: id, audio, subject, sentence, emotion, level, transcript, split
"""

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import ClipRejected, UserError

VIDEO_SUFFIXES = {".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"}
VIDEO_SUFFIXES |= {".3gp", ".mts", ".ts", ".vob"}
SPLITS = ("train", "validation", "test_sentences", "test")
EMOTIONS = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")

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
    """One clip as its layout describes it; `problem` is set where its name or row cannot be read."""

    id: str
    video: Path
    audio: Path | None = None
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


def _videos(root: Path, pattern: str) -> list[Path]:
    return sorted(path for path in root.glob(pattern) if path.suffix.lower() in VIDEO_SUFFIXES)


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
    for video in _videos(root, "VideoFlash/*"):
        match = name.fullmatch(video.stem)
        if match is None:
            problem = ClipRejected("bad_name", f"{video.name} is not SUBJECT_SENTENCE_EMOTION_LEVEL")
            yield Clip(_id(video.stem), video, problem=problem)
            continue
        subject, sentence, emotion, level = match.groups()
        audio = root / "AudioWAV" / f"{video.stem}.wav"
        yield Clip(
            video.stem,
            video,
            audio if audio.exists() else None,
            subject,
            sentence,
            emotion,
            level,
            CREMA_D_SENTENCES[sentence],
        )


def grid(root: Path) -> Iterator[Clip]:
    """Speakers' folders s1 … s34 below `root`, or `root` itself as one of them."""
    is_speaker = re.compile(r"s\d+").fullmatch
    name = root.resolve().name
    speakers = [root] if is_speaker(name) else [path for path in root.iterdir() if is_speaker(path.name)]
    for folder in speakers:
        speaker = folder.resolve().name
        for video in [*_videos(folder, "*"), *_videos(folder, "video/*")]:
            places = [folder / "align", folder.parent / "align" / speaker, folder.parent / "alignments" / speaker]
            alignments = [place / f"{video.stem}.align" for place in places]
            alignment = next((path for path in alignments if path.exists()), None)
            words = _read(alignment) if alignment else None
            transcript = _grid_sentence(video.stem) if words is None else _grid_words(words)
            yield Clip(_id(f"{speaker}_{video.stem}"), video, None, speaker, video.stem, transcript=transcript)


def _grid_words(alignment: str) -> str:
    """Words between the silences; a line is `start end word`, 1000 units to a video frame of 40 ms."""
    words = [line.split()[2] for line in alignment.splitlines() if len(line.split()) == 3]
    return " ".join(word for word in words if word not in ("sil", "sp"))


def _grid_sentence(name: str) -> str | None:
    if len(name) != len(GRID_WORDS) or any(c not in words for c, words in zip(name, GRID_WORDS, strict=True)):
        return None
    return " ".join(words[c] for c, words in zip(name, GRID_WORDS, strict=True))


def tcd_timit(root: Path) -> Iterator[Clip]:
    """The frontal camera of volunteers and lipspeakers."""
    for video in _videos(root, "*/*/Clips/straightcam/*"):
        speaker = video.parents[2].name
        text, audio = video.with_suffix(".txt"), video.with_suffix(".wav")
        words = _read(text)
        transcript = None if words is None else " ".join(words.lower().split())
        yield Clip(
            _id(f"{speaker}_{video.stem}"),
            video,
            audio if audio.exists() else None,
            speaker,
            video.stem,
            transcript=transcript,
        )


def folder(root: Path) -> Iterator[Clip]:
    """A plain folder of clips, described by its `clips.csv`; paths are relative to the folder and stay inside it."""
    table = root / "clips.csv"
    if not table.exists():
        raise UserError(f"{table} is missing; the layout 'folder' needs it: one row per clip, with a column `video`")
    with table.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        rows = csv.DictReader(file)
        known = {"video", "id", "audio", "subject", "sentence", "emotion", "level", "transcript", "split"}
        columns = set(rows.fieldnames or [])
        if "video" not in columns or not columns <= known:
            raise UserError(f"{table}: a column `video` is needed, and only {', '.join(sorted(known))} are read")
        for number, row in enumerate(rows, start=2):
            yield _folder_clip(root, f"{table}, line {number}", {key: value for key, value in row.items() if value})


def _lies_in(root: Path, path: Path) -> bool:
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError):  # links in a circle, a NUL
        return False


def _folder_clip(root: Path, place: str, row: dict[str, str]) -> Clip:
    name = row.get("video", "")
    clip_id = row.get("id") or _id(str(Path(name).with_suffix("")) if Path(name).name else "")
    paths = {kind: root / row[kind] for kind in ("video", "audio") if kind in row}
    problem = None
    if "video" not in paths:
        problem = ClipRejected("bad_row", f"{place}: no video is named")
    elif not all(_lies_in(root, path) for path in paths.values()):
        problem = ClipRejected("bad_row", f"{place}: a path leaves the corpus folder, or leads nowhere")
    elif not re.fullmatch(r"[\w][\w.-]*", clip_id):
        problem = ClipRejected(
            "bad_name", f"{place}: the id {clip_id!r} may hold letters, digits, dot, dash, underscore"
        )
    elif row.get("split", "train") not in SPLITS:
        problem = ClipRejected("bad_row", f"{place}: split {row['split']!r} is none of {', '.join(SPLITS)}")
    elif row.get("emotion", "NEU") not in EMOTIONS:
        problem = ClipRejected("bad_row", f"{place}: emotion {row['emotion']!r} is none of {', '.join(EMOTIONS)}")
    if problem:
        return Clip(_id(clip_id) or place, root / name, problem=problem)
    return Clip(
        clip_id,
        paths["video"],
        paths.get("audio"),
        row.get("subject", "unknown"),
        row.get("sentence") or row.get("transcript"),
        row.get("emotion"),
        row.get("level"),
        row.get("transcript"),
        row.get("split"),
    )


LAYOUTS: dict[str, Callable[[Path], Iterator[Clip]]] = {
    "crema_d": crema_d,
    "grid": grid,
    "tcd_timit": tcd_timit,
    "folder": folder,
}
