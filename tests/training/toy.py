"""A training of a few numbers, small enough to be done by hand: what tests put through the runner."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam

from pipeline.parameter_types import Training
from pipeline.training.recipe import Phase, Recipe
from pipeline.training.runner import train
from pipeline.training.trained import WEIGHTS

TERMS = {"pixel": 1.0, "adversarial": 0.5, "taste": 0.25, "seen": 2.0}
RATES = {"generator": 1e-2, "discriminators": 5e-3}


class Numbers(NamedTuple):
    x: Tensor  # (8, 3)
    y: Tensor  # (8, 2)

    @property
    def n_frames(self) -> int:
        return len(self.x)


class Drawn(NamedTuple):
    """What is drawn comes with what else a generator may give."""

    y: Tensor  # (8, 2)
    hidden: Tensor  # (8, units)


@dataclass(frozen=True)
class Settings:
    units: int = 4
    dropout: float = 0.3  # draws from torch's generator of random numbers


class Generator(nn.Module):
    def __init__(self, s: Settings):
        super().__init__()
        self.settings = s
        self.body = nn.Sequential(nn.Linear(3, s.units), nn.Tanh(), nn.Dropout(s.dropout))
        self.head = nn.Linear(s.units, 2)

    def forward(self, x: Tensor) -> Drawn:
        hidden = self.body(x)
        return Drawn(self.head(hidden), hidden)


class Objective(nn.Module):
    """Two judges, and a frozen helper whose normalisation keeps running statistics."""

    judged_for = {"penalty": ("adversarial", "taste")}

    def __init__(self, s: Settings):
        super().__init__()
        self.generator, self.critic, self.taster = Generator(s), nn.Linear(2, 1), nn.Linear(2, 1)
        self.eye = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).requires_grad_(False)

    def generate(self, batch):
        return self.generator(batch.x)

    def discriminator_terms(self, batch, fake):
        return {
            "adversarial": lambda: F.softplus(self.critic(fake.y)).mean() + F.softplus(-self.critic(batch.y)).mean(),
            "taste": lambda: F.softplus(self.taster(fake.y)).mean() + F.softplus(-self.taster(batch.y)).mean(),
            "penalty": lambda: (self.critic(fake.y) + self.taster(fake.y)).square().mean(),
        }

    def generator_terms(self, batch, fake):
        return {
            "pixel": lambda: F.l1_loss(fake.y, batch.y),
            "adversarial": lambda: F.softplus(-self.critic(fake.y)).mean(),
            "taste": lambda: F.softplus(-self.taster(fake.y)).mean(),
            "seen": lambda: F.mse_loss(self.eye(fake.y), self.eye(batch.y)),
        }

    def validation_error(self, batch, fake):
        return F.l1_loss(fake.y, batch.y)


@dataclass
class NumberBatches:
    """n batches an epoch. trained: (seed, epoch) of all that were asked for. breaks: is called before each's last batch."""

    n: int = 3
    breaks: Callable[[int, int], None] = lambda seed, number: None
    trained: list[tuple[int, int]] = field(default_factory=list)

    def __len__(self) -> int:
        return self.n

    def epoch(self, seed, number):
        self.trained.append((seed, number))
        for k in range(self.n):
            if k == self.n - 1:
                self.breaks(seed, number)
            yield self.batch(np.random.default_rng([seed, number, k]))

    def validation(self, seed):
        yield self.batch(np.random.default_rng(seed))

    def batch(self, rng):
        x = torch.from_numpy(rng.normal(size=(8, 3)).astype(np.float32))
        return Numbers(x, x[:, :2].sin())


@dataclass
class Store:
    """Stands for a corpus."""

    preprocessing: dict = field(default_factory=lambda: {"fps": 25})
    files: str = "0123"

    def digest(self):
        return self.files


def phase(epochs=3, weights=TERMS, rates=RATES, start="best") -> Phase:
    return Phase(epochs, dict(weights), dict(rates), start)


def recipe(*phases: Phase, settings=Settings(), **changes) -> Recipe:
    """A recipe of those phases; changes: its other fields."""
    made = Recipe(
        parameters="toy",
        seed=7,
        store=Store(),
        batches=NumberBatches(),
        objective=lambda weights: Objective(settings),
        settings=settings,
        phases=phases or (phase(),),
        knobs={"betas": [0.9, 0.999]},
        optimizer=Adam,
    )
    return replace(made, **changes)


@dataclass
class Bench:
    """A folder in which recipes are followed."""

    folder: Path

    @property
    def out(self) -> Path:
        return self.folder / "trained" / "toy"

    @property
    def losses(self) -> pd.DataFrame:
        return pd.read_csv(self.folder / "losses.csv")

    def train(self, made: Recipe | Callable[[], Recipe], code: str = "code", precision: str = "32-true") -> Any:
        """Train; gives (seed, epoch) of the epochs that it took."""
        make = (lambda: made) if isinstance(made, Recipe) else made
        chosen = Training(device="cpu", devices=1, precision=precision)
        taken = made.batches.trained if isinstance(made, Recipe) else []
        taken.clear()
        train("toy", make, code, chosen, self.out, self.folder / "losses.csv", self.folder / "work")
        return list(taken)

    @property
    def left(self) -> dict[str, bytes]:
        """All that a training leaves, byte for byte."""
        return {path.name: path.read_bytes() for path in (*self.out.iterdir(), self.folder / "losses.csv")}

    @property
    def states(self) -> dict[str, dict]:
        """What a training that goes on would begin with, by the name of its file."""
        return {path.name: torch.load(path, weights_only=True) for path in (self.folder / "work").glob("*.pt")}

    @property
    def has_network(self) -> bool:
        return (self.out / WEIGHTS).exists()


def assert_equal(a: Any, b: Any) -> None:
    """Equal to the last digit, however deep."""
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_equal(a[key], b[key])
    elif isinstance(a, list):
        for x, y in zip(a, b, strict=True):
            assert_equal(x, y)
    elif torch.is_tensor(a):
        assert torch.equal(a, b)
    else:
        assert a == b
