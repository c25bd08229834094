"""Stages that work clip by clip: only clips that changed are done, in parallel, and nothing is ever half-written.

    data/STAGE/KIND/shard-00.…        what the stage makes: arrays (.npz) and tables (.parquet), each with its index
    data/STAGE/rejected.parquet       the clips that it could not use
    data/done/STAGE/shard-00.json     what became of each clip of the shard, with the key of all that it was made from
    data/.work/STAGE/KEY.npz          what a worker made of one clip, until its shard is written
    data/.work/STAGE/shard-00.whole/  a new shard, complete; it only remains to be moved into its place

A shard is written as soon as its last clip is done, from the clips that it held before and those that are new. At any
moment a killed run has lost at most the clips that its workers were at.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow as pa
import yaml

from pipeline import code
from pipeline.corpus.shards import N_SHARDS, in_shards, shard_of, write_member, write_shard
from pipeline.corpus.tables import Tables, frames_table, write_rejected, write_table_shard
from pipeline.corpus.workers import each, importable
from pipeline.errors import OUT_OF_SPACE, ClipRejected, UserError

# What stages make of a clip: arrays by kind, tables by kind and column, and figures (numbers about the clip).
Arrays = dict[str, np.ndarray]
# Reasons that may be the machine's and not the clip's: tried again whenever the stage runs.
TRIED_AGAIN = {"crashed", "failed", "too_large", "openface_timeout"}


class Made(NamedTuple):
    """What a stage made of one clip. arrays: kind → array; tables: kind → column → (T, …); figures: name → number."""

    arrays: Arrays = {}
    tables: dict[str, Arrays] = {}
    figures: dict[str, float] = {}


class Job(NamedTuple):
    """What a clip is made from. inputs: whatever tells whether it changed (checksums); argument: for the stage's function."""

    inputs: tuple
    argument: Any


def process(
    stage: str,
    work: Callable[[Any], Made],
    jobs: dict[str, Job],
    max_rejected: float,
    workers: int | str = "auto",
    scheduler: str | None = None,
    data: Path = Path("data"),
    made_by: str | None = None,
) -> list[dict]:
    """Bring data/STAGE up to date with `jobs`, clip → Job, by calling `work` for those that are new or changed.

    made_by: a fingerprint of what makes all clips; by default, of the stage's code and parameters as dvc.yaml lists them.
    Returns what became of each clip: clip, key, reason and detail (None unless rejected), seconds, and its figures.
    Raises UserError where too many clips are rejected, or another process works on the stage; OSError where the disk is full.
    """
    made_by = made_by or fingerprint(stage)
    keys = {clip: _key(made_by, clip, job.inputs) for clip, job in jobs.items()}
    shards = _Shards(stage, data)
    with shards.lock():
        worked_on, seconds = _bring_up_to_date(shards, stage, importable(work), jobs, keys, workers, scheduler)
        shutil.rmtree(shards.work)
    rows = read_done(stage, data)
    if worked_on:
        frames = sum(row.get("frames") or 0 for row in rows if row["clip"] in worked_on)
        rate = f", {frames / seconds:.0f} frames/s" if frames else ""
        print(f"{stage}: {len(worked_on)} clips in {seconds:.1f} s{rate}")
    rejected = [(row["clip"], ClipRejected(row["reason"], row["detail"])) for row in rows if row["reason"]]
    write_rejected(data / stage, stage, rejected, len(jobs), max_rejected)
    return rows


def _bring_up_to_date(
    shards: "_Shards",
    stage: str,
    work: Callable[[Any], Made],
    jobs: dict[str, Job],
    keys: dict[str, str],
    workers: int | str,
    scheduler: str | None,
) -> tuple[set[str], float]:
    """Do what `process` says; returns the clips that were worked on, and the seconds that it took."""
    done = shards.recover()
    is_done = {clip for clip, row in done.items() if row["key"] == keys.get(clip) and row["reason"] not in TRIED_AGAIN}
    changed = [clip for clip in in_shards(jobs) if clip not in is_done]
    stale = {shard_of(clip) for clip in {*changed, *(done.keys() - jobs.keys())}}
    missing = [clip for clip in changed if not shards.made(keys[clip]).exists()]
    waiting = Counter(map(shard_of, missing))
    members = defaultdict(dict)
    for clip in in_shards(jobs):
        members[shard_of(clip)][clip] = keys[clip]

    for shard in sorted(stale - waiting.keys()):
        shards.write(shard, members[shard])
    tasks = [(jobs[clip].argument, str(shards.made(keys[clip]).absolute())) for clip in missing]
    of_task = {path: clip for (_, path), clip in zip(tasks, missing, strict=True)}
    started = time.perf_counter()
    for (_, path), problem in each(partial(_make, work), tasks, stage, workers, scheduler):
        clip = of_task[path]
        if problem is not None:  # its worker died, so that nobody wrote down what became of it
            _write_made(Path(path), problem, 0.0)
        waiting[shard_of(clip)] -= 1
        if not waiting[shard_of(clip)]:
            shards.write(shard_of(clip), members[shard_of(clip)])
    return set(missing), time.perf_counter() - started


