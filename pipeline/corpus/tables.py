"""Parquet tables: written whole or not at all, without clock times; landmarks per frame; clips that were rejected."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import ClipRejected, UserError


def write_table(table: pd.DataFrame | pa.Table, path: Path) -> None:
    """Write a Parquet file; it appears whole under its name."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    pq.write_table(table if isinstance(table, pa.Table) else pa.Table.from_pandas(table, preserve_index=False), partial)
    os.replace(partial, path)


def write_landmarks(
    path: Path, landmarks: dict[str, np.ndarray], extra: dict[str, dict[str, np.ndarray]] | None = None
) -> None:
    """One row per frame: clip, frame, points (136 float32: x0, y0, x1, …), and further columns.

    landmarks: clip id → (T, 68, 2). extra: column → clip id → (T,) or (T, n).
    """
    clips = list(landmarks)
    lengths = [len(landmarks[clip]) for clip in clips]
    columns = {
        "clip": pa.array(np.repeat(clips, lengths)),
        "frame": pa.array(np.concatenate([np.arange(n, dtype=np.int32) for n in lengths])),
        "points": _fixed(np.concatenate([landmarks[clip] for clip in clips]).reshape(-1, 136).astype(np.float32)),
    }
    for name, values in (extra or {}).items():
        stacked = np.concatenate([values[clip] for clip in clips])
        columns[name] = pa.array(stacked) if stacked.ndim == 1 else _fixed(stacked)
    write_table(pa.table(columns), path)


def _fixed(rows: np.ndarray) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])


def read_landmarks(path: Path) -> dict[str, np.ndarray]:
    """clip id → float32 (T, 68, 2), in the order of the file."""
    table = pq.read_table(path, columns=["clip", "points"])
    clips = table["clip"].to_numpy(zero_copy_only=False)
    points = table["points"].combine_chunks().flatten().to_numpy().reshape(-1, 68, 2)
    starts = np.flatnonzero(np.r_[True, clips[1:] != clips[:-1]]) if len(clips) else np.zeros(0, int)
    return {str(clips[a]): points[a:b] for a, b in zip(starts, [*starts[1:], len(clips)], strict=True)}


def write_rejected(
    folder: Path, stage: str, rejected: dict[str, ClipRejected], n_clips: int, max_rejected: float
) -> None:
    """Write `rejected.parquet` (clip, stage, reason, detail) and judge whether the stage can go on.

    Raises UserError where no clip is left, or where more than `max_rejected` of `n_clips` were rejected.
    """
    rows = [(clip, stage, problem.reason, problem.detail) for clip, problem in sorted(rejected.items())]
    columns = {name: pd.Series(values, dtype=str) for name, values in zip(REJECTED, _transposed(rows), strict=True)}
    write_table(pd.DataFrame(columns), Path(folder) / "rejected.parquet")
    reasons = Counter(problem.reason for problem in rejected.values())
    summary = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    print(
        f"{stage}: {n_clips - len(rejected)}/{n_clips} clips"
        + (f", {len(rejected)} rejected ({summary})" if rows else "")
    )
    for clip, _, reason, detail in rows[:10]:
        print(f"  rejected {clip}: {reason}: {detail}")
    if len(rejected) == n_clips:
        raise UserError(f"{stage}: every clip was rejected ({summary}); first: {rows[0][0]}: {rows[0][3]}")
    if len(rejected) > max_rejected * n_clips:
        raise UserError(
            f"{stage}: {len(rejected)} of {n_clips} clips were rejected ({summary}), more than corpus.max_rejected = "
            f"{max_rejected}; first: {rows[0][0]}: {rows[0][3]}"
        )


REJECTED = ("clip", "stage", "reason", "detail")


def _transposed(rows: list[tuple]) -> list[tuple]:
    return list(zip(*rows, strict=True)) if rows else [()] * len(REJECTED)
