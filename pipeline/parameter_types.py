"""The kinds of values that params.yaml holds; what `pipeline.parameters` and the papers' folders build their groups of."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]
Betas = Annotated[list[Share], Field(min_length=2, max_length=2)]


class Group(BaseModel):
    """Unknown keys are errors, and numbers are not guessed from strings."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Training(Group):
    """What all trainings share: the machine that they run on."""

    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["auto", "32-true", "bf16-mixed"]


class LearningRate(Group):
    generator: Rate
    discriminator: Rate


def weights(*terms: str) -> type[Group]:
    """A group of weights, one for each term of an objective; 0 removes a term."""
    return create_model("Weights", __base__=Group, **{term: (Weight, ...) for term in terms})