def fingerprint(stage: str) -> str:
    """A checksum of a stage's code, and of the parameters that dvc.yaml lists for it; of a foreach's item, STAGE/ITEM.

    What has no part in a single clip (the share that may be rejected) is left out.
    """
    stage, _, item = stage.partition("/")
    values = yaml.safe_load(Path("params.yaml").read_text())
    declared = yaml.safe_load(Path("dvc.yaml").read_text())["stages"][stage]
    read = {}
    for name in declared.get("do", declared).get("params", []):
        name = name.replace("${key}", item)
        read[name] = values
        for part in name.split("."):
            read[name] = read[name][part]
    read.pop("corpus.max_rejected", None)
    of_code = code.fingerprint(f"stages/{stage}.py")
    return hashlib.sha256(json.dumps([of_code, read], sort_keys=True).encode()).hexdigest()


def read_done(stage: str, data: Path = Path("data")) -> list[dict]:
    """What became of each clip in a stage that is complete, in the order of the clips' ids; rows as `process` returns them."""
    return [row for _, row in sorted(_Shards(stage, data).read_done().items())]


def _key(made_by: str, clip: str, inputs: tuple) -> str:
    return hashlib.sha256(json.dumps([made_by, clip, inputs]).encode()).hexdigest()[:32]


def checksum(path: Path | str | None) -> str | None:
    """Of a file, or of all files of a folder; None where there is none: for the `inputs` of jobs that read a model."""
    if path is None or not Path(path).exists():
        return None
    files = [Path(path)] if Path(path).is_file() else sorted(f for f in Path(path).rglob("*") if f.is_file())
    return hashlib.sha256("".join(map(_checksum, files)).encode()).hexdigest()


# What a worker does.


def _make(work: Callable[[Any], Made], task: tuple[Any, str]) -> None:
    """Do one clip and leave what it gave, or why it gave nothing, in a file."""
    argument, path = task
    started = time.perf_counter()
    try:
        made = work(argument)
    except ClipRejected as problem:
        made = problem
    except MemoryError:
        made = ClipRejected("too_large", "more memory was needed than there is")
    except UserError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in OUT_OF_SPACE:
            raise
        # A clip that nobody foresaw must not stop a week's work; if it is the code that is wrong, every clip ends here.
        made = ClipRejected("failed", _describe(error))
    _write_made(Path(path), made, time.perf_counter() - started)


def _describe(error: Exception) -> str:
    trace = error.__traceback__
    while trace.tb_next:
        trace = trace.tb_next
    place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
    return f"{type(error).__name__} at {place}: {' '.join(str(error).split())[:200]}"


