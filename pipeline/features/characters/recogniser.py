"""The recogniser behind character features, by its backend's name (Sinha 2020, §III-A, in the place of DeepSpeech)."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np

from pipeline.features.characters.ctc import ctc_scores
from pipeline.features.characters.phones import phone_scores
from pipeline.features.characters.steps import Scores
from pipeline.features.characters.wav2vec2 import load_wav2vec2, wav2vec2_scores


@cache
def recogniser(backend: str, model: str | None) -> Callable[[np.ndarray, int], Scores]:
    """(waveform in −1…1, sample rate) → scores over time, by `phones`, `ctc` or `wav2vec2`.

    model: the network's file for `ctc`, the checkpoint's folder for `wav2vec2`. Raises UserError where it cannot be used.
    """
    if backend == "phones":
        return phone_scores
    if backend == "ctc":
        # It loads torch: two seconds that the other backends save.
        from pipeline.features.characters.training import load_ctc

        return partial(ctc_scores, network=load_ctc(Path(model)))
    return partial(wav2vec2_scores, network=load_wav2vec2(Path(model)))
