"""The training loop of the end-to-end GANs: epochs over clips, checkpoints, resuming, losses for `dvc plots`."""

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import Tensor
from tqdm import tqdm

from pipeline.models.kesim_erzin import Clip, KesimErzin
from pipeline.parameters import KesimErzin as Schedule
from pipeline.training.checkpoints import save
from pipeline.training.data import TrainingClips


def fit(
    fabric: Fabric,
    memory_format: torch.memory_format,
    system: KesimErzin,
    clips: TrainingClips,
    schedule: Schedule,
    out: Path,
    losses: Path,
    description: dict,
    key: str,
) -> None:
    """Train a system and leave in `out` last.pt (to resume from) and best.pt (least validation error), and the losses as CSV.

    description: what best.pt says of the model. key: of everything that the training depends on but the number of epochs; a
    last.pt with another key, or one that has its epochs behind it, is not resumed from.
    """
    trained = _Trained(fabric, memory_format, system, schedule)
    state = {"epoch": 0, "best": float("inf"), "losses": []}
    trained.restore(out / "last.pt", key, state, schedule.epochs)
    for epoch in range(state["epoch"], schedule.epochs):
        # What follows depends on the seed and the epoch only: a resumed run is the same run.
        torch.manual_seed(clips.seed * 1_000_003 + epoch)
        started, means = time.perf_counter(), defaultdict(list)
        n_frames = 0
        for clip in tqdm(
            clips.epoch(epoch), f"epoch {epoch + 1}/{schedule.epochs}", len(clips.train), unit="clip", disable=None
        ):
            clip = _to_device(fabric, clip)
            fake, _ = system.generator(clip, len(clip.frames))
            terms = system.discriminator_terms(clip, fake.detach())
            trained.update_discriminators(terms)
            for name, value in terms.items():
                means[f"discriminator_{name}"].append(value.detach())
            with trained.frozen_discriminators():
                terms = system.generator_terms(clip, fake)
            trained.update_generator(terms, system.weights)
            for name, value in terms.items():
                means[f"generator_{name}"].append(value.detach())
            n_frames += len(clip.frames)
        rate = n_frames / (time.perf_counter() - started)
        error = validation_error(fabric, system, clips)
        row = {name: round(torch.stack(values).mean().item(), 6) for name, values in means.items()}
        state["losses"].append({"epoch": epoch + 1} | row | {"validation_error": round(error, 6)})
        state["epoch"] = epoch + 1
        if error < state["best"]:
            state["best"] = error
            save(
                out / "best.pt",
                {"generator": trained.generator_state(), "description": description, "epoch": epoch + 1},
            )
        trained.save(out / "last.pt", key, state)
        write_losses(losses, state["losses"])
        print(
            f"epoch {epoch + 1}: validation error {error:.4f} (best {state['best']:.4f}), {rate:.0f} frames/s",
            flush=True,
        )


class _Trained:
    """The networks with their optimisers, as the launcher wraps them."""

    def __init__(self, fabric: Fabric, memory_format: torch.memory_format, system: KesimErzin, schedule: Schedule):
        self.fabric = fabric
        system.to(memory_format=memory_format)
        rates, betas = schedule.learning_rate, tuple(schedule.betas)
        self.networks = {
            name: fabric.setup_module(network, move_to_device=True) for name, network in system.named_children()
        }
        for name, network in self.networks.items():
            setattr(system, name, network)
        generator = torch.optim.Adam(system.generator.parameters(), rates.generator, betas, fused=True)
        judges = [*system.frame_discriminator.parameters(), *system.sequence_discriminator.parameters()]
        discriminators = torch.optim.Adam(judges, rates.discriminator, betas, fused=True)
        self.optimizers = {
            "generator": fabric.setup_optimizers(generator),
            "discriminators": fabric.setup_optimizers(discriminators),
        }

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

    def generator_state(self) -> dict[str, Tensor]:
        return {name: value.cpu() for name, value in self.networks["generator"].module.state_dict().items()}

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


def _to_device(fabric: Fabric, clip: Clip) -> Clip:
    return Clip(*(x if x is None else fabric.to_device(x) for x in clip))


@torch.no_grad()
def validation_error(fabric: Fabric, system: KesimErzin, clips: TrainingClips) -> float:
    """Mean absolute error of the lower half of generated frames, where speech shows, over the validation clips (0 … 2)."""
    errors = []
    for clip in clips.validation_clips():
        clip = _to_device(fabric, clip)
        fake, _ = system.generator(clip, len(clip.frames))
        half = clip.frames.shape[2] // 2
        errors.append((fake - clip.frames)[:, :, half:].abs().mean())
    return torch.stack(errors).mean().item()


def write_losses(path: Path, losses: list[dict]) -> None:
    """One row per epoch; a column per term, unweighted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    pd.DataFrame(losses).to_csv(partial, index=False)
    os.replace(partial, path)
