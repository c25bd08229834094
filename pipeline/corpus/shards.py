"""Arrays per clip in a few large files: NPZ shards whose members are stored uncompressed, and an index that finds them.

A folder of shards holds `shard-00.npz` … and, for each, `_index/shard-00.parquet` (clip, shard, start, stop, dtype, shape,
digest): a clip's array is a memory-mapped slice of its shard, read without unpacking anything. `numpy.load` opens the
shards, too. Which shard a clip goes to depends on its id alone, and a shard holds its clips in the order of their ids.
"""

import os
import zipfile
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

import numpy as np
import pandas as pd

from pipeline.corpus.tables import read_index, write_table

N_SHARDS = 32
INDEX = ["clip", "shard", "start", "stop", "dtype", "shape", "digest"]
_CHUNK = 1 << 20


def shard_of(clip: str) -> str:
    """The name, without suffix, of the shard that holds a clip."""
    return f"shard-{crc32(clip.encode()) % N_SHARDS:02d}"


def in_shards(clips: Iterable[str]) -> list[str]:
    """Clip ids in the order in which shards hold them."""
    return sorted(clips, key=lambda clip: (shard_of(clip), clip))


def write_member(shard: zipfile.ZipFile, name: str, content: np.ndarray | BinaryIO) -> None:
    """Add an array of any shape and plain dtype, or the bytes of an NPY file, to an open NPZ file."""
    # A fixed date, so that equal arrays give equal files.
    with shard.open(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), "w", force_zip64=True) as member:
        if isinstance(content, np.ndarray):
            # ascontiguousarray would make a number of no dimension a vector.
            array = content if content.flags.c_contiguous else np.ascontiguousarray(content)
            np.lib.format.write_array_header_1_0(member, np.lib.format.header_data_from_array_1_0(array))
            if array.size:
                member.write(array.reshape(-1).view(np.uint8).data)
        else:
            while chunk := content.read(_CHUNK):
                member.write(chunk)


def write_shard(folder: Path, name: str, members: Iterable[tuple[str, np.ndarray | BinaryIO]]) -> None:
    """Write one shard and its part of the index. members: (clip, array or open NPY file), in the order of the clips' ids."""
    (folder / "_index").mkdir(parents=True, exist_ok=True)
    path, partial = folder / f"{name}.npz", folder / f".{name}.partial"
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as shard:
        for clip, content in members:
            write_member(shard, clip, content)
    os.replace(partial, path)
    write_table(pd.DataFrame(_index(path), columns=INDEX), folder / "_index" / f"{name}.parquet")


def write_shards(folder: Path, arrays: Iterable[tuple[str, np.ndarray]]) -> None:
    """Write a folder of shards from (clip, array) in the order of `in_shards`; one array is in memory at a time."""
    for name, members in groupby(arrays, key=lambda member: shard_of(member[0])):
        write_shard(Path(folder), name, members)


def _index(path: Path) -> Iterator[tuple]:
    """What the shard says of its members: where their arrays' bytes lie in it, and their CRC-32."""
    with path.open("rb") as file, zipfile.ZipFile(file) as shard:
        for info in shard.infolist():
            file.seek(info.header_offset + 26)
            lengths = np.frombuffer(file.read(4), "<u2")  # of the name and the extra field that follow
            begin = info.header_offset + 30 + int(lengths.sum())
            file.seek(begin)
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            clip = info.filename.removesuffix(".npy")
            yield clip, path.name, file.tell(), begin + info.file_size, dtype.str, list(shape), info.CRC


class Shards:
    """A folder of shards as a read-only mapping: clip id → array, memory-mapped."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.rows = read_index(self.folder)
        self.maps: dict[str, np.memmap] = {}

    def __getitem__(self, clip: str) -> np.ndarray:
        row = self.rows[clip]
        if row["shard"] not in self.maps:
            self.maps[row["shard"]] = np.memmap(self.folder / row["shard"], mode="r")
        return self.maps[row["shard"]][row["start"] : row["stop"]].view(row["dtype"]).reshape(row["shape"])

    def digest(self, clip: str) -> int:
        """A checksum of the clip's array."""
        return self.rows[clip]["digest"]

    def __contains__(self, clip: str) -> bool:
        return clip in self.rows

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)
