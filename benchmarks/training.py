"""Where a training step's time goes, and how much faster it is than a plain implementation of the same maths.

    python -m benchmarks.training sinha_landmark_to_texture [--paper] [--steps 5]

Steps are the pipeline's own, of the training's last phase, on made-up clips and the device at hand, with the sizes of
params.yaml or the paper's. The plain implementation (benchmarks/plain) has the same losses of the same networks, in float32:
frame by frame, recurrent layers cell by cell, and the photo encoded for every frame. The two take their steps in turn and are
timed by their fastest, drawing the batch included. Times are the cores' on a CPU, which other work on the machine hardly
changes, and the clock's on a GPU. The deviation is that of the first step's terms, the largest, as a share of the term.

A line of the table is what a part takes on the way forward and on the way back, in milliseconds, medians of the steps. Terms
bear their names in tables of losses; what several of them ask of a network is counted with the first. "data" is what drawing a
batch takes: in a training a thread does it while the step before is taken. Last comes what validation takes, per batch.
"""

import argparse
import contextlib
import io
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.paper_sizes import N_CLIPS, NAMES, Begun, begin, with_changes, write_corpus
from benchmarks.plain import made_plain
from pipeline import parameters
from pipeline.papers.registry import PAPERS
from pipeline.parameters import Parameters
from pipeline.training import runner
from pipeline.training.recipe import Batch, Terms
from pipeline.training.trained import fields_of, save_network

# By part and way.
Seconds = dict[tuple[str, str], float]
WAYS = ("forward", "backward")
REST = ("the rest", "forward")
BEFORE = 1_000_000  # an epoch beyond those that are timed


def seconds_on(device: torch.device) -> float:
    """Of the cores; of the clock, with all that was begun done, on a GPU."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


class Stopwatch:
    """Seconds by part: what passes belongs to the part that was named last."""

    def __init__(self, device: torch.device):
        self.device, self.seconds = device, defaultdict(float)
        self.part, self.since = REST, seconds_on(device)

    def now(self, part: str, way: str = "forward") -> None:
        now = seconds_on(self.device)
        self.seconds[self.part] += now - self.since
        self.part, self.since = (part, way), now

    def timed(self, part: str, function: Callable) -> Callable:
        """The same function, whose time is the part's; and that of the way back to what it gives."""

        def call(*args: Any, **kwargs: Any) -> Any:
            self.now(part)
            given = function(*args, **kwargs)
            self.now(*REST)
            self.mark(part, given)
            return given

        return call

    def mark(self, part: str, given: Any) -> None:
        """Gradients come first to what was computed last: from here to the next mark the way back is the part's."""
        first = given if isinstance(given, Tensor) else given[0] if isinstance(given, tuple) else None
        if first is not None and first.requires_grad:
            first.register_hook(lambda gradient: self.now(part, "backward"))

    def named(self, part: str, drawn: Iterator[Batch]) -> Iterator[Batch]:
        """The same, of which each is the part's work."""
        while True:
            self.now(part)
            batch = next(drawn)
            self.now(*REST)
            yield batch

    def lap(self) -> Seconds:
        """Those since the last lap."""
        self.now(*REST)
        seconds, self.seconds = self.seconds, defaultdict(float)
        return seconds


def watch(training: Begun) -> Stopwatch:
    """Let a training's steps be timed by part."""
    objective, networks = training.objective, training.networks
    watched = Stopwatch(networks.fabric.device)

    def of_terms(prefix: str, terms: Callable[..., Terms]) -> Callable[..., Terms]:
        return lambda *args: {name: watched.timed(f"{prefix}_{name}", term) for name, term in terms(*args).items()}

    objective.generate = watched.timed("generator", objective.generate)
    objective.discriminator_terms = of_terms("discriminator", objective.discriminator_terms)
    objective.generator_terms = of_terms("generator", objective.generator_terms)
    networks.fabric.backward = watched.timed("the rest", networks.fabric.backward)
    networks.fabric.to_device = watched.timed("transfer", networks.fabric.to_device)
    for name, optimizer in networks.optimizers.items():
        part = f"step of the {name}"
        optimizer.optimizer.register_step_pre_hook(lambda *_, part=part: watched.now(part))
        optimizer.optimizer.register_step_post_hook(lambda *_: watched.now(*REST))
    return watched


def add_first_halves(p: Parameters, data: Path) -> None:
    """Those of the cascades, untrained: with landmarks as these predict them the second halves may be trained."""
    for paper in ("atvgnet", "sinha"):
        first = begin(f"{paper}_audio_to_landmark", p, data, "cpu", "32-true")
        about = {"settings": fields_of(first.recipe.settings), "key": "untrained"}
        save_network(data / "trained" / paper / "audio_to_landmark", first.networks.weights("generator"), about)


