"""Spectra of speech: log-mel spectra and MFCC. Waveforms are float mono in −1…1, shape (samples,).

Whatever is computed on slots of time (`mfcc`, `log_mel_steps`) has column k in the middle of slot k, at (k + ½) hops; the last
slot may be part silence. An empty waveform gives no columns; `pipeline.features.windows` brings columns to the video's clock.
"""

import librosa
import numpy as np
import soxr
from scipy.fft import dct

from pipeline.features.windows import MFCC_HOP_MS, MFCC_SIZE, window_samples

# dB relative to a full-scale sine's order of magnitude: a fixed scale, so that loudness survives and silence is −1.
FLOOR_DB, RANGE_DB = -80.0, 110.0
# Speech recognisers' rate, at which a hop of 10 ms is a whole number of samples (at 22 050 Hz it is not).
SPEECH_RATE = 16_000


def resample(waveform: np.ndarray, sample_rate: int, new_rate: int) -> np.ndarray:
    """A waveform at another rate, by soxr (high quality): float32, ceil(samples · new_rate / sample_rate) long.

    What librosa.resample does, without its two seconds of compilers (numba) to load.
    """
    waveform = np.asarray(waveform, np.float32)
    if not len(waveform) or sample_rate == new_rate:
        return waveform
    resampled = soxr.resample(waveform, sample_rate, new_rate, quality="HQ")
    n_samples = -(-len(waveform) * new_rate // sample_rate)
    return np.pad(resampled, (0, max(0, n_samples - len(resampled))))[:n_samples]


def log_mel(waveform: np.ndarray, sample_rate: int, mel_bands: int, window_ms: float) -> np.ndarray:
    """Log-mel spectrum, column k centred on sample k · hop.

    waveform: float mono in −1…1, shape (samples,). Returns float32 (columns, mel_bands), linear in dB; −1 is silence.
    """
    window, hop = window_samples(sample_rate, window_ms)
    if not len(waveform):
        return np.zeros((0, mel_bands), np.float32)
    power = librosa.feature.melspectrogram(
        y=waveform, sr=sample_rate, n_fft=window, hop_length=hop, n_mels=mel_bands, pad_mode="constant"
    )
    return _decibels(power)


def log_mel_steps(waveform: np.ndarray, sample_rate: int, mel_bands: int, window_ms: float, hop_ms: int) -> np.ndarray:
    """Log-mel spectrum on slots of `hop_ms`, of the waveform at 16 kHz: float32 (slots, mel_bands) as `log_mel` scales it."""
    speech = resample(waveform, sample_rate, SPEECH_RATE)
    window, hop = SPEECH_RATE * round(window_ms) // 1000, SPEECH_RATE * hop_ms // 1000
    if not len(speech):
        return np.zeros((0, mel_bands), np.float32)
    power = librosa.feature.melspectrogram(
        y=_slots(speech, window, hop), sr=SPEECH_RATE, n_fft=window, hop_length=hop, n_mels=mel_bands, center=False
    )
    return _decibels(power)


def mfcc(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """12 mel-frequency cepstral coefficients every 10 ms, energy dropped (Chen S. 2021, §4.1; ATVGnet, §4).

    Settings are those of ATVGnet's published code, where the papers only give the hop: speech at 16 kHz, pre-emphasis 0.97,
    rectangular windows of 25 ms in 512-point spectra, 26 HTK mel bands, natural logarithm, orthonormal DCT-II, sine lifter 22;
    neither mean nor variance is normalised. Column k is centred on (k + ½) · 10 ms (there: 12.5 ms after 10 k ms).

    Returns float32 (columns, 12). Digital silence is 0 in all twelve: its bands are equal, and only c0 says how low.
    """
    speech = resample(waveform, sample_rate, SPEECH_RATE)
    if not len(speech):
        return np.zeros((0, MFCC_SIZE), np.float32)
    window, hop, lifter = SPEECH_RATE * 25 // 1000, SPEECH_RATE * MFCC_HOP_MS // 1000, 22
    emphasised = np.append(speech[0], speech[1:] - 0.97 * speech[:-1])
    power = librosa.feature.melspectrogram(
        y=_slots(emphasised, window, hop, n_fft=512),
        sr=SPEECH_RATE,
        n_fft=512,
        win_length=window,
        hop_length=hop,
        window="boxcar",
        center=False,
        n_mels=26,
        htk=True,
        norm=None,
    )
    # The floor lies just above what rounding to 16 bits leaves of silence, so that stored silence is silence as well.
    cepstrum = dct(np.log(np.maximum(power / 512, 1e-8)), type=2, norm="ortho", axis=0)[1 : MFCC_SIZE + 1]
    order = np.arange(1, MFCC_SIZE + 1)[:, None]
    return (cepstrum * (1 + lifter / 2 * np.sin(np.pi * order / lifter))).T.astype(np.float32)


def _slots(waveform: np.ndarray, window: int, hop: int, n_fft: int | None = None) -> np.ndarray:
    """Silence either side, so that uncentred spectra of `n_fft` samples lie on the middles of the waveform's slots."""
    n_fft = n_fft or window
    before = (n_fft - hop) // 2
    slots = -(-len(waveform) // hop)
    return np.pad(waveform, (before, (slots - 1) * hop + n_fft - before - len(waveform)))


def _decibels(power: np.ndarray) -> np.ndarray:
    decibels = librosa.power_to_db(power, ref=1.0, amin=10 ** (FLOOR_DB / 10), top_db=None)
    return ((decibels - FLOOR_DB) / RANGE_DB * 2 - 1).T.astype(np.float32)
