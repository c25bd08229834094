"""Maity 2024's group in params.yaml."""

from pipeline.parameter_types import (
    Averaging,
    Betas,
    LearningRate,
    PaperParameters,
    Positive,
    Rate,
    Schedule,
    Share,
    weights,
)


class WarmUp(Schedule):
    learning_rate: Rate


class Adversarial(Schedule):
    learning_rate: LearningRate


class Parameters(PaperParameters):
    size_step = 32

    width: Rate
    betas: Betas
    excerpt_frames: Positive
    batch: Positive
    augmentation: Share
    averaging: Averaging
    compose: bool
    weights: weights("mouth", "perceptual", "frame", "pair", "emotion", "change")
    warm_up: WarmUp
    adversarial: Adversarial
