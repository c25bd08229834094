"""Arrays per clip in a few large files: NPZ shards whose members are stored uncompressed, and an index that finds them.

A folder of shards holds `shard-00.npz` … and `index.parquet` (clip, shard, start, stop, dtype, shape): a clip's array is a
memory-mapped slice of its shard, read without unpacking anything. `numpy.load` opens the shards, too. Which shard a clip
goes to depends on its id alone. The index is written last: a folder that has one is whole.
"""

import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd

N_SHARDS = 8


class ShardWriter:
    """Collects one array per clip into a folder of shards; used as a context manager, which completes the folder."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.rows: list[dict] = []
        self.shards: dict[int, zipfile.ZipFile] = {}

    def __enter__(self) -> "ShardWriter":
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def add(self, clip: str, array: np.ndarray) -> None:
        """Store an array of any shape and plain dtype under the clip's id."""
        number = crc32(clip.encode()) % N_SHARDS
        if number not in self.shards:
            self.shards[number] = zipfile.ZipFile(self._partial(number), "w", zipfile.ZIP_STORED)
        shard = self.shards[number]
        header = io.BytesIO()
        array = np.ascontiguousarray(array)
        np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
        # A fixed date, so that equal arrays give equal files.
        with shard.open(zipfile.ZipInfo(f"{clip}.npy", (1980, 1, 1, 0, 0, 0)), "w", force_zip64=True) as member:
            member.write(header.getvalue())
            member.write(array.data.cast("B") if array.size else b"")
        info = shard.getinfo(f"{clip}.npy")
        self.rows.append(
            {
                "clip": clip,
                "shard": f"shard-{number:02d}.npz",
                "stop": shard.fp.tell(),
                "start": shard.fp.tell() - info.file_size + len(header.getvalue()),
                "dtype": array.dtype.str,
                "shape": list(array.shape),
            }
        )

    def _partial(self, number: int) -> Path:
        return self.folder / f".shard-{number:02d}.partial"

    def __exit__(self, error: type | None, *_: object) -> None:
        for number, shard in self.shards.items():
            shard.close()
            if error is None:
                os.replace(self._partial(number), self.folder / f"shard-{number:02d}.npz")
            else:
                self._partial(number).unlink()
        if error is None:
            columns = ["clip", "shard", "start", "stop", "dtype", "shape"]
            index = pd.DataFrame(self.rows, columns=columns).sort_values("clip")
            partial = self.folder / ".index.partial"
            index.to_parquet(partial, index=False)
            os.replace(partial, self.folder / "index.parquet")


class Shards:
    """A folder of shards as a read-only mapping: clip id → array, memory-mapped."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        index = pd.read_parquet(self.folder / "index.parquet")
        self.rows = {row["clip"]: row for row in index.to_dict("records")}
        self.maps: dict[str, np.memmap] = {}

    def __getitem__(self, clip: str) -> np.ndarray:
        row = self.rows[clip]
        if row["shard"] not in self.maps:
            self.maps[row["shard"]] = np.memmap(self.folder / row["shard"], mode="r")
        return self.maps[row["shard"]][row["start"] : row["stop"]].view(row["dtype"]).reshape(row["shape"])

    def __contains__(self, clip: str) -> bool:
        return clip in self.rows

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)
