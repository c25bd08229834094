"""The kinds of values that params.yaml holds; what `pipeline.parameters` and the papers' folders build their groups of."""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
Averaging = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]
Betas = Annotated[list[Share], Field(min_length=2, max_length=2)]


class Group(BaseModel):
    """Unknown keys are errors, and numbers are not guessed from strings."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class PaperParameters(Group):
    """What the group of every paper holds.

    faces: which of `faces` its systems see. init_from: folder of a trained system of the paper, whose networks the trainings go
    on from. size_step: their image_size has to be a multiple of it, for the networks' sake.
    """

    size_step: ClassVar[int] = 1
    faces: str
    init_from: str | None


class Schedule(Group):
    """How long a training, or a part of one, lasts: so many epochs; or steps, where a published number of epochs belongs to a
    corpus of another size."""

    epochs: Positive | None
    steps: Positive | None

    @model_validator(mode="after")
    def _one_of_both(self) -> "Schedule":
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("either epochs or steps is needed, and the other one empty")
        return self


class Training(Group):
    """What all trainings share: the machine that they run on."""

    device: Literal["auto", "cpu", "cuda"]
    devices: Positive
    precision: Literal["auto", "32-true", "bf16-mixed"]


class LearningRate(Group):
    generator: Rate
    discriminator: Rate


def weights(*terms: str) -> type[Group]:
    """A group of weights, one for each term of an objective; 0 removes a term."""
    return create_model("Weights", __base__=Group, **{term: (Weight, ...) for term in terms})
