"""The features of any speech that drive a system, made as those of its training were."""

import numpy as np

from pipeline.features.audio import log_mel, mfcc, resample
from pipeline.features.characters.steps import step_windows
from pipeline.features.windows import to_int16
from pipeline.systems.system import System
from pipeline.training.characters import recogniser


def speech_features(
    waveform: np.ndarray | None, sample_rate: int, n_frames: int, system: System
) -> dict[str, np.ndarray]:
    """Those features of speech that the system needs, by the names of Driving's fields.

    waveform: float in −1…1, (samples,); None where the system needs none.
    """
    how, features = system.preprocessing, {}
    if "mel" in system.needs:
        audio = how["audio_features"]
        features["mel"] = log_mel(resample(waveform, sample_rate, audio["sample_rate"]), **audio)
    if "mfcc" in system.needs:
        features["mfcc"] = mfcc(waveform, sample_rate)
    if "waveform_8000" in system.needs:
        features["waveform_8000"] = to_int16(resample(waveform, sample_rate, 8000))
    if "characters" in system.needs:
        scores = recogniser(**how["characters"])(waveform, sample_rate)
        features["characters"] = step_windows(scores, n_frames, how["fps"])
    return features
