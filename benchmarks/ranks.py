"""Training steps of Kesim & Erzin's joint system by several ranks, one core each, against one process on one core.

    python -m benchmarks.ranks [--ranks 2] [--steps 8] …

Each is timed by its fastest step, of as many excerpts as there are ranks. The deviation is that of the ranks' weights
after the steps from their mean, the largest: 0 where they stay equal.
"""

import argparse
import os
import subprocess
import sys

import torch

from benchmarks.training_precision import Training, add_sizes, joint_system
from pipeline.errors import UserError, one_line_errors
from pipeline.training.ranks import is_rank, mean_over_ranks, start

FASTEST = "fastest step:"


def steps(args: argparse.Namespace) -> None:
    """Those of this process, which may be a rank; the first one prints frames per second of all, and their deviation."""
    torch.set_num_threads(1)
    training = Training("auto", joint_system(args.width, args.size), args.frames)
    fabric = training.networks.fabric
    rate = max(training.step() for _ in range(args.steps)) * fabric.world_size
    weights = torch.cat([p.detach().flatten() for p in training.objective.parameters()])
    deviation = (weights - mean_over_ranks(fabric, weights.clone())).abs().max().item()
    print(FASTEST, rate, deviation, flush=True)


def timed(ranks: int, options: list[str]) -> tuple[float, float]:
    """Frames per second by so many ranks, and their deviation."""
    command = [sys.executable, "-m", "benchmarks.ranks", *options, "--ranks", str(ranks), "--only"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"{ranks} ranks did not train:\n{done.stderr[-2000:]}")
    (line,) = (line for line in done.stdout.splitlines() if line.startswith(FASTEST))
    rate, deviation = map(float, line.removeprefix(FASTEST).split())
    return rate, deviation


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.ranks", description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--only", action="store_true", help="by the ranks alone; prints their fastest step")
    add_sizes(parser)
    args, options = parser.parse_args(), sys.argv[1:]
    if is_rank() or (args.only and args.ranks == 1):
        steps(args)
    elif args.only:
        os.environ["OMP_NUM_THREADS"] = "1"
        start(args.ranks, "benchmarks.ranks", options)
    else:
        alternative, _ = timed(1, options)
        ours, deviation = timed(args.ranks, options)
        speeds = f"ours {ours:.0f}, alternative {alternative:.0f} frames/s"
        print(f"ranks: ratio {ours / alternative:.2f} ({speeds}; deviation {deviation:.2g})")


if __name__ == "__main__":
    main()
