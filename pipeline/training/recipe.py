"""What a training consists of: a recipe, which a paper's folder writes, and which `runner.train` follows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol

from torch import Tensor, nn
from torch.optim import Adam, Optimizer

if TYPE_CHECKING:  # who only draws by networks does without pandas and Pydantic, which take half a second to load
    from pipeline.parameter_types import Schedule
    from pipeline.training.data import ClipStore
    from pipeline.training.initial import Initial

# What a generator makes: frames, or a named tuple of them and of the maps that they were composed from, if they were.
Fake = Tensor | tuple[Tensor | None, ...]
# Losses by name, each a function, so that only those that are wanted are computed.
Terms = dict[str, Callable[[], Tensor]]


FUSED_ADAM = partial(Adam, fused=True)


class Batch(Protocol):
    """A NamedTuple of tensors, or None where a system has no such input."""

    n_frames: int


class Batches(Protocol):
    """What is learned from: `len()` batches an epoch, which depend on the seed and the epoch's number only."""

    def __len__(self) -> int: ...
    def epoch(self, seed: int, number: int) -> Iterator[Batch]: ...
    def validation(self, seed: int) -> Iterator[Batch]: ...


class Objective(Protocol):
    """A module whose children are networks: `generator`, those that judge what it makes, and frozen ones that help to.

    Terms come unweighted, by name. judged_for: by a discriminator's term the generator's terms that it is there for, where that
    is not just the one of its name; without any of them in the objective it is not computed.
    """

    generator: nn.Module
    judged_for: dict[str, tuple[str, ...]]

    def generate(self, batch: Batch) -> Fake: ...
    def discriminator_terms(self, batch: Batch, fake: Fake) -> Terms: ...
    def generator_terms(self, batch: Batch, fake: Fake) -> Terms: ...
    def validation_error(self, batch: Batch, fake: Fake) -> Tensor: ...


@dataclass(frozen=True)
class Phase:
    """Epochs with the same losses and rates.

    weights: of the generator's terms; one whose weight is 0 is not computed. rates: learning rates by network, or by a part of
    one ("generator.audio_to_au"); "discriminators" stands for all that have none of their own. start: which networks of the
    phase before it goes on from, the generator of the least validation error, or all of them as they were at the end, of the
    generator its mean, where one is taken. steps: of all epochs together, at which the last one ends; None = all are whole.
    """

    epochs: int
    weights: dict[str, float]
    rates: dict[str, float]
    start: Literal["best", "last"] = "best"
    steps: int | None = None

    @classmethod
    def of(cls, lasting: "Schedule", batches: Batches, *args: Any, **kwargs: Any) -> "Phase":
        """With as many epochs as parameters say, or as their steps take with these batches."""
        return cls(lasting.epochs or -(-lasting.steps // len(batches)), *args, steps=lasting.steps, **kwargs)


@dataclass(frozen=True)
class Recipe:
    """store, batches: what is learned from. objective: weights → networks as training finds them, with their losses.

    settings: a dataclass, what the generator is built from. knobs: the parameters that the result depends on beside those in
    phases and settings. about: what else the trained network is to say of itself. half_rate: steps after which the learning
    rate is half of what it began with, and after twice as many a third; None = it stays. precision: where not
    `training.precision`. averaging: share that a running mean of the generator's weights keeps of itself with every step. The
    mean is what is validated and left; 0 = there is none. parameters: where in params.yaml the learning rates and weights
    stand. keep: the network of the epoch with the least validation error, or of the last one, where that error does not say
    what the network is for. initial: the network that the first phase begins with; None = as the
    objective makes it.
    """

    parameters: str
    seed: int
    store: "ClipStore"
    batches: Batches
    objective: Callable[[dict[str, float]], Objective]
    settings: Any
    phases: tuple[Phase, ...]
    knobs: dict[str, Any]
    about: dict[str, Any] = field(default_factory=dict)
    optimizer: Callable[..., Optimizer] = FUSED_ADAM
    keep: Literal["best", "last"] = "best"
    half_rate: int | None = None
    precision: str | None = None
    averaging: float = 0
    initial: "Initial | None" = None


class NothingToLearn(Exception):
    """A corpus without what a training needs: it is skipped with this reason, and what comes after it goes on without."""
