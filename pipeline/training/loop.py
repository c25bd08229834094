"""The training loop of all systems: epochs over batches, checkpoints, resuming, losses for `dvc plots`."""

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm import tqdm

from pipeline.training.checkpoints import save

# What a generator makes: frames, or a named tuple of them and the maps that they were composed from.
Fake = Tensor | tuple[Tensor, ...]


class Batch(Protocol):
    """A NamedTuple of tensors, or None where a system has no such input."""

    n_frames: int


class Batches(Protocol):
    """What a system is trained on: `len()` batches an epoch, which depend on the seed and the epoch's number only."""

    seed: int

    def __len__(self) -> int: ...
    def epoch(self, number: int) -> Iterator[Batch]: ...
    def validation(self) -> Iterator[Batch]: ...


class System(Protocol):
    """A module whose children are its networks: `generator`, and those that judge what it makes, if any.

    weights: of the generator's terms; one whose weight is 0 is not computed. Terms come unweighted, by name.
    """

    generator: nn.Module
    weights: dict[str, float]

    def generate(self, batch: Batch) -> Fake: ...
    def discriminator_terms(self, batch: Batch, fake: Fake) -> dict[str, Tensor]: ...
    def generator_terms(self, batch: Batch, fake: Fake) -> dict[str, Tensor]: ...
    def validation_error(self, batch: Batch, fake: Fake) -> Tensor: ...


def fit(
    fabric: Fabric,
    memory_format: torch.memory_format,
    system: System,
    optimizers: dict[str, Optimizer],
    batches: Batches,
    epochs: int,
    out: Path,
    losses: Path,
    description: dict,
    key: str,
) -> None:
    """Train a system and leave in `out` last.pt (to resume from) and best.pt (least validation error), and the losses as CSV.

    optimizers: "generator", and "discriminators" where something judges. description: what best.pt says of the model. key: of
    everything that the training depends on but the number of epochs; a last.pt with another key, or one that has its epochs
    behind it, is not resumed from.
    """
    trained = _Trained(fabric, memory_format, system, optimizers)
    state = {"epoch": 0, "best": float("inf"), "losses": []}
    trained.restore(out / "last.pt", key, state, epochs)
    for epoch in range(state["epoch"], epochs):
        # What follows depends on the seed and the epoch only: a resumed run is the same run.
        torch.manual_seed(batches.seed * 1_000_003 + epoch)
        started, means, n_frames = time.perf_counter(), defaultdict(list), 0
        system.train()
        progress = tqdm(batches.epoch(epoch), f"epoch {epoch + 1}/{epochs}", len(batches), unit="batch", disable=None)
        for batch in progress:
            batch = to_device(fabric, batch)
            fake = system.generate(batch)
            terms = system.discriminator_terms(batch, detached(fake))
            trained.update_discriminators(terms)
            for name, value in terms.items():
                means[f"discriminator_{name}"].append(value.detach())
            with trained.frozen_discriminators():
                terms = system.generator_terms(batch, fake)
            trained.update_generator(terms, system.weights)
            for name, value in terms.items():
                means[f"generator_{name}"].append(value.detach())
            n_frames += batch.n_frames
        rate = n_frames / (time.perf_counter() - started)
        error = validation_error(fabric, system, batches)
        row = {name: float(f"{torch.stack(values).mean().item():.6g}") for name, values in means.items()}
        state["losses"].append({"epoch": epoch + 1} | row | {"validation_error": float(f"{error:.6g}")})
        state["epoch"] = epoch + 1
        if error < state["best"]:
            state["best"] = error
            generator = {name: value.cpu() for name, value in trained.networks["generator"].module.state_dict().items()}
            save(out / "best.pt", {"generator": generator, "description": description, "epoch": epoch + 1})
        trained.save(out / "last.pt", key, state)
        write_losses(losses, state["losses"])
        print(
            f"epoch {epoch + 1}: validation error {error:.4f} (best {state['best']:.4f}), {rate:.0f} frames/s",
            flush=True,
        )


class _Trained:
    """The networks with their optimisers, as the launcher wraps them."""

    def __init__(
        self, fabric: Fabric, memory_format: torch.memory_format, system: System, optimizers: dict[str, Optimizer]
    ):
        self.fabric = fabric
        system.to(memory_format=memory_format)
        self.networks = {
            name: fabric.setup_module(network, move_to_device=True) for name, network in system.named_children()
        }
        for name, network in self.networks.items():
            setattr(system, name, network)
        self.optimizers = {name: fabric.setup_optimizers(optimizer) for name, optimizer in optimizers.items()}

    @contextmanager
    def frozen_discriminators(self) -> Iterator[None]:
        """While the generator is judged: gradients go through the discriminators, and none are computed for them."""
        judges = [p for name, network in self.networks.items() if name != "generator" for p in network.parameters()]
        for parameter in judges:
            parameter.requires_grad_(False)
        yield
        for parameter in judges:
            parameter.requires_grad_(True)

    def update_discriminators(self, terms: dict[str, Tensor]) -> None:
        if terms:
            self._step("discriminators", sum(terms.values()))

    def update_generator(self, terms: dict[str, Tensor], weights: dict[str, float]) -> None:
        self._step("generator", sum(weights[name] * value for name, value in terms.items()))

    def _step(self, which: str, loss: Tensor) -> None:
        optimizer = self.optimizers[which]
        optimizer.zero_grad()
        self.fabric.backward(loss)
        optimizer.step()

    def save(self, path: Path, key: str, state: dict) -> None:
        networks = {name: network.module.state_dict() for name, network in self.networks.items()}
        optimizers = {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()}
        save(path, {"key": key, "networks": networks, "optimizers": optimizers, "state": state})

    def restore(self, path: Path, key: str, state: dict, epochs: int) -> None:
        if not path.exists():
            return
        saved = torch.load(path, map_location=self.fabric.device, weights_only=True)
        if saved["key"] != key or saved["state"]["epoch"] >= epochs:
            return
        for name, network in self.networks.items():
            network.module.load_state_dict(saved["networks"][name])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(saved["optimizers"][name])
        state.update(saved["state"])
        print(f"resuming after epoch {state['epoch']}")


def to_device(fabric: Fabric, batch: Batch) -> Batch:
    return type(batch)(*(x if x is None else fabric.to_device(x) for x in batch))


def detached(fake: Fake) -> Fake:
    """The same without its history: what the discriminators learn from is not traced back into the generator."""
    return fake.detach() if isinstance(fake, Tensor) else type(fake)(*(x.detach() for x in fake))


@torch.no_grad()
def validation_error(fabric: Fabric, system: System, batches: Batches) -> float:
    """The system's own error, mean over the validation batches."""
    system.eval()
    errors = []
    for batch in batches.validation():
        batch = to_device(fabric, batch)
        errors.append(system.validation_error(batch, system.generate(batch)))
    return torch.stack(errors).mean().item()


def write_losses(path: Path, losses: list[dict]) -> None:
    """One row per epoch; a column per term, unweighted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    pd.DataFrame(losses).to_csv(partial, index=False)
    os.replace(partial, path)
