"""Several processes, the ranks, that train one network: on the devices of one machine or of several.

Every rank has the networks whole and takes every n-th batch of an epoch, so that a step learns from n batches at once. The
ranks stay equal by the same weights at first, and by gradients that are averaged before every step. Batch normalisations see
their own rank's batch. The first rank alone writes and speaks.
"""

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy
from torch import Tensor, distributed, nn

from pipeline.errors import UserError

T = TypeVar("T")
# The exit code of a rank of which another one has ended.
LEFT_ALONE = 75


class Ranks(DDPStrategy):
    """Fabric's processes without its wrapper of networks, DistributedDataParallel.

    That expects of every network one way forward and one back. Here judges are frozen while they judge, and see real and
    generated frames in one step: `average_gradients` does what is left of it.
    """

    def setup_module(self, module: nn.Module) -> nn.Module:
        return module


def is_rank() -> bool:
    """Whether this process is one of several, which `start` or torchrun has started."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def in_ranks(n: int, module: str, arguments: list[str], run: Callable[[], None]) -> None:
    """Run what `python -m module arguments` is here for: in this process, where it is a rank or the only one, or in n ranks."""
    if n > 1 and not is_rank():
        start(n, module, arguments)
    else:
        run()


def start(n: int, module: str, arguments: list[str]) -> None:
    """Run `python -m module arguments` as n ranks on this machine, which share its cores, and wait for them.

    Ends this process with the code of a rank that has told why it ended. Raises UserError where one was killed, or told it
    where nobody listens.
    """
    # Half a second to load, for those who train by one process alone.
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in ("torch.distributed.elastic", "torch.distributed.launcher"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // n)))
    with tempfile.TemporaryDirectory() as folder:
        logs = DefaultLogsSpecs(folder, {rank: Std.NONE if rank == 0 else Std.ALL for rank in range(n)})
        here = {"rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0", "local_addr": "localhost"}
        config = LaunchConfig(1, 1, n, logs, run_id=module, max_restarts=0, **here)
        try:
            elastic_launch(config, sys.executable)("-m", module, *arguments)
        except ChildFailedError as error:
            codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
            rank = min(codes, key=lambda rank: (codes[rank] in (LEFT_ALONE, -signal.SIGTERM), rank))
            again = "run again: the training goes on from its last whole epoch"
            if codes[rank] == LEFT_ALONE:
                raise UserError(f"one of {n} ranks has ended without a word; {again}") from error
            if codes[rank] < 0:
                raise UserError(f"rank {rank} of {n} was ended by signal {-codes[rank]}; {again}") from error
            if rank == 0:
                sys.exit(codes[0])
            said = next(Path(folder).glob(f"*/attempt_*/{rank}/stderr.log")).read_text().strip()
            raise UserError(f"rank {rank} of {n}: {said.splitlines()[-1].removeprefix('error: ')}") from error


def fabric_for(accelerator: str, precision: str) -> Fabric:
    """The launcher of this process. A rank waits for the others here, and from here on all but the first are silent.

    Raises UserError where a machine has fewer devices than ranks.
    """
    if not is_rank():
        return Fabric(accelerator=accelerator, devices=1, precision=precision)
    here, everywhere = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    if accelerator == "cuda" and torch.cuda.device_count() < here:
        raise UserError(
            f"params.yaml: training.devices is {here}, but torch sees {torch.cuda.device_count()} GPUs; use fewer"
        )
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    fabric = Fabric(
        accelerator=accelerator, strategy=Ranks(), devices=here, num_nodes=everywhere // here, precision=precision
    )
    fabric.launch()
    if not fabric.is_global_zero:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return fabric


def own_batches(fabric: Fabric, batches: Iterable[T]) -> Iterator[T]:
    """Every n-th batch, the r-th of every n. Of the last ones, where they are fewer, some ranks have the same."""
    iterator = iter(batches)
    while group := list(islice(iterator, fabric.world_size)):
        yield group[fabric.global_rank % len(group)]


def average_gradients(fabric: Fabric, parameters: Iterable[nn.Parameter]) -> None:
    """Let all ranks' parameters have the mean of their gradients. One that has none on a rank counts as 0 there."""
    if fabric.world_size == 1:
        return
    learning = [parameter for parameter in parameters if parameter.requires_grad]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in learning]
    mean = mean_over_ranks(fabric, torch.cat([gradient.flatten() for gradient in gradients]))
    for parameter, gradient in zip(learning, mean.split([p.numel() for p in learning]), strict=True):
        parameter.grad = gradient.view_as(parameter)


def mean_over_ranks(fabric: Fabric, x: Tensor) -> Tensor:
    """The mean of what each rank has. Ends this process where another rank is gone: who started them says so."""
    if fabric.world_size == 1:
        return x
    try:
        distributed.all_reduce(x)  # Fabric's waits for all ranks twice
    except RuntimeError:
        sys.exit(LEFT_ALONE)
    return x / fabric.world_size
