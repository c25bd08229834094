"""What a training step costs at the papers' own sizes: every training of every paper as `make profile NAME=paper` sets it.

    python -m benchmarks.paper_sizes [--steps 3] [kesim_erzin_speech …]

Each is measured in a process of its own, on the device at hand: one step to warm up, then the median of the others, with the
batch drawn from made-up clips as long as GRID's. Seconds are the clock's and, in brackets, the cores', which other work on the
machine hardly changes. Memory is the most that the process held, on a GPU the most that was
allocated there. Hours are those of the schedule, where the profile has one in steps. Steps are those of the last phase, in
the arithmetic that `training.precision: auto` takes, against the same in float32; the deviation is that of the first step's
objective, the largest of all trainings, as a share of it.
"""

import argparse
import contextlib
import io
import multiprocessing
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from tqdm import tqdm

from benchmarks.made_up import add_crops, add_pretrained, add_the_rest, write_data
from benchmarks.project import ROOT
from pipeline import parameters
from pipeline.papers.registry import PAPERS, TRAININGS, module
from pipeline.parameters import Parameters
from pipeline.profiles import apply_profile
from pipeline.training.machine import machine_for
from pipeline.training.recipe import Objective, Phase, Recipe
from pipeline.training.runner import Networks, learn

NAMES = {f"{paper}_{training}": (paper, training) for paper, training in TRAININGS}
# As many clips as the largest batch has excerpts.
N_CLIPS = 16


class Begun(NamedTuple):
    """A training at its last phase, before the first step."""

    recipe: Recipe
    phase: Phase
    objective: Objective
    networks: Networks


class Cost(NamedTuple):
    """Of a step: its arithmetic, seconds, those of all cores together, frames; and the process's peak of memory, in bytes.

    value: of the first step's objective. schedule: steps that the whole training has, 0 where that depends on the corpus.
    """

    precision: str
    seconds: float
    core_seconds: float
    frames: int
    memory: int
    value: float
    schedule: int


def at_paper_size(folder: Path, changes: dict[str, Any]) -> Path:
    """The file of parameters as the profile leaves it, with changes."""
    return with_changes(folder, changes, "paper")


def with_changes(folder: Path, changes: dict[str, Any], *profiles: str) -> Path:
    """The file of parameters as profiles leave it, with changes."""
    params, changed = folder / "params.yaml", folder / "changes.yaml"
    shutil.copy(ROOT / "params.yaml", params)
    changed.write_text(yaml.safe_dump(changes))
    for profile in (*(ROOT / "profiles" / f"{name}.yaml" for name in profiles), changed):
        apply_profile(profile, params)
    return params


def write_corpus(folder: Path, p: Parameters, lengths: Sequence[int]) -> None:
    """Made-up clips of so many frames each, with all that the trainings ask for at the sizes of the parameters."""
    write_data(folder, lengths)
    add_the_rest(folder, lengths)
    add_crops(folder, lengths, p.faces)
    add_pretrained(folder, p.faces[p.chen_s.faces].image_size, p.chen_s.width)


def begin(
    name: str,
    p: Parameters,
    data: Path,
    device: str,
    precision: str,
    change: Callable[[Objective], Objective] = lambda objective: objective,
) -> Begun:
    """The training, with the weights of its seed. change: of its networks, before they are wrapped."""
    paper, training = NAMES[name]
    told = {"training": training} if TRAININGS[paper, training].module else {}
    recipe = import_module(module(paper, training)).recipe(p, data, **told)
    phase = recipe.phases[-1]
    torch.manual_seed(recipe.seed)
    objective = change(recipe.objective(phase.weights))
    machine = machine_for(device, recipe.precision or precision)
    return Begun(recipe, phase, objective, Networks(machine, objective, recipe, phase))


def cost(name: str, params: Path, data: Path, precision: str, n_steps: int) -> Cost:
    """What a step costs, the median of so many after the first."""
    p = parameters.load(params)
    with contextlib.redirect_stdout(io.StringIO()):
        recipe, phase, objective, networks = begin(name, p, data, p.training.device, precision)
    # The first of each epoch: the last may be smaller.
    batches = (next(recipe.batches.epoch(recipe.seed, epoch)) for epoch in count())
    seconds, core_seconds, frames, values = [], [], [], []
    for _ in range(1 + n_steps):
        started, busy = time.perf_counter(), time.process_time()
        batch = next(batches)
        terms, _ = learn(objective, networks, phase, [batch])
        # To read a value waits for the GPU.
        values.append(
            sum(weight * terms[f"generator_{term}"].item() for term, weight in phase.weights.items() if weight)
        )
        seconds.append(time.perf_counter() - started)
        core_seconds.append(time.process_time() - busy)
        frames.append(batch.n_frames)
    on_gpu = networks.fabric.device.type == "cuda"
    memory = torch.cuda.max_memory_allocated() if on_gpu else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Cost(
        precision=networks.fabric.strategy.precision.precision,
        seconds=statistics.median(seconds[1:]),
        core_seconds=statistics.median(core_seconds[1:]),
        frames=statistics.median(frames[1:]),
        memory=memory,
        value=values[0],
        schedule=sum(phase.steps or 0 for phase in recipe.phases),
    )


def line(name: str, chosen: Cost, plain: Cost) -> str:
    """A row of the table."""
    hours = f", {chosen.schedule * chosen.seconds / 3600:.0f} h" if chosen.schedule else ""
    rate = f"{chosen.frames / chosen.seconds:.1f} frames/s"
    return f"{name}: {_spent(chosen)}, {rate}{hours}; {_spent(plain)}"


def _spent(of: Cost) -> str:
    return f"{of.precision} {of.seconds:.3g} ({of.core_seconds:.3g}) s, {of.memory / 1e9:.1f} GB"


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.paper_sizes", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)} (default: all)")
    parser.add_argument("--steps", type=int, default=3, help="steps that are timed (default: %(default)s)")
    parser.add_argument("--width", type=float, default=1.0, help="of the networks (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=75, help="of a clip (default: %(default)s)")
    args = parser.parse_args()
    if unknown := [name for name in args.names if name not in NAMES]:
        parser.error(f"{unknown[0]} is none of {', '.join(NAMES)}")
    spawn, costs = multiprocessing.get_context("spawn"), {}
    with tempfile.TemporaryDirectory() as place:
        data = Path(place)
        params = at_paper_size(data, {paper: {"width": args.width} for paper in PAPERS})
        write_corpus(data, parameters.load(params), [args.frames] * N_CLIPS)
        with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as processes:
            for name in tqdm(args.names or NAMES, "trainings", unit="training", disable=None):
                runs = [processes.submit(cost, name, params, data, how, args.steps) for how in ("auto", "32-true")]
                costs[name] = [run.result() for run in runs]
                tqdm.write(line(name, *costs[name]))
    ours, alternative = (sum(by_precision[k].seconds for by_precision in costs.values()) for k in (0, 1))
    deviation = max(abs(chosen.value / plain.value - 1) for chosen, plain in costs.values())
    seconds = f"ours {ours:.3f}, alternative {alternative:.3f} s for a step of each"
    print(f"paper_sizes: ratio {alternative / ours:.2f} ({seconds}; deviation {deviation:.4f})")


if __name__ == "__main__":
    main()
