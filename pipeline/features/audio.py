"""Log-mel spectra of speech."""

import librosa
import numpy as np

# dB relative to a full-scale sine's order of magnitude: a fixed scale, so that loudness survives and silence is −1.
FLOOR_DB, RANGE_DB = -80.0, 110.0


def window_samples(sample_rate: int, window_ms: float) -> tuple[int, int]:
    """Length and hop of the analysis window in samples; the hop is half a window (Kesim & Erzin §4.1)."""
    window = 2 * round(sample_rate * window_ms / 2000)
    return window, window // 2


def log_mel(waveform: np.ndarray, sample_rate: int, bands: int, window_ms: float) -> np.ndarray:
    """Log-mel spectrum, column k centred on sample k · hop.

    waveform: float mono in −1…1, shape (samples,). Returns float32 (columns, bands) in −1 (silence) … about 1, linear in dB.
    """
    window, hop = window_samples(sample_rate, window_ms)
    power = librosa.feature.melspectrogram(
        y=waveform, sr=sample_rate, n_fft=window, hop_length=hop, n_mels=bands, pad_mode="constant"
    )
    decibels = librosa.power_to_db(power, ref=1.0, amin=10 ** (FLOOR_DB / 10), top_db=None)
    return ((decibels - FLOOR_DB) / RANGE_DB * 2 - 1).T.astype(np.float32)
