"""The four systems of Kesim & Erzin in use."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

from pipeline.blocks.images import heatmaps_to_tensor, images_to_tensor
from pipeline.features.heatmap import landmark_heatmaps
from pipeline.features.smoothing import averaged
from pipeline.features.windows import columns_per_frame, mel_windows
from pipeline.papers.images import drawn
from pipeline.papers.interface import Drawn, Driving, Networks, Use, pieces
from pipeline.papers.kesim_erzin.networks import Clip, Generator, Settings, noise_vector


def load(name: str, network: Networks, preprocessing: dict[str, Any]) -> Use:
    """`kesim_erzin_ROW`: one of the rows of Table 1."""
    generator = network(name.removeprefix("kesim_erzin_"), Generator, Settings)
    return Use(partial(frames, generator, preprocessing))


@torch.inference_mode()
def frames(
    generator: Generator, how: dict[str, Any], photo: np.ndarray, driving: Driving, seed: int
) -> Iterator[Drawn]:
    """See Use.frames. The seed is that of the noise vector."""
    settings, windows, reference_heatmap = generator.settings, None, None
    size, sigma = settings.image_size, how["sigma"]
    if settings.speech:
        columns = columns_per_frame(how["mel"]["sample_rate"], how["mel"]["window_ms"], how["fps"])
        windows = mel_windows(driving.mel, driving.n_frames, columns, settings.context_frames)
    if settings.landmarks:
        landmarks = averaged(driving.landmarks)
        reference_heatmap = heatmaps_to_tensor(landmark_heatmaps(driving.photo_landmarks[None], size, sigma))[0]
    reference = images_to_tensor(photo[None])[0]
    noise, state = noise_vector(seed), None
    for span in pieces(driving.n_frames):
        mel, heatmaps = None, None
        if settings.speech:
            mel = torch.from_numpy(windows[span].copy())
        if settings.landmarks:
            heatmaps = heatmaps_to_tensor(landmark_heatmaps(landmarks[span], size, sigma))
        clip = Clip(reference, noise, mel=mel, heatmaps=heatmaps, reference_heatmap=reference_heatmap)
        piece, state = generator(clip, span.stop - span.start, state)
        yield from drawn(piece)
