"""Parquet tables: written whole or not at all, without clock times; tables per clip in shards; clips that were rejected.

A table in shards is a folder of `shard-00.parquet` …, each with a row group per clip, and, for each, `_index/shard-00.parquet`.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import ClipRejected, UserError

TABLE_INDEX = ["clip", "shard", "row_group", "frames", "digest"]


def write_table(table: pd.DataFrame | pa.Table, path: Path) -> None:
    """Write a Parquet file; it appears whole under its name."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    pq.write_table(table if isinstance(table, pa.Table) else pa.Table.from_pandas(table, preserve_index=False), partial)
    os.replace(partial, path)


def frames_table(clip: str, columns: dict[str, np.ndarray]) -> pa.Table:
    """A clip's table, one row per frame: clip, frame, and the given columns, (T,) or (T, …) flattened to (T, n)."""
    n_frames = len(next(iter(columns.values())))
    arrays = {"clip": pa.array([clip] * n_frames, pa.string()), "frame": pa.array(np.arange(n_frames, dtype=np.int32))}
    for name, values in columns.items():
        flat = pa.array(np.ascontiguousarray(values).reshape(-1))
        width = values.size // n_frames
        arrays[name] = flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, width)
    return pa.table(arrays)


def columns_of(table: pa.Table) -> dict[str, np.ndarray]:
    """The columns of a clip's table but `clip` and `frame`: (T,) or (T, n) each."""
    columns = {}
    for name in table.column_names[2:]:
        column = table[name].combine_chunks()
        if isinstance(column, pa.FixedSizeListArray):
            columns[name] = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
        else:
            columns[name] = column.to_numpy(zero_copy_only=False)
    return columns


def write_table_shard(folder: Path, name: str, tables: Iterable[tuple[str, pa.Table, int]]) -> None:
    """Write one shard of a table, a row group per clip, and its part of the index (clip, shard, row_group, frames, digest).

    tables: (clip, table, digest of its content), in the order of the clips' ids.
    """
    (folder / "_index").mkdir(parents=True, exist_ok=True)
    path, partial = folder / f"{name}.parquet", folder / f".{name}.partial"
    rows, writer = [], None
    for clip, table, digest in tables:
        writer = writer or pq.ParquetWriter(partial, table.schema)
        writer.write_table(table)
        rows.append((clip, path.name, len(rows), len(table), digest))
    writer.close()
    os.replace(partial, path)
    write_table(pd.DataFrame(rows, columns=TABLE_INDEX), folder / "_index" / f"{name}.parquet")


class Tables:
    """A table in shards as a read-only mapping: clip id → column → (T,) or (T, n). `pandas.read_parquet` reads them, too."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.rows = read_index(self.folder)
        self.files: dict[str, pq.ParquetFile] = {}

    def __getitem__(self, clip: str) -> dict[str, np.ndarray]:
        row = self.rows[clip]
        if row["shard"] not in self.files:
            self.files[row["shard"]] = pq.ParquetFile(self.folder / row["shard"])
        return columns_of(self.files[row["shard"]].read_row_group(row["row_group"]))

    def landmarks(self, clip: str) -> np.ndarray:
        """The column `points` as float32 (T, 68, 2)."""
        return self[clip]["points"].reshape(-1, 68, 2)

    def frames(self, clip: str) -> int:
        """The clip's number of rows."""
        return self.rows[clip]["frames"]

    def digest(self, clip: str) -> int:
        """A checksum of the clip's rows."""
        return self.rows[clip]["digest"]

    def __contains__(self, clip: str) -> bool:
        return clip in self.rows

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def read_index(folder: Path) -> dict[str, dict]:
    """The index of a folder of shards, clip → row. Raises UserError where there is none."""
    parts = sorted((folder / "_index").glob("shard-*.parquet"))
    if not parts:
        raise UserError(f"{folder} holds no shards; `dvc repro` makes them")
    # By Arrow: pandas takes five times as long for a few rows.
    return {row["clip"]: row for part in parts for row in pq.ParquetFile(part).read().to_pylist()}


def write_landmarks(path: Path, landmarks: dict[str, np.ndarray]) -> None:
    """One file for a whole small corpus, a row per frame: clip, frame, points (136 float32: x0, y0, x1, …).

    landmarks: clip id → (T, 68, 2).
    """
    write_table(pa.concat_tables(frames_table(c, {"points": p.astype(np.float32)}) for c, p in landmarks.items()), path)


def read_landmarks(path: Path) -> dict[str, np.ndarray]:
    """What `write_landmarks` wrote: clip id → float32 (T, 68, 2), in the order of the file."""
    table = pd.read_parquet(path)
    return {clip: np.stack(rows["points"]).reshape(-1, 68, 2) for clip, rows in table.groupby("clip", sort=False)}


def write_rejected(
    folder: Path, stage: str, rejected: list[tuple[str, ClipRejected]], n_clips: int, max_rejected: float
) -> None:
    """Write `rejected.parquet` (clip, stage, reason, detail) and judge whether the stage can go on.

    Raises UserError where no clip is left, or where more than `max_rejected` of `n_clips` were rejected.
    """
    rejected = sorted(rejected, key=lambda row: row[0])
    rows = [(_text(clip), stage, problem.reason, _text(problem.detail)) for clip, problem in rejected]
    columns = {name: pd.Series(values, dtype=str) for name, values in zip(REJECTED, _transposed(rows), strict=True)}
    write_table(pd.DataFrame(columns), Path(folder) / "rejected.parquet")
    reasons = Counter(problem.reason for _, problem in rejected)
    told = [(reason, detail if detail.startswith(clip) else f"{clip}: {detail}") for clip, _, reason, detail in rows]
    summary = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    print(
        f"{stage}: {n_clips - len(rejected)}/{n_clips} clips"
        + (f", {len(rejected)} rejected ({summary})" if rows else "")
    )
    for reason, text in told[:10]:
        print(f"  rejected ({reason}) {text}")
    if len(rejected) > max_rejected * n_clips or len(rejected) == n_clips:
        commonest = reasons.most_common(1)[0][0]
        example = next(text for reason, text in told if reason == commonest)
        what = f"{len(rejected)} of {n_clips} clips were rejected, more than corpus.max_rejected = {max_rejected}"
        if len(rejected) == n_clips:
            what = "every clip was rejected"
        raise UserError(f"{stage}: {what} ({summary}); for example {example}")


def _text(name: str) -> str:
    """In one line, and without what a file's name may hold that is not text."""
    return " ".join(name.encode("utf-8", "backslashreplace").decode().splitlines())


REJECTED = ("clip", "stage", "reason", "detail")


def _transposed(rows: list[tuple]) -> list[tuple]:
    return list(zip(*rows, strict=True)) if rows else [()] * len(REJECTED)
