"""Sinha 2020's group in params.yaml."""

from typing import Annotated

from pydantic import Field

from pipeline.parameter_types import Averaging, Betas, Group, PaperParameters, Positive, Rate, Share, weights

Variance = Annotated[float, Field(gt=0, lt=1)]


class AudioToLandmark(Group):
    epochs: Positive
    learning_rate: Rate
    excerpt_frames: Positive
    balance: Share
    averaging: Averaging
    variance: Variance
    weights: weights("landmark", "temporal")


class Blink(Group):
    units: Positive
    variance: Variance
    steps: Annotated[int, Field(ge=2)]
    batch: Annotated[int, Field(ge=2)]
    steps_per_epoch: Positive
    epochs: Positive
    learning_rate: Rate
    betas: Betas
    averaging: Averaging
    weights: weights("mmd", "range")


class LandmarkToTexture(Group):
    epochs: Positive
    learning_rate: Rate
    excerpt_frames: Positive
    balance: Share
    augmentation: Share
    averaging: Averaging
    predicted: Share
    weights: weights("pixel", "adversarial", "regularisation")


class Parameters(PaperParameters):
    size_step = 4

    width: Rate
    betas: Betas
    audio_to_landmark: AudioToLandmark
    blink: Blink
    landmark_to_texture: LandmarkToTexture
