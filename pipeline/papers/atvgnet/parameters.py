"""ATVGnet's group in params.yaml."""

from typing import Annotated

from pydantic import Field

from pipeline.parameter_types import Betas, Group, Positive, Rate, weights


class AudioToLandmark(Group):
    boost: Annotated[list[float], Field(min_length=1)]
    epochs: Positive
    learning_rate: Rate
    excerpt_frames: Positive
    batch: Positive


class LandmarkToTexture(Group):
    epochs: Positive
    excerpts: Positive
    learning_rate: Rate
    excerpt_frames: Positive
    batch: Positive
    dynamic: bool
    weights: weights("pixel", "sequence", "landmark")


class Parameters(Group):
    width: Rate
    betas: Betas
    audio_to_landmark: AudioToLandmark
    landmark_to_texture: LandmarkToTexture
