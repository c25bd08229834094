"""Log-mel spectra of speech."""

import librosa
import numpy as np

from pipeline.features.windows import window_samples

# dB relative to a full-scale sine's order of magnitude: a fixed scale, so that loudness survives and silence is −1.
FLOOR_DB, RANGE_DB = -80.0, 110.0


def log_mel(waveform: np.ndarray, sample_rate: int, mel_bands: int, window_ms: float) -> np.ndarray:
    """Log-mel spectrum, column k centred on sample k · hop.

    waveform: float mono in −1…1, shape (samples,). Returns float32 (columns, mel_bands), linear in dB; −1 is silence.
    """
    window, hop = window_samples(sample_rate, window_ms)
    power = librosa.feature.melspectrogram(
        y=waveform, sr=sample_rate, n_fft=window, hop_length=hop, n_mels=mel_bands, pad_mode="constant"
    )
    decibels = librosa.power_to_db(power, ref=1.0, amin=10 ** (FLOOR_DB / 10), top_db=None)
    return ((decibels - FLOOR_DB) / RANGE_DB * 2 - 1).T.astype(np.float32)
