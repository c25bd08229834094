"""One call per clip, by processes of this machine or a Dask cluster, with a progress bar.

A clip that cannot be used is handed back as such; one that kills its worker costs that worker, not the run.
"""

import importlib
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context, parent_process
from typing import Any, TypeVar

import cv2
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from pipeline.errors import ClipRejected, UserError

Item = TypeVar("Item")
# A Dask worker may call from several threads; dlib's detector and the limits on threads below are a process's own.
_ONE_AT_A_TIME = threading.Lock()


def count(workers: int | str) -> int:
    """`compute.workers` as a number; `auto` is one per CPU core that this process may use."""
    return len(os.sched_getaffinity(0)) if workers == "auto" else int(workers)


def each(
    work: Callable[[Item], Any],
    items: Iterable[Item],
    label: str,
    workers: int | str = "auto",
    scheduler: str | None = None,
    unit: str = "clip",
) -> Iterator[tuple[Item, Any]]:
    """Yield (item, work(item)) as they come; where the work raised ClipRejected, the exception takes the result's place.

    scheduler: address of a Dask cluster, whose workers run in the project's root on the same files, and are restarted first;
    or None for `workers` processes here. unit: what the progress bar calls an item. A worker that dies is replaced; an item
    whose worker dies even when it works on nothing else is rejected as `crashed`.
    """
    items = list(items)
    attempt = partial(_attempt, importable(work) if scheduler else work)
    finished = _cluster(attempt, items, scheduler) if scheduler else _processes(attempt, items, count(workers))
    with tqdm(desc=label, total=len(items), unit=unit, disable=None) as bar:
        for item, result in finished:
            bar.update()
            yield item, result


def importable(work: Callable[[Item], Any]) -> Callable[[Item], Any]:
    """A stage's function under its module's own name: as `__main__`, workers on other machines cannot import it."""
    function = getattr(work, "func", work)
    if function.__module__ != "__main__":
        return work
    module = importlib.import_module(sys.modules["__main__"].__spec__.name)
    named = getattr(module, function.__name__)
    return partial(named, *work.args, **work.keywords) if isinstance(work, partial) else named


def _attempt(work: Callable[[Item], Any], item: Item) -> Any:
    with _ONE_AT_A_TIME:
        # One thread each, or workers compete; and a sum over several threads is not the same to the last bit.
        cv2.setNumThreads(1)
        with threadpool_limits(limits=1):
            try:
                return work(item)
            except ClipRejected as problem:
                return problem


def _processes(attempt: Callable, items: list[Item], n_workers: int) -> Iterator[tuple[Item, Any]]:
    waiting = deque(items)
    while waiting:
        running: dict[Future, Item] = {}
        try:
            with _pool(min(n_workers, len(waiting))) as pool:
                while waiting or running:
                    # Two each, so that no worker waits; not all, so that a long list costs no memory.
                    while waiting and len(running) < 2 * n_workers:
                        running[pool.submit(attempt, waiting[0])] = waiting[0]
                        waiting.popleft()
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        result = future.result()
                        yield running.pop(future), result
        except BrokenProcessPool:
            # Any of those under way may have killed its worker: each gets one of its own.
            for item in running.values():
                yield item, _alone(attempt, item)


def _alone(attempt: Callable, item: Item) -> Any:
    try:
        with _pool(1) as pool:
            return pool.submit(attempt, item).result()
    except BrokenProcessPool:
        return ClipRejected("crashed", "its worker process died, of a library's fault or for want of memory")


def _pool(n_workers: int) -> ProcessPoolExecutor:
    # A fresh interpreter per worker: forking one that holds threads (BLAS, Arrow) can hang.
    return ProcessPoolExecutor(n_workers, get_context("spawn"), initializer=_end_with_parent)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""

    def watch() -> None:
        parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _cluster(attempt: Callable, items: list[Item], address: str) -> Iterator[tuple[Item, Any]]:
    from dask.distributed import Client, as_completed
    from distributed.scheduler import KilledWorker

    try:
        client = Client(address, timeout="5s")
    except (OSError, ValueError) as error:
        raise UserError(
            f"params.yaml: compute.scheduler: no Dask scheduler answers at {address} ({type(error).__name__}); "
            "start one with `dask scheduler`, or set it to null"
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout="30s")
        except TimeoutError:
            raise UserError(
                f"params.yaml: compute.scheduler: no worker joins {address}; start some in the project's folder with "
                f"`PYTHONPATH=. dask worker {address} --nthreads 1`"
            ) from None
        # Workers of an earlier run hold that run's code and files.
        client.restart()
        waiting, running = deque(items), {}

        def submit() -> Future:
            item = waiting.popleft()
            future = client.submit(attempt, item, pure=False)
            running[future.key] = item
            return future

        n_running = 2 * max(1, sum(client.nthreads().values()))
        finished = as_completed([submit() for _ in range(min(n_running, len(waiting)))])
        suspects = []
        for future in finished:
            item = running.pop(future.key)
            try:
                yield item, future.result()
            except KilledWorker:
                suspects.append(item)
            if waiting:
                finished.add(submit())
        # Each of them was with a worker that died; which of them killed it shows when it has one of its own.
        for item in suspects:
            try:
                result = _awaited(client, client.submit(attempt, item, pure=False), address)
            except KilledWorker:
                result = ClipRejected("crashed", "its workers on the cluster died, one after the other")
            yield item, result


def _awaited(client: Any, future: Any, address: str) -> Any:
    """What comes of a future of Dask's `client`.

    Raises UserError where the cluster has lost its workers, and none joins it any more.
    """
    while True:
        try:
            return future.result(timeout=60)
        except TimeoutError:
            if future.done():  # the work's own
                raise
        try:
            client.wait_for_workers(1, timeout="60s")
        except TimeoutError:
            raise UserError(
                f"no worker of {address} is left; start some, and run again: what is done is kept"
            ) from None
