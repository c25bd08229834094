"""One call per clip, in a pool of processes, with a progress bar; a clip that cannot be used is handed back as such."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any, TypeVar

import cv2
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from pipeline.errors import ClipRejected

Item = TypeVar("Item")


def count(workers: int | str) -> int:
    """`compute.workers` as a number; `auto` is one per CPU core that this process may use."""
    return len(os.sched_getaffinity(0)) if workers == "auto" else int(workers)


def each(
    work: Callable[[Item], Any], items: Sequence[Item], label: str, workers: int | str = "auto"
) -> Iterator[tuple[Item, Any]]:
    """Yield (item, work(item)) in the items' order; where the work raised ClipRejected, the exception takes its place."""
    n_workers = min(count(workers), len(items))
    progress = partial(tqdm, desc=label, total=len(items), unit="clip", disable=None)
    if n_workers <= 1:
        yield from zip(items, progress(map(partial(_attempt, work), items)), strict=True)
        return
    # A fresh interpreter per worker: forking one that holds threads (BLAS, Arrow) can hang.
    with ProcessPoolExecutor(n_workers, get_context("spawn")) as pool:
        yield from zip(items, progress(pool.map(partial(_attempt, work), items)), strict=True)


def _attempt(work: Callable[[Item], Any], item: Item) -> Any:
    # One thread each, or workers compete; and a sum over several threads is not the same to the last bit.
    cv2.setNumThreads(1)
    with threadpool_limits(limits=1):
        try:
            return work(item)
        except ClipRejected as problem:
            return problem
