"""The four systems of Kesim & Erzin in use."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from pipeline.features.heatmap import landmark_heatmaps
from pipeline.features.windows import columns_per_frame, mel_windows
from pipeline.models.kesim_erzin import Clip, Generator
from pipeline.systems.system import Drawn, Driving, System, pieces
from pipeline.training.data import heatmaps_to_tensor, images_to_tensor, tensor_to_images
from pipeline.training.kesim_erzin import load as load_generator
from pipeline.training.kesim_erzin import noise_vector


def load(name: str, data: Path) -> System:
    """One of the paper's systems, as trained in `data`. Raises UserError where it is not."""
    generator, description = load_generator(data / "end_to_end" / name)
    settings, how = generator.settings, description["preprocessing"]
    needs = {"mel": settings.speech, "landmarks": settings.landmarks}
    needed = frozenset(field for field, wanted in needs.items() if wanted)
    return System(name, needed, settings.image_size, how, partial(frames, generator, how))


@torch.inference_mode()
def frames(generator: Generator, how: dict, photo: np.ndarray, driving: Driving, seed: int) -> Iterator[Drawn]:
    """See System.frames. The seed is that of the noise vector."""
    settings, windows, reference_heatmap = generator.settings, None, None
    size, sigma = settings.image_size, how["sigma"]
    if settings.speech:
        audio = how["audio_features"]
        columns = columns_per_frame(audio["sample_rate"], audio["window_ms"], how["fps"])
        windows = mel_windows(driving.mel, driving.n_frames, columns, how["context_frames"])
    if settings.landmarks:
        reference_heatmap = heatmaps_to_tensor(landmark_heatmaps(driving.photo_landmarks[None], size, sigma))[0]
    reference = images_to_tensor(photo[None])[0]
    noise, state = noise_vector(seed), None
    for span in pieces(driving.n_frames):
        mel, heatmaps = None, None
        if settings.speech:
            mel = torch.from_numpy(windows[span].copy())
        if settings.landmarks:
            heatmaps = heatmaps_to_tensor(landmark_heatmaps(driving.landmarks[span], size, sigma))
        clip = Clip(reference, noise, mel=mel, heatmaps=heatmaps, reference_heatmap=reference_heatmap)
        images, state = generator(clip, span.stop - span.start, state)
        yield from map(Drawn, tensor_to_images(images))
