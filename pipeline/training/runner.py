"""The one way to train: `train` follows a recipe phase by phase, `fit` a phase epoch by epoch, `learn` an epoch step by step.

What an interrupted training goes on from lies outside its outputs, one file a phase, named by the key of all that the phase
depends on but its number of epochs. A training that has its epochs behind it gives its network again without training.
"""

import hashlib
import json
import math
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from pipeline.errors import UserError
from pipeline.parameter_types import Training
from pipeline.training.data import ahead
from pipeline.training.machine import Machine, machine_for
from pipeline.training.ranks import average_gradients, mean_over_ranks, own_batches
from pipeline.training.recipe import Batch, Fake, NothingToLearn, Objective, Phase, Recipe, Terms
from pipeline.training.trained import fields_of, save_network, save_reason

# What a phase has come to: "epoch", "losses" (a row for each), "best" (error, epoch, generator's weights); and, once it is on
# disk, "networks" and "optimizers" as they were then, and the "mean" of the generator's weights, where one is taken.
State = dict[str, Any]
# Files of so many phases are kept, those used last: going back to one of them goes on from it.
KEPT = 4
# Between the seeds of what ranks draw in an epoch.
RANKS_APART = 1_000_000_007


def train(
    name: str, make: Callable[[], Recipe], code: str, chosen: Training, out: Path, losses: Path, work: Path
) -> None:
    """Train what a recipe describes; leaves the network in `out`, and the losses of all phases as a table in `losses`.

    make: gives the recipe; where it raises NothingToLearn, `out` holds the reason. code: fingerprint of what the result
    depends on. chosen: the machine. work: the folder of what an interrupted training goes on from. Raises UserError where
    training comes to nothing.
    """
    # A training that comes to nothing leaves nothing older in its place.
    shutil.rmtree(out, ignore_errors=True)
    losses.unlink(missing_ok=True)
    try:
        recipe = make()
    except NothingToLearn as reason:
        save_reason(out, str(reason))
        write_losses(losses, [])
        print(f"{name}: skipped: {reason}")
        return
    if recipe.initial:
        recipe.initial.check(recipe.settings, recipe.store.preprocessing, recipe.store.faces)
    if not any(recipe.phases[0].weights.values()):
        where = f"params.yaml: {recipe.parameters}.weights"
        raise UserError(
            f"{where}: no term that training starts with has a weight, so that there is nothing to begin with"
        )
    machine = machine_for(chosen.device, recipe.precision or chosen.precision)
    key, state, rows, writes = _key_of_all(recipe, code, machine), None, [], machine.fabric.is_global_zero
    for number, phase in enumerate(recipe.phases):
        key = _digest(key, number, phase.weights, phase.rates, phase.start, phase.steps)
        report = partial(_report, losses if writes else None, rows, number + 1)
        state = fit(machine, recipe, number, state, work / f"{key}.pt", report)
        rows = report(state["losses"])
        # What comes after depends on how long this phase was, too.
        key = _digest(key, phase.epochs)
    if not writes:
        return
    last = recipe.phases[-1]
    kept = state["best"]
    if recipe.keep == "last":
        kept = {"epoch": state["epoch"], "generator": _ended_with(state)}
    about = {
        "training": name,
        "settings": fields_of(recipe.settings),
        "preprocessing": recipe.store.preprocessing,
        "parameters": recipe.knobs
        | {"weights": last.weights, "rates": last.rates, "epochs": last.epochs, "steps": last.steps},
        "epoch": kept["epoch"],
        "key": _digest(key, recipe.keep),
        **recipe.about,
        **({"initial": recipe.initial.origin} if recipe.initial else {}),
    }
    save_network(out, kept["generator"], about)
    for old in sorted(work.glob("*"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
        old.unlink()


def fit(
    machine: Machine, recipe: Recipe, number: int, before: State | None, path: Path, report: Callable[[list[dict]], Any]
) -> State:
    """Train through one of the recipe's phases, and return what it has come to.

    before: what the phase before it has come to. path: the file that holds the state after every epoch, and from which an
    interrupted training goes on. report: is given the losses, a row for each of the phase's epochs so far.
    """
    phase, seed, fabric = recipe.phases[number], recipe.seed + number, machine.fabric
    state = _kept(path, phase.epochs)
    if state["epoch"] == phase.epochs:
        return state
    torch.manual_seed(seed)
    objective = recipe.objective(phase.weights)
    if before:
        _start_from(objective, before, phase.start)
    elif recipe.initial:
        recipe.initial.load_into(objective.generator)
    networks = Networks(machine, objective, recipe, phase)
    try:
        networks.restore(state)
    except (KeyError, RuntimeError, ValueError) as error:
        what = " ".join(str(error).split())[:120]
        raise UserError(f"{path} is of another version ({what}); remove it and run again") from error
    for epoch in range(state["epoch"], phase.epochs):
        # What follows depends on the seed and the epoch only: a resumed run is the same run.
        torch.manual_seed((seed * 1_000_003 + epoch) + RANKS_APART * fabric.global_rank)
        title = f"epoch {epoch + 1}/{phase.epochs}"
        n_batches = len(recipe.batches)
        if phase.steps:
            n_batches = min(n_batches, phase.steps - epoch * n_batches)
        drawn = ahead(own_batches(fabric, islice(recipe.batches.epoch(seed, epoch), n_batches)))
        silent = None if fabric.is_global_zero else True
        batches = tqdm(drawn, title, -(-n_batches // fabric.world_size), unit="batch", disable=silent)
        with room_for_steps(epoch + 1, recipe):
            terms, rate = learn(objective, networks, phase, batches)
        terms = {name: mean_over_ranks(fabric, values) for name, values in terms.items()}
        check_finite(terms, epoch + 1, recipe)
        with networks.averaged(), room_for_steps(epoch + 1, recipe):
            error = validation_error(fabric, recipe, objective, seed)
            check_finite({"validation_error": torch.tensor([error])}, epoch + 1, recipe)
            if error < state["best"]["error"]:
                state["best"] = {"error": error, "epoch": epoch + 1, "generator": networks.weights("generator")}
        row = {name: values.mean().item() for name, values in terms.items()} | {"validation_error": error}
        state["losses"].append({"epoch": epoch + 1} | {name: float(f"{value:.6g}") for name, value in row.items()})
        state["epoch"] = epoch + 1
        networks.save(path, state)
        report(state["losses"])
        best = state["best"]["error"]
        rate *= fabric.world_size
        print(f"{title}: validation error {error:.4f} (best {best:.4f}), {rate:.0f} frames/s", flush=True)
    fabric.barrier()  # until it is written
    return _read(path)


def learn(
    objective: Objective, networks: "Networks", phase: Phase, batches: Iterable[Batch]
) -> tuple[dict[str, Tensor], float]:
    """An epoch: with every batch a step of what judges, then one of the generator.

    Returns each term, unweighted, by its name in tables of losses: (batches,); and frames per second.
    """
    started, n_frames, values = time.perf_counter(), 0, defaultdict(list)
    networks.train()
    for batch in batches:
        batch = to_device(networks.fabric, batch)
        fake = objective.generate(batch)
        judged = computed(objective.discriminator_terms(batch, detached(fake)), partial(serves, objective, phase))
        networks.step("discriminators", judged)
        with networks.frozen_discriminators():
            drawn = computed(objective.generator_terms(batch, fake), phase.weights.get)
        networks.step("generator", drawn, phase.weights)
        for name, value in (prefixed("discriminator", judged) | prefixed("generator", drawn)).items():
            values[name].append(value.detach())
        n_frames += batch.n_frames
    terms = {name: torch.stack(of_batches) for name, of_batches in values.items()}
    return terms, n_frames / (time.perf_counter() - started)


class Networks:
    """An objective's networks with their optimisers, as the launcher wraps them. Frozen ones have none."""

    def __init__(self, machine: Machine, objective: Objective, recipe: Recipe, phase: Phase):
        self.fabric, self.trained, self.frozen = machine.fabric, {}, {}
        optimizers = _optimizers(objective, recipe, phase)
        for name, network in list(objective.named_children()):
            is_trained = any(parameter.requires_grad for parameter in network.parameters())
            if is_trained:
                network.to(memory_format=machine.memory_format)
            wrapped = self.fabric.setup_module(network, move_to_device=True)
            setattr(objective, name, wrapped)
            (self.trained if is_trained else self.frozen)[name] = wrapped
        self.optimizers = {name: self.fabric.setup_optimizers(optimizer) for name, optimizer in optimizers.items()}
        self.mean = None
        if recipe.averaging:
            keep_most = get_ema_multi_avg_fn(recipe.averaging)
            self.mean = AveragedModel(self.trained["generator"].module, multi_avg_fn=keep_most, use_buffers=True)

    def train(self) -> None:
        """Training mode; not of frozen networks, whose running statistics it would move."""
        for network in self.trained.values():
            network.train()
        for network in self.frozen.values():
            network.eval()

    def step(self, which: str, terms: dict[str, Tensor], weights: dict[str, float] | None = None) -> None:
        """One step of the generator or of the discriminators down the sum of its terms, weighted where they have weights."""
        if not terms:
            return
        optimizer = self.optimizers[which]
        optimizer.zero_grad()
        self.fabric.backward(sum(weights[name] * value if weights else value for name, value in terms.items()))
        average_gradients(self.fabric, (p for group in optimizer.param_groups for p in group["params"]))
        optimizer.step()
        if self.mean and which == "generator":
            self.mean.update_parameters(self.trained["generator"].module)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """While the generator is validated and kept: it has the mean of its weights, where one is taken."""
        if not self.mean:
            yield
            return
        generator, own = self.trained["generator"].module, self.weights("generator")
        generator.load_state_dict(self.mean.module.state_dict())
        try:
            yield
        finally:
            generator.load_state_dict(own)

    @contextmanager
    def frozen_discriminators(self) -> Iterator[None]:
        """While the generator is judged: gradients go through the discriminators, and none are computed for them."""
        judges = [network for name, network in self.trained.items() if name != "generator"]
        learning = [p for network in judges for p in network.parameters() if p.requires_grad]
        for parameter in learning:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in learning:
                parameter.requires_grad_(True)

    def weights(self, name: str) -> dict[str, Tensor]:
        """A copy of a network's weights, on the CPU."""
        return {key: value.detach().cpu().clone() for key, value in self.trained[name].module.state_dict().items()}

    def save(self, path: Path, state: State) -> None:
        """Write all that the training goes on from; the file appears whole. The first rank's normalisations are kept."""
        if not self.fabric.is_global_zero:
            return
        networks = {name: network.module.state_dict() for name, network in self.trained.items()}
        optimizers = {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()}
        mean = {"mean": self.mean.state_dict()} if self.mean else {}
        path.parent.mkdir(parents=True, exist_ok=True)
        partial_path = path.with_suffix(".partial")
        try:
            with partial_path.open("wb") as file:  # torch's own does not say that a disk is full
                torch.save(state | {"networks": networks, "optimizers": optimizers} | mean, file)
        except OSError:
            partial_path.unlink()
            raise
        os.replace(partial_path, path)

    def restore(self, state: State) -> None:
        """Go on from where a saved state left off, if it is one."""
        for name, weights in state.get("networks", {}).items():
            self.trained[name].module.load_state_dict(weights)
        for name, steps in state.get("optimizers", {}).items():
            self.optimizers[name].load_state_dict(steps)
        if "mean" in state:
            self.mean.load_state_dict(state["mean"])


def computed(terms: Terms, wanted: Callable[[str], Any]) -> dict[str, Tensor]:
    """Those of the terms that are wanted, in their order."""
    return {name: term() for name, term in terms.items() if wanted(name)}


def serves(objective: Objective, phase: Phase, term: str) -> bool:
    """Whether a discriminator's term serves one of the generator's that has a weight."""
    return any(phase.weights[name] for name in objective.judged_for.get(term, (term,)))


def detached(fake: Fake) -> Fake:
    """The same without its history: what the discriminators learn from is not traced back into the generator."""
    if isinstance(fake, Tensor):
        return fake.detach()
    return type(fake)(*(x if x is None else x.detach() for x in fake))


def to_device(fabric: Fabric, batch: Batch) -> Batch:
    """The batch where the networks are."""
    return type(batch)(*(x if x is None else fabric.to_device(x) for x in batch))


@torch.no_grad()
def validation_error(fabric: Fabric, recipe: Recipe, objective: Objective, seed: int) -> float:
    """The objective's own error, mean over the validation batches."""
    objective.eval()
    errors = [torch.zeros((), device=fabric.device)]
    for batch in islice(recipe.batches.validation(seed), fabric.global_rank, None, fabric.world_size):
        batch = to_device(fabric, batch)
        errors.append(objective.validation_error(batch, objective.generate(batch)))
    summed = torch.stack([torch.stack(errors).sum(), torch.tensor(len(errors) - 1.0, device=fabric.device)])
    total, n_batches = mean_over_ranks(fabric, summed)
    return (total / n_batches).item()


def check_finite(terms: dict[str, Tensor], epoch: int, recipe: Recipe) -> None:
    """Raises UserError where one of an epoch's terms (batches,) is not finite, naming what to lower.

    And the term that went first: after its step all are lost.
    """
    lost = {name: int(bad.int().argmax()) for name, values in terms.items() if (bad := ~values.isfinite()).any()}
    if lost:
        name = min(lost, key=lost.get)
        value = terms[name][lost[name]].item()
        weight = f" or the weight of {name.partition('_')[2]}" if name.startswith("generator_") else ""
        lower = f"lower the learning rate{weight} in params.yaml, {recipe.parameters}"
        raise UserError(f"{name} is {value} in epoch {epoch}: training has diverged; {lower}")


@contextmanager
def room_for_steps(epoch: int, recipe: Recipe) -> Iterator[None]:
    """Raises UserError where memory does not suffice for an epoch's steps, naming what makes them smaller."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # Of the CPU's memory torch says it in words only.
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        sizes = [name for name in ("batch", "excerpt_frames", "frames") if recipe.knobs.get(name, 1) != 1]
        sizes += [name for name in ("width", "units") if hasattr(recipe.settings, name)]
        group = recipe.parameters.partition(".")[0]
        lower = f"lower {' or '.join(sizes)} in params.yaml, {group}, or free memory and run again"
        raise UserError(f"out of memory in epoch {epoch}: {lower}; the epochs before are kept") from error


def prefixed(prefix: str, terms: dict[str, Tensor]) -> dict[str, Tensor]:
    """Terms by the names that they have in tables of losses."""
    return {f"{prefix}_{name}": value for name, value in terms.items()}


def write_losses(path: Path, rows: list[dict]) -> None:
    """One row per epoch; a column per term, unweighted, empty in phases without it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_path = path.with_suffix(".partial")
    table = pd.DataFrame(rows) if rows else pd.DataFrame(columns=["phase", "epoch", "validation_error"])
    table.to_csv(partial_path, index=False)
    os.replace(partial_path, path)


def _report(path: Path | None, before: list[dict], phase: int, losses: list[dict]) -> list[dict]:
    """Write and return the rows of the phases before and of this one, whose epochs are counted on. path: None = unwritten."""
    rows = [*before, *({"phase": phase} | row | {"epoch": row["epoch"] + len(before)} for row in losses)]
    if path:
        write_losses(path, rows)
    return rows


def _kept(path: Path, epochs: int) -> State:
    """What the file says that the phase has come to; a beginning, where there is none, or it has more epochs behind it."""
    state = _read(path)
    if not state or state.get("epoch", math.inf) > epochs:
        return {"epoch": 0, "losses": [], "best": {"error": math.inf}}
    path.touch()  # one of those used last
    done = "all" if state["epoch"] == epochs else f"{state['epoch']} of"
    print(f"{done} {epochs} epochs are done already")
    return state


def _read(path: Path) -> State | None:
    """The state in a file, on the CPU; None where there is none that can be read."""
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds
        print(f"{path} cannot be read ({type(error).__name__}): its epochs are trained again")
        return None


def _ended_with(state: State) -> dict[str, Tensor]:
    """The generator as a phase ended: the mean of its weights, where one is taken."""
    if "mean" not in state:
        return state["networks"]["generator"]
    of_module = "module."
    return {name.removeprefix(of_module): x for name, x in state["mean"].items() if name.startswith(of_module)}


def _start_from(objective: Objective, before: State, start: str) -> None:
    """Either way with the generator that the phase before would leave if it were the last: a mean does not begin anew with
    weights that are worse."""
    if start == "best":
        networks = {"generator": before["best"]["generator"]}
    else:
        networks = before["networks"] | {"generator": _ended_with(before)}
    for name, weights in networks.items():
        getattr(objective, name).load_state_dict(weights)


def _optimizers(objective: Objective, recipe: Recipe, phase: Phase) -> dict[str, Optimizer]:
    """One for the generator, and one for all that judge it, if anything does."""
    groups: dict[str, dict[float, list[nn.Parameter]]] = {
        "generator": defaultdict(list),
        "discriminators": defaultdict(list),
    }
    for name, parameter in objective.named_parameters():
        if parameter.requires_grad:
            which = "generator" if name.startswith("generator.") else "discriminators"
            groups[which][_rate(name, phase.rates)].append(parameter)
    optimizers = {}
    for which, by_rate in groups.items():
        if by_rate:
            of_rates = [{"params": parameters, "lr": rate} for rate, parameters in by_rate.items()]
            optimizers[which] = recipe.optimizer(of_rates)
            if recipe.half_rate:
                optimizers[which].register_step_post_hook(partial(_slow_down, list(by_rate), recipe.half_rate))
    return optimizers


def _rate(parameter: str, rates: dict[str, float]) -> float:
    """The rate of the longest of the names that the parameter's begins with."""
    names = [name for name in rates if parameter.startswith(f"{name}.")]
    return rates[max(names, key=len)] if names else rates["discriminators"]


def _slow_down(rates: list[float], half_rate: int, optimizer: Optimizer, *_) -> None:
    """Let the learning rates fall with the number of steps, which a resumed optimiser knows."""
    steps = next(iter(optimizer.state.values()))["step"].item()
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate / (1 + steps / half_rate)


def _key_of_all(recipe: Recipe, code: str, machine: Machine) -> str:
    """A fingerprint of what all phases depend on."""
    made_with = [recipe.seed, recipe.knobs, fields_of(recipe.settings), recipe.about, recipe.store.preprocessing]
    made_with += [recipe.initial.digest] if recipe.initial else []
    arithmetic = [machine.fabric.device.type, machine.fabric.strategy.precision.precision]
    return _digest(code, made_with, arithmetic, recipe.store.digest())


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
