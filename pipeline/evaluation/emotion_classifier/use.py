"""The trained emotion classifier judges a clip."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.blocks.images import images_to_tensor
from pipeline.corpus.layouts import EMOTIONS
from pipeline.evaluation.emotion_classifier.network import EmotionClassifier, Settings
from pipeline.training.trained import load_network, reason_skipped


def load(folder: Path) -> tuple[EmotionClassifier, dict[str, Any]] | None:
    """The network in evaluation mode, and what it says of itself; None where training was skipped.

    Raises UserError where it is missing or is another network.
    """
    return None if reason_skipped(folder) else load_network(folder, EmotionClassifier, Settings)


@torch.inference_mode()
def recognise(network: EmotionClassifier, frames: np.ndarray) -> str:
    """The emotion, one of EMOTIONS, that a clip most likely shows: uint8 (T, S, S, 3)."""
    judged = images_to_tensor(frames[::3])  # frames between are hardly others
    return EMOTIONS[int(network(judged[None]).argmax())]
