"""Which videos a call of `pipeline.generate` asks for: every photo with every speech by every system, or the rows of a list."""

import csv
from collections import Counter
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import UserError
from pipeline.talking import CONTAINERS, check_drivers, needs_of
from pipeline.training.trained import CARD

COLUMNS = ("image", "audio", "driving_video", "system", "emotion", "output")
PATHS = ("image", "audio", "driving_video")
ALONE, FOLDER = Path("talk.mp4"), Path("talking")
# Of each of COLUMNS, what is combined with everything else; [None] where nothing is given.
Row = dict[str, Sequence]


class Job(NamedTuple):
    """One video: of several systems where they are compared."""

    image: Path
    audio: Path | None
    driving_video: Path | None
    systems: tuple[str, ...]
    emotion: str | None
    output: Path | None  # None: by its name

    @property
    def name(self) -> str:
        """The file's name among many: of all that it is made of."""
        parts = [path.stem for path in (self.image, self.audio, self.driving_video) if path]
        parts += ["compared"] if len(self.systems) > 1 else [Path(self.systems[0]).name]
        return "_".join([*parts, *([self.emotion] if self.emotion else [])]) + ".mp4"


def plan(given: Row, table: Path | None, side_by_side: bool, output: Path | None) -> list[Job]:
    """The videos to make, each with its output.

    given: what the command line says, by COLUMNS. table: a list of videos, whose rows go before it. side_by_side: one video of
    all systems. output: a file, or the folder of many. Raises UserError for what is missing or makes no sense; no file is
    looked into, but the list and systems' cards.
    """
    rows = [given | row for row in read_table(table)] if table else [given]
    if any(None in (*row["image"], *row["system"]) for row in rows):
        raise UserError("--system and --image are needed, or a list of both by --jobs; --list shows the systems")
    jobs = list(dict.fromkeys(job for row in rows for job in combined(row, side_by_side)))
    return with_outputs(jobs, output)


def combined(row: Row, side_by_side: bool) -> list[Job]:
    """Every combination of what a row holds, each with what its systems take of it."""
    conditioned = {system for system in row["system"] if "emotion" in needs_of(system)}
    jobs = []
    for systems in [tuple(row["system"])] if side_by_side else [(system,) for system in row["system"]]:
        follows = any("landmarks" in needs_of(system) for system in systems)
        for image, audio, video, emotion, output in product(*(row[name] for name in COLUMNS if name != "system")):
            for system in systems:
                # An emotion is for the systems that show one, and an error where none does.
                shown = emotion if system in conditioned or not conditioned else None
                check_drivers(system, needs_of(system), audio, video, shown)
            followed = video if follows or not audio else None
            jobs.append(Job(image, audio, followed, systems, emotion if conditioned & {*systems} else None, output))
    return jobs


def read_table(path: Path) -> list[Row]:
    """The rows of a list of videos, each with those of COLUMNS that it fills; paths are seen from where the list lies.

    As in a corpus's clips.csv, commas, semicolons or tabs stand between the columns, and blanks and capitals do not matter.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            delimiter = max(",;\t", key=file.readline().count)
            file.seek(0)
            lines = [[value.strip() for value in line] for line in csv.reader(file, delimiter=delimiter)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as a table ({error})") from error
    columns, *lines = lines or [[]]
    columns = [name.lower() for name in columns]
    if unknown := [name for name in columns if name not in COLUMNS]:
        raise UserError(f"{path} has a column {unknown[0]!r}, which is none of {', '.join(COLUMNS)}")
    if beyond := [n for n, line in enumerate(lines, start=2) if any(line[len(columns) :])]:
        raise UserError(f"{path}, line {beyond[0]} has more values than columns; quote those with commas in them")
    rows = [{name: value for name, value in zip(columns, line, strict=False) if value} for line in lines]
    if not any(rows):
        raise UserError(f"{path} has no row")
    return [_read(row, path.parent) for row in rows if row]


def _read(row: dict[str, str], folder: Path) -> Row:
    read: Row = {name: [folder / value if name in PATHS else value] for name, value in row.items()}
    # A system's folder may lie beside the list.
    if "system" in row and (folder / row["system"] / CARD).exists():
        read["system"] = [str(folder / row["system"])]
    if "output" in row:
        read["output"] = [Path(row["output"])]
    return read


def with_outputs(jobs: list[Job], output: Path | None) -> list[Job]:
    """One video is the file `output`, or lies in it, if it is a folder; of many each lies there, by its own name."""
    alone = len(jobs) == 1 and not jobs[0].output
    if alone and (output is None or (output.suffix and not output.is_dir())):
        return [jobs[0]._replace(output=output or ALONE)]
    if output and output.suffix.lower() in CONTAINERS:
        raise UserError(f"--output: {output} is one file, and {len(jobs)} videos are to be made: name a folder")
    placed = [job._replace(output=(output or FOLDER) / (job.output or job.name)) for job in jobs]
    path, count = Counter(job.output for job in placed).most_common(1)[0]
    if count > 1:
        raise UserError(f"--output: {count} videos would be {path}: name them by the column output of a list (--jobs)")
    return placed