def _write_made(path: Path, made: Made | ClipRejected, seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    row = {"reason": None, "detail": None, "seconds": round(seconds, 3)}
    partial_path = path.with_suffix(f".{os.getpid()}.partial")
    with zipfile.ZipFile(partial_path, "w", zipfile.ZIP_STORED) as file:
        if isinstance(made, ClipRejected):
            row |= {"reason": made.reason, "detail": made.detail}
        else:
            row |= {name: None if np.isnan(value) else round(float(value), 6) for name, value in made.figures.items()}
            for kind, array in made.arrays.items():
                write_member(file, f"arrays/{kind}", array)
            for kind, columns in made.tables.items():
                for name, values in columns.items():
                    write_member(file, f"tables/{kind}/{name}", values)
        file.writestr("row.json", json.dumps(row))
    os.replace(partial_path, path)


# Shards.


class _Shards:
    """A stage's shards with the notes of what they hold."""

    def __init__(self, stage: str, data: Path):
        self.out, self.done, self.work = data / stage, data / "done" / stage, data / ".work" / stage

    def lock(self) -> IO[str]:
        """Keep other processes from the stage, until the file returned is closed or this process ends."""
        self.work.parent.mkdir(parents=True, exist_ok=True)
        file = (self.work.parent / f"{self.work.name}.lock").open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{self.out} is being made by another process; wait for it, or end it") from None
        return file

    def made(self, key: str) -> Path:
        return self.work / f"{key}.npz"

    def recover(self) -> dict[str, dict]:
        """Finish what a killed run had begun to move, forget shards that are not what was noted, and read what is done."""
        self.work.mkdir(parents=True, exist_ok=True)
        for whole in self.work.glob("*.whole"):
            self._move_into_place(whole)
        for number in range(N_SHARDS):
            note = self.done / f"shard-{number:02d}.json"
            if note.exists() and any(_checksum(self.out / f) != c for f, c in _read_json(note)["files"].items()):
                note.unlink()
        # Files that no note speaks of (of a version before, or of notes that were lost) must not be read with the others.
        known = {file for note in self.done.glob("shard-*.json") for file in _read_json(note)["files"]}
        for path in self.out.rglob("shard-*"):
            if str(path.relative_to(self.out)) not in known:
                path.unlink()
        return self.read_done()

    def read_done(self) -> dict[str, dict]:
        rows = {}
        for note in sorted(self.done.glob("shard-*.json")):
            rows |= {clip: {"clip": clip} | row for clip, row in _read_json(note)["clips"].items()}
        return rows

    def write(self, shard: str, keys: dict[str, str]) -> None:
        """Write a shard anew, with the clips of `keys`: from what workers made of them, or else from the shard as it is."""
        new, whole = self.work / shard, self.work / f"{shard}.whole"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        note = self.done / f"{shard}.json"
        before = _read_json(note) if note.exists() else {"files": {}, "clips": {}}
        rows, made = {}, {}
        for clip, key in keys.items():
            if before["clips"].get(clip, {}).get("key") == key and not self.made(key).exists():
                rows[clip] = before["clips"][clip]
            else:
                made[clip] = self.made(key)
                with zipfile.ZipFile(made[clip]) as file:
                    rows[clip] = {"key": key} | json.loads(file.read("row.json"))
        usable = [clip for clip, row in rows.items() if row["reason"] is None]
        # Kinds that only the files of before have are gone, unless a clip of before is still among them.
        files = before["files"] if any(clip not in made for clip in usable) else {}
        for kind in _kinds(made, "arrays", files, ".npz") if usable else ():
            write_shard(new / kind, shard, _arrays(self.out / kind, kind, usable, made))
        for kind in _kinds(made, "tables", files, ".parquet") if usable else ():
            write_table_shard(new / kind, shard, _tables(self.out / kind, kind, usable, made))
        files = {path.relative_to(new).as_posix(): _checksum(path) for path in sorted(new.rglob("shard-*"))}
        (new / "note.json").write_text(json.dumps({"files": files, "clips": rows}, indent=0))
        os.rename(new, whole)
        self._move_into_place(whole)
        for key in keys.values():
            self.made(key).unlink(missing_ok=True)

    def _move_into_place(self, whole: Path) -> None:
        """Repeatable: whatever was moved before is not there to be moved again. The note is moved last."""
        note = self.done / f"{whole.stem}.json"
        if (whole / "note.json").exists():
            for path in sorted(whole.rglob("shard-*")):
                target = self.out / path.relative_to(whole)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)
            now = _read_json(whole / "note.json")["files"]
            before = _read_json(note)["files"] if note.exists() else {}
            for file in before.keys() - now.keys():
                (self.out / file).unlink(missing_ok=True)
            note.parent.mkdir(parents=True, exist_ok=True)
            os.replace(whole / "note.json", note)
        shutil.rmtree(whole)


def _kinds(made: dict[str, Path], folder: str, files: dict[str, str], suffix: str) -> list[str]:
    """The kinds of arrays or tables that a shard holds, by what workers made, and by the files that it had before."""
    kinds = {Path(file).parts[0] for file in files if Path(file).suffix == suffix and len(Path(file).parts) == 2}
    for path in made.values():
        with zipfile.ZipFile(path) as file:
            kinds |= {Path(name).parts[1].removesuffix(".npy") for name in file.namelist() if name.startswith(folder)}
    return sorted(kinds)


def _arrays(folder: Path, kind: str, clips: list[str], made: dict[str, Path]) -> Iterator[tuple[str, IO[bytes]]]:
    """(clip, open NPY file) of one kind of array."""
    with contextlib.ExitStack() as stack:
        of_before = [clip for clip in clips if clip not in made]
        old = stack.enter_context(zipfile.ZipFile(folder / f"{shard_of(of_before[0])}.npz")) if of_before else None
        for clip in clips:
            if clip in made:
                with zipfile.ZipFile(made[clip]) as file, file.open(f"arrays/{kind}.npy") as member:
                    yield clip, member
            else:
                with old.open(f"{clip}.npy") as member:
                    yield clip, member


def _tables(folder: Path, kind: str, clips: list[str], made: dict[str, Path]) -> Iterator[tuple[str, pa.Table, int]]:
    """(clip, table, digest) of one kind of table."""
    old = Tables(folder) if any(clip not in made for clip in clips) else None
    for clip in clips:
        if clip not in made:
            # Not the table as it was read: its schema differs in the names of inner fields, and so would the bytes.
            yield clip, frames_table(clip, old[clip]), old.digest(clip)
            continue
        with np.load(made[clip]) as file:
            names = [name for name in file.files if name.startswith(f"tables/{kind}/")]
            columns = {Path(name).name: file[name] for name in names}
            checksums = repr([file.zip.getinfo(f"{name}.npy").CRC for name in names]).encode()
        digest = hashlib.blake2b(checksums, digest_size=6).digest()
        yield clip, frames_table(clip, columns), int.from_bytes(digest, "big")


def _checksum(path: Path) -> str | None:
    if not path.exists():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_json(path: Path) -> dict:
    return json.loads(path.read_text())
