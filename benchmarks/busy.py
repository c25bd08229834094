"""A training beside busy processes: with threads that sleep while they wait, as `stages.training` has them, and that spin.

    python -m benchmarks.busy [--busy 2] [--steps 8] …

Steps of Kesim & Erzin's joint system on all cores, by a process of each kind: some by itself, then as many beside
processes that do nothing but keep a core busy. A line says what share of its speed either keeps; the ratio is that of the
speeds beside them. The deviation is that of the weights after all steps, summed by their sizes: how threads wait changes no
result.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import stages.training  # noqa: F401 (says how threads wait, before torch is loaded)
from benchmarks.training_precision import Training, add_sizes, joint_system
from pipeline.errors import UserError, one_line_errors

BUSY = "while True: pass"
SPEEDS = "speeds:"
# Turns of a loop for which GNU's OpenMP spins by itself before a thread sleeps.
SPINNING = {"GOMP_SPINCOUNT": "300000"}


class Speeds(NamedTuple):
    """Frames a second by itself and beside the busy processes; and the sum of the weights' sizes after all steps."""

    alone: float
    beside: float
    weights: float


@contextmanager
def busy(n: int) -> Iterator[None]:
    """So many processes, while this lasts."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(n)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def frames_a_second(training: Training, steps: int) -> float:
    """Of so many steps together."""
    started = time.perf_counter()
    for _ in range(steps):
        training.step()
    return steps * training.clip.n_frames / (time.perf_counter() - started)


def measure(args: argparse.Namespace) -> None:
    """Print the speeds of a training in this process."""
    training = Training("auto", joint_system(args.width, args.size), args.frames)
    training.step()
    alone = frames_a_second(training, args.steps)
    with busy(args.busy):
        beside = frames_a_second(training, args.steps)
    weights = sum(parameter.abs().sum().item() for parameter in training.objective.parameters())
    print(SPEEDS, alone, beside, weights, flush=True)


def measured(options: list[str], environment: dict[str, str]) -> Speeds:
    """The speeds of a training in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.busy", *options, "--only"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)
    if done.returncode:
        raise UserError(f"the training beside busy processes failed:\n{done.stderr[-2000:]}")
    (line,) = (line for line in done.stdout.splitlines() if line.startswith(SPEEDS))
    return Speeds(*map(float, line.removeprefix(SPEEDS).split()))


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.busy", description=__doc__.splitlines()[0])
    parser.add_argument("--busy", type=int, default=2, help="processes beside it (default: %(default)s)")
    parser.add_argument("--only", action="store_true", help="one training, whose threads wait as the environment says")
    add_sizes(parser)
    args, options = parser.parse_args(), sys.argv[1:]
    if args.only:
        measure(args)
        return
    kinds = {"sleeping": measured(options, {}), "spinning": measured(options, SPINNING)}
    for name, speeds in kinds.items():
        kept = f"{speeds.beside / speeds.alone:.0%} of its speed beside {args.busy} busy processes"
        print(f"{name}: {kept} ({speeds.alone:.1f} frames/s by itself)")
    ours, alternative = kinds.values()
    deviation = abs(ours.weights / alternative.weights - 1)
    rates = f"ours {ours.beside:.1f}, alternative {alternative.beside:.1f} frames/s"
    print(f"busy: ratio {ours.beside / alternative.beside:.2f} ({rates}; deviation {deviation:.2g})")


if __name__ == "__main__":
    main()
