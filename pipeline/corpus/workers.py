"""One call per clip, in a pool of processes, with a progress bar; a clip that cannot be used is handed back as such."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

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
    if n_workers <= 1:
        yield from zip(
            items,
            tqdm(map(_attempt, [work] * len(items), items), label, len(items), unit="clip", disable=None),
            strict=True,
        )
        return
    # A fresh interpreter per worker: forking one that holds threads (BLAS, Arrow) can hang. One thread each, or they compete.
    threads = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    os.environ.update(dict.fromkeys(threads, "1"))
    try:
        with ProcessPoolExecutor(n_workers, get_context("spawn"), initializer=_single_threaded) as pool:
            results = pool.map(_attempt, [work] * len(items), items, chunksize=1)
            yield from zip(items, tqdm(results, label, len(items), unit="clip", disable=None), strict=True)
    finally:
        for name, value in threads.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


def _single_threaded() -> None:
    import cv2

    cv2.setNumThreads(1)


def _attempt(work: Callable[[Item], Any], item: Item) -> Any:
    try:
        return work(item)
    except ClipRejected as problem:
        return problem
