"""What people give the page: kept in a folder of their own, held against limits, and looked at before anything is made."""

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import soundfile

from pipeline.errors import ClipRejected, UserError
from pipeline.papers.registry import PAPER_OF, SYSTEMS, paper
from pipeline.photo import face_of, faces_in, read_photo
from pipeline.shown import resized
from pipeline.speech import read_speech
from pipeline.systems.card import KnownSystem, find_system, known_systems
from pipeline.systems.system import System, load_system
from pipeline.talking import DATA, SOUND_RATE
from pipeline.training.trained import CARD
from pipeline.video import probe, read_audio

MEGABYTES = {"photo": 20, "speech": 50, "driver": 200}  # of a file, at most
LONGEST_S = 300  # of speech, and of a driving video
PREVIEW = 640  # pixels of the longer side


class Choice(NamedTuple):
    """A system that can be chosen. about: what it is, and where it is not trained, the command that trains it."""

    name: str
    label: str
    trained: bool
    needs: frozenset[str]
    about: str


class Photo(NamedTuple):
    """A photo in which a face was found. preview: a picture of it, with numbers on its faces where there are several."""

    path: Path
    preview: Path
    n_faces: int
    largest: int  # its number, from 1 on, counted from the left


class Speech(NamedTuple):
    path: Path  # a WAV of what is heard
    seconds: float


def choices(data: Path = DATA) -> list[Choice]:
    """The systems, those that ship first, then those that are trained here, then the others."""
    found = [_choice(known) for known in known_systems(data)]
    return sorted(found, key=lambda choice: (choice.name in SYSTEMS, not choice.trained))


def _choice(known: KnownSystem) -> Choice:
    name, card, fault = known
    if card:
        train = card["corpus"]["splits"]["train"]
        about = f"{card['title']}. Trained on {train['clips']} clips of {train['subjects']} people."
        label = f"{name} – trained here" if name in SYSTEMS else f"{card['system']} – ships with the project"
        return Choice(name, label, True, frozenset(card["needs"]), about)
    if name not in SYSTEMS:
        return Choice(name, f"{name} – cannot be used", False, frozenset(), fault)
    about = f"{paper(PAPER_OF[name]).title}. Not trained here yet; this command does it: dvc repro system_{name}"
    return Choice(name, f"{name} – not trained", False, SYSTEMS[name].needs, about)


def loaded(name: str) -> System:
    """A system by its name or folder, kept for the next time; one that was trained again meanwhile is read again."""
    folder = find_system(name, DATA)
    return _loaded(folder, (folder / CARD).stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _loaded(folder: Path, changed_ns: int) -> System:
    return load_system(folder)


def warm() -> None:
    """Load what takes seconds, before somebody waits for it."""
    loaded(choices()[0].name)


def place_for(folder: Path, kind: str, name: str) -> Path:
    """Where an uploaded file goes: under its own name, as far as that is harmless, and in place of the last one of its kind."""
    place = folder / kind
    place.mkdir(parents=True, exist_ok=True)
    for old in place.iterdir():
        old.unlink()
    return place / (re.sub(r"[^\w. -]", "_", re.split(r"[/\\]", name)[-1]).lstrip(". ")[-80:] or kind)


def check_size(kind: str, name: str, size: int) -> None:
    """Raise UserError where a file of `size` bytes is too large."""
    if size > MEGABYTES[kind] * 1e6:
        raise UserError(f"{name} has {size / 1e6:.0f} MB; at most {MEGABYTES[kind]} MB are taken")


def receive_photo(path: Path) -> Photo:
    """Find the faces of a photo. Raises UserError where it is no picture, or shows no face that can be used."""
    photo, _ = read_photo(path)
    # Which reason there is, if there is one, every system says alike.
    face_of(loaded(choices()[0].name), photo, path)
    boxes = faces_in(photo)
    widths = [box[2] - box[0] for box in boxes]
    scale = min(1.0, PREVIEW / max(photo.shape[:2]))
    picture = resized(photo, tuple(max(1, round(side * scale)) for side in photo.shape[1::-1])).copy()
    if len(boxes) > 1:
        for number, box in enumerate(boxes, start=1):
            _number(picture, number, (box * scale).round().astype(int))
    preview = path.with_name(f"preview_{path.stem}.jpg")
    cv2.imwrite(str(preview), picture[..., ::-1])
    return Photo(path, preview, len(boxes), 1 + int(np.argmax(widths)) if boxes else 1)


def _number(picture: np.ndarray, number: int, box: np.ndarray) -> None:
    left, top, right, bottom = map(int, box)
    for colour, thickness in (((0, 0, 0), 4), ((255, 255, 255), 2)):
        cv2.rectangle(picture, (left, top), (right, bottom), colour, thickness, cv2.LINE_AA)
        place = (left + 6, top + 26)
        cv2.putText(picture, str(number), place, cv2.FONT_HERSHEY_SIMPLEX, 0.9, colour, thickness, cv2.LINE_AA)


def receive_speech(path: Path) -> Speech:
    """Read speech; what is heard takes the place of the file. Raises UserError where there is no sound, or too much of it."""
    sound = _within_limit(path, lambda: read_audio(path, SOUND_RATE, most_s=LONGEST_S + 1))
    if len(sound) > LONGEST_S * SOUND_RATE:
        raise UserError(_too_long(path))
    sound, _ = read_speech(path, SOUND_RATE)
    path.unlink()
    heard = path.with_suffix(".wav")
    soundfile.write(heard, sound, SOUND_RATE, subtype="PCM_16")
    return Speech(heard, len(sound) / SOUND_RATE)


def receive_driver(path: Path) -> Path:
    """Look at a driving video. Raises UserError where it is no video, or too long a one."""
    if _within_limit(path, lambda: probe(path)).duration_s > LONGEST_S:
        raise UserError(_too_long(path))
    return path


def _within_limit(path: Path, read: Callable):
    try:
        return read()
    except ClipRejected as problem:
        raise UserError(problem.detail or str(problem)) from problem


def _too_long(path: Path) -> str:
    return f"{path} is longer than {LONGEST_S // 60} minutes; cut it, or use python -m pipeline.generate"


def plain(text: str, folder: Path) -> str:
    """A message without what is of no use on a page: the folder of uploads, and the command's options."""
    text = re.sub(rf"{re.escape(str(folder))}/(?:[\w-]+/)*", "", text)
    return re.sub(r"^--[\w-]+: ", "", text)