def drawn(training: Begun) -> Iterator[Batch]:
    """The first batch of each epoch: the last may be smaller."""
    recipe = training.recipe
    return (next(iter(recipe.batches.epoch(recipe.seed, epoch))) for epoch in count())


def step(training: Begun, batches: Iterator[Batch], seed: int) -> tuple[float, dict[str, float], int]:
    """Seconds, the terms' values and the number of frames of a step. seed: of what the objective draws."""
    torch.manual_seed(seed)
    device = training.networks.fabric.device
    started = seconds_on(device)
    batch = next(batches)
    terms, _ = runner.learn(training.objective, training.networks, training.phase, [batch])
    seconds = seconds_on(device) - started
    return seconds, {name: of_batches.item() for name, of_batches in terms.items()}, batch.n_frames


def profile(name: str, p: Parameters, data: Path, n_steps: int) -> tuple[float, float, float]:
    """Print where the time goes; frames a second, those of the plain implementation, and the deviation."""
    chosen = p.training
    with contextlib.redirect_stdout(io.StringIO()):
        ours = begin(name, p, data, chosen.device, chosen.precision)
        plain = begin(name, p, data, chosen.device, "32-true", made_plain)
    for training in (ours, plain):  # an epoch, after which tables are in memory
        list(training.recipe.batches.epoch(training.recipe.seed, BEFORE))
    watched = watch(ours)
    batches, of_plain = map(iter, (watched.named("data", drawn(ours)), drawn(plain)))
    seconds, laps, deviations = [], [], []
    for k in range(1 + n_steps):
        watched.lap()
        own, terms, n_frames = step(ours, batches, k)
        laps.append(watched.lap())
        others, expected, _ = step(plain, of_plain, k)
        seconds.append((own, others))
        deviations.append(max(abs(terms[key] - value) / max(abs(value), 1e-6) for key, value in expected.items()))
    print(name, *table(laps[1:]), sep="\n")
    device, recipe = ours.networks.fabric.device, ours.recipe
    started = seconds_on(device)
    runner.validation_error(ours.networks.fabric, recipe, ours.objective, recipe.seed)
    per_batch = (seconds_on(device) - started) / len(list(recipe.batches.validation(recipe.seed)))
    print(f"{'a batch of validation':<36}{1000 * per_batch:>9.1f} ms")
    rates = [n_frames / min(times) for times in zip(*seconds[1:], strict=True)]
    return rates[0], rates[1], deviations[0]


def table(laps: list[Seconds]) -> list[str]:
    """A line for each part, in milliseconds."""
    keys = dict.fromkeys(key for lap in laps for key in lap)
    median = {key: 1000 * statistics.median(lap.get(key, 0.0) for lap in laps) for key in keys}
    total, lines = sum(median.values()), [f"{'part':<36}{'forward':>9}{'backward':>10}{'share':>8}"]
    for part in dict.fromkeys(part for part, _ in keys):
        forward, backward = (median.get((part, way), 0.0) for way in WAYS)
        lines.append(f"{part:<36}{forward:>9.1f}{backward:>10.1f}{(forward + backward) / total:>8.1%}")
    return [*lines, f"{'a step':<36}{total:>9.1f} ms"]


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.training", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", metavar="NAME", choices=NAMES, help=f"of {', '.join(NAMES)}")
    parser.add_argument("--paper", action="store_true", help="at the paper's sizes instead of those of params.yaml")
    parser.add_argument("--steps", type=int, default=5, help="steps of each that are timed (default: %(default)s)")
    parser.add_argument("--width", type=float, help="of the networks (default: as the parameters have it)")
    parser.add_argument("--frames", type=int, default=75, help="of a clip (default: %(default)s)")
    args = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as place:
        data = Path(place)
        profiles = ["paper"] if args.paper else []
        params = with_changes(data, {paper: {"width": args.width} for paper in PAPERS} if args.width else {}, *profiles)
        p = parameters.load(params)
        write_corpus(data, p, [args.frames] * N_CLIPS)
        with contextlib.redirect_stdout(io.StringIO()):
            add_first_halves(p, data)
        for name in args.names:
            found.append(profile(name, p, data, args.steps))
            ours, alternative, deviation = found[-1]
            print(f"{name}: {ours / alternative:.2f} times as fast as plain; deviation {deviation:.2g}\n", flush=True)
    ours, alternative = (len(found) / sum(1 / rates[k] for rates in found) for k in (0, 1))
    speeds = f"ours {ours:.1f}, alternative {alternative:.1f} frames/s"
    deviation = max(deviation for *_, deviation in found)
    print(f"training: ratio {ours / alternative:.2f} ({speeds}; deviation {deviation:.2g})")


if __name__ == "__main__":
    main()
