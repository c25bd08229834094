"""Maity 2024's group in params.yaml."""

from pipeline.parameter_types import Betas, Group, LearningRate, Positive, Rate, Share, weights


class WarmUp(Group):
    epochs: Positive
    learning_rate: Rate


class Adversarial(Group):
    epochs: Positive
    learning_rate: LearningRate


class Parameters(Group):
    width: Rate
    betas: Betas
    excerpt_frames: Positive
    batch: Positive
    augmentation: Share
    weights: weights("mouth", "perceptual", "frame", "pair", "emotion")
    warm_up: WarmUp
    adversarial: Adversarial
