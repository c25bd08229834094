"""A finished run, read back from a project's folder: parameters, the systems' cards, and what was measured of each clip."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from pipeline.errors import UserError
from pipeline.evaluation.by_clip import CLIPS, TRACKS, UNITS, read_measured
from pipeline.evaluation.evaluate import Measured
from pipeline.papers.registry import LANDMARK_DRIVEN, PAPER_OF, SYSTEMS
from pipeline.training.trained import read_card, reason_skipped

# Of the references, those that frame a table: what a system has to beat, and how far the truth is from itself.
FRAMING = ("static", "ground_truth_reencoded")
# Second halves of cascades alone: how these systems' names end.
HALVES = "_true_landmarks"
DESCRIPTION = ["split", "subject", "sentence", "emotion"]
# Who speaks in the papers' one-speaker setting, where a corpus of that layout has more people.
ONE_SPEAKER = {"grid": "s1"}


class Row(NamedTuple):
    """A system or reference in a run's tables. name: in them; of: without the faces; faces: whose crops it is of."""

    name: str
    of: str
    faces: str

    @property
    def is_reference(self) -> bool:
        return self.of in FRAMING

    @property
    def is_speech_driven(self) -> bool:
        return not self.is_reference and self.of not in LANDMARK_DRIVEN


@dataclass(frozen=True)
class Run:
    """params: its params.yaml. cards: of its trained systems. rows: in the order of tables. clips: a row (DESCRIPTION) per test
    clip, by its id. metrics: by row's name and clip, a column each; measured: what has to be pooled, by row's name, by clip.
    Both are empty where nothing was measured. missing: sentences on what is not there.
    """

    folder: Path
    params: dict[str, Any]
    cards: dict[str, dict[str, Any]]
    rows: list[Row]
    clips: pd.DataFrame
    metrics: pd.DataFrame
    measured: dict[str, dict[str, Measured]]
    missing: list[str]

    def value(self, key: str) -> Any:
        """What params.yaml holds under a dotted key. Raises UserError where it does not have it."""
        return _value(self.folder, self.params, key)

    @property
    def is_demo(self) -> bool:
        """Whether its corpus is the one that the project renders itself: no real person is in it."""
        root = (self.folder / self.value("corpus.root")).resolve()
        return root == (self.folder / "data" / "demo_corpus").resolve()

    def static_of(self, row: Row) -> Row | None:
        """The still photo of a row's faces."""
        return next((other for other in self.rows if (other.of, other.faces) == ("static", row.faces)), None)

    def groups(self) -> Iterator[tuple[str, list[str]]]:
        """What is averaged over, each with its title: the clips of unseen sentences, and those of each unseen person."""
        sentences = self.clips[self.clips["split"] == "test_sentences"]
        speakers = sorted(sentences["subject"].unique(), key=_natural)
        if speakers:
            whose = speakers[0] if len(speakers) == 1 else f"{len(speakers)} people who trained"
            yield f"Unseen sentences of {whose}", sorted(sentences.index)
        one = ONE_SPEAKER.get(self.value("corpus.layout"))
        if one in speakers and len(speakers) > 1:
            yield f"Unseen sentences of {one}", sorted(sentences.index[sentences["subject"] == one])
        for subject, of_one in sorted(self.clips[self.clips["split"] == "test"].groupby("subject"), key=_natural):
            yield f"Unseen person {subject}", sorted(of_one.index)


def read_run(folder: Path) -> Run:
    """What a project's folder holds of a run; what is not there is named in `missing`.

    Raises UserError where the folder is no project's, or a file in it cannot be read.
    """
    path = folder / "params.yaml"
    if not path.is_file():
        raise UserError(f"{folder} is not the folder of a run: it has no params.yaml")
    try:
        params = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({type(error).__name__}); restore it") from error
    evaluation, missing = folder / "data" / "evaluation", []
    table = _read(pd.read_parquet, evaluation / CLIPS) if (evaluation / CLIPS).exists() else pd.DataFrame()
    clips, metrics, measured, names = pd.DataFrame(columns=DESCRIPTION), pd.DataFrame(), {}, []
    if table.empty:
        missing.append("No figures: data/evaluation was not made; `dvc repro evaluation` makes it.")
    else:
        clips = table.drop_duplicates("clip").set_index("clip")[DESCRIPTION].fillna("(not named)")
        metrics, names = table.set_index(["system", "clip"]), list(table["system"].unique())
        if all((evaluation / name).exists() for name in (TRACKS, UNITS)):
            measured = _read(read_measured, evaluation)
        absent = [what for what, there in (("identity", "identity" in table), ("AU F1, blinks", measured)) if not there]
        if absent:
            missing.append(
                f"Not measured by the version that evaluated: {', '.join(absent)}; `dvc repro evaluation` does."
            )
        missing += [
            f"No clip of {who} was tested."
            for split, who in (("test_sentences", "unseen sentences"), ("test", "unseen people"))
            if split not in set(clips["split"])
        ]
    rows = _rows(folder, params, names)
    cards = {}
    for system in SYSTEMS:
        home = folder / "data" / "systems" / system
        if (home / "card.yaml").exists():
            cards[system] = read_card(home)
        elif reason := reason_skipped(home):
            missing.append(f"`{system}` could not be trained on this corpus: {reason}")
    evaluated = {row.of for row in rows}
    without = {
        "evaluated without a card in data/systems": [name for name in SYSTEMS if name in evaluated - cards.keys()],
        "trained, not evaluated": [name for name in cards if names and name not in evaluated],
    }
    missing += [
        f"{what.capitalize()}: {', '.join(f'`{n}`' for n in names)}." for what, names in without.items() if names
    ]
    return Run(folder, params, cards, rows, clips, metrics, measured, missing)


def _read(read: Callable[[Path], Any], path: Path) -> Any:
    """What `read` makes of what an evaluation left. Raises UserError where it cannot be read."""
    try:
        return read(path)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}: {str(error)[:100]}); "
            "make it anew with `dvc repro --force --single-item evaluation`"
        ) from error


def _rows(folder: Path, params: dict[str, Any], names: list[str]) -> list[Row]:
    """The rows that a table shows, of those that were measured: what frames it, the systems, halves alone."""
    seen = _value(folder, params, "faces")
    references = [
        Row(name, of, faces)
        for of in FRAMING
        for faces in seen
        for name in (of, f"{of}_{faces}")
        # With one kind of faces it is not named.
        if name in names and (name != of or faces == _only_faces(folder, params, names))
    ]
    systems = [Row(name, name, _value(folder, params, f"{PAPER_OF[name]}.faces")) for name in SYSTEMS if name in names]
    return references + sorted(systems, key=lambda row: row.of.endswith(HALVES))


def _only_faces(folder: Path, params: dict[str, Any], names: list[str]) -> str | None:
    """The faces that all measured systems see."""
    seen = {_value(folder, params, f"{PAPER_OF[name]}.faces") for name in names if name in SYSTEMS}
    return seen.pop() if len(seen) == 1 else None


def _value(folder: Path, params: dict[str, Any], key: str) -> Any:
    found: Any = params
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    if found is None:
        raise UserError(f"{folder / 'params.yaml'}: {key} is missing; is it of another version?")
    return found


def _natural(item: Any) -> tuple[int, str]:
    """s2 before s11: by the number in it. item: a name, or a pair that begins with one."""
    name = str(item[0] if isinstance(item, tuple) else item)
    digits = re.search(r"\d+", name)
    return int(digits[0]) if digits else 0, name
