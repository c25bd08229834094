"""Chen S. 2021's group in params.yaml."""

from pipeline.parameter_types import Averaging, Betas, Group, PaperParameters, Positive, Rate, Share, weights


class AudioToAU(Group):
    epochs: Positive
    learning_rate: Rate
    excerpt_frames: Positive
    batch: Positive


class AUClassifier(Group):
    epochs: Positive
    learning_rate: Rate
    frames: Positive
    batch: Positive


class Epochs(Group):
    without_discriminator: Positive
    with_discriminator: Positive


class Rates(Group):
    generator: Rate
    audio_to_au: Rate
    au_classifier: Rate
    discriminator: Rate


class EndToEnd(Group):
    au_features: bool
    compose: bool
    augmentation: Share
    averaging: Averaging
    excerpt_frames: Positive
    batch: Positive
    epochs: Epochs
    learning_rate: Rates
    weights: weights("reconstruction", "identity", "perceptual", "au", "adversarial", "change")


class Parameters(PaperParameters):
    size_step = 16

    width: Rate
    betas: Betas
    audio_to_au: AudioToAU
    au_classifier: AUClassifier
    end_to_end: EndToEnd
