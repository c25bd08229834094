"""Kesim & Erzin's group in params.yaml."""

from typing import Annotated

from pydantic import Field, model_validator

from pipeline.parameter_types import (
    Averaging,
    Betas,
    Group,
    LearningRate,
    PaperParameters,
    Positive,
    Rate,
    Share,
    weights,
)


class Row(Group):
    weights: weights("frame", "sequence", "feature_matching", "change")


class Parameters(PaperParameters):
    size_step = 32

    width: Rate
    context_frames: Annotated[int, Field(ge=0)]
    decision_every: Positive
    compose: bool
    augmentation: Share
    averaging: Averaging
    excerpt_frames: Positive | None
    epochs: Positive
    learning_rate: LearningRate
    betas: Betas
    speech_without_fm: Row
    speech: Row
    landmark: Row
    speech_landmark: Row

    @model_validator(mode="after")
    def _an_excerpt_is_judged(self) -> "Parameters":
        if self.excerpt_frames is not None and self.excerpt_frames < self.decision_every:
            raise ValueError(
                f"excerpt_frames ({self.excerpt_frames}) must be at least decision_every ({self.decision_every})"
            )
        return self
