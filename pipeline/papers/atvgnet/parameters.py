"""ATVGnet's group in params.yaml."""

from typing import Annotated

from pydantic import Field

from pipeline.parameter_types import Averaging, Betas, PaperParameters, Positive, Rate, Schedule, Share, weights


class AudioToLandmark(Schedule):
    boost: Annotated[list[float], Field(min_length=1)]
    learning_rate: Rate
    excerpt_frames: Positive
    batch: Positive


class LandmarkToTexture(Schedule):
    excerpts: Positive
    learning_rate: Rate
    excerpt_frames: Positive
    batch: Positive
    augmentation: Share
    averaging: Averaging
    dynamic: bool
    predicted: Share
    weights: weights("pixel", "sequence", "landmark")


class Parameters(PaperParameters):
    size_step = 32

    width: Rate
    betas: Betas
    audio_to_landmark: AudioToLandmark
    landmark_to_texture: LandmarkToTexture
