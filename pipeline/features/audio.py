"""Spectra of speech: log-mel spectra and MFCC. Waveforms are float mono in −1…1, shape (samples,).

Whatever is computed on slots of time (`mfcc`, `log_mel_steps`) has column k in the middle of slot k, at (k + ½) hops; the last
slot may be part silence. An empty waveform gives no columns; `pipeline.features.windows` brings columns to the video's clock.

Speech of any length is worked on piece by piece. What a column holds depends on the sound about it alone, to the last bit.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import soxr

from pipeline.features.windows import MFCC_HOP_MS, MFCC_SIZE, window_samples

# dB relative to a full-scale sine's order of magnitude: a fixed scale, so that loudness survives and silence is −1.
FLOOR_DB, RANGE_DB = -80.0, 110.0
# Speech recognisers' rate, at which a hop of 10 ms is a whole number of samples (at 22 050 Hz it is not).
SPEECH_RATE = 16_000
# Samples that are resampled, and columns of a spectrum that are made, at a time.
SAMPLES, COLUMNS = 2**17, 256


def resample(waveform: np.ndarray, sample_rate: int, new_rate: int) -> np.ndarray:
    """A waveform at another rate, by soxr (high quality): float32, ceil(samples · new_rate / sample_rate) long.

    What librosa.resample does, without its two seconds of compilers (numba) to load.
    """
    return np.concatenate([np.zeros(0, np.float32), *resampled(waveform, sample_rate, new_rate)])


def resampled(waveform: np.ndarray, sample_rate: int, new_rate: int) -> Iterator[np.ndarray]:
    """`resample` piece by piece: the pieces in a row are, bit for bit, what soxr makes of the whole."""
    stream = soxr.ResampleStream(sample_rate, new_rate, 1, dtype="float32", quality="HQ")
    missing = -(-len(waveform) * new_rate // sample_rate)
    for start in range(0, len(waveform), SAMPLES):
        piece = np.asarray(waveform[start : start + SAMPLES], np.float32)
        if sample_rate != new_rate:
            piece = stream.resample_chunk(piece, last=start + SAMPLES >= len(waveform))[:missing]
        missing -= len(piece)
        yield piece
    yield np.zeros(missing, np.float32)


def log_mel(waveform: np.ndarray, sample_rate: int, mel_bands: int, window_ms: float) -> np.ndarray:
    """Log-mel spectrum, column k centred on sample k · hop.

    waveform: float mono in −1…1, shape (samples,). Returns float32 (columns, mel_bands), linear in dB; −1 is silence.
    """
    window, hop = window_samples(sample_rate, window_ms)
    n_columns = 1 + len(waveform) // hop if len(waveform) else 0
    samples = resampled(waveform, sample_rate, sample_rate)
    power = _mel_power(samples, window // 2, n_columns, sample_rate, hop, n_fft=window, n_mels=mel_bands)
    return _in_a_row(map(_decibels, power), mel_bands)


def log_mel_steps(waveform: np.ndarray, sample_rate: int, mel_bands: int, window_ms: float, hop_ms: int) -> np.ndarray:
    """Log-mel spectrum on slots of `hop_ms`, of the waveform at 16 kHz: float32 (slots, mel_bands) as `log_mel` scales it."""
    window, hop = SPEECH_RATE * round(window_ms) // 1000, SPEECH_RATE * hop_ms // 1000
    samples, slots = resampled(waveform, sample_rate, SPEECH_RATE), _slots(waveform, sample_rate, hop)
    power = _mel_power(samples, (window - hop) // 2, slots, SPEECH_RATE, hop, n_fft=window, n_mels=mel_bands)
    return _in_a_row(map(_decibels, power), mel_bands)


def mfcc(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """12 mel-frequency cepstral coefficients every 10 ms, energy dropped (Chen S. 2021, §4.1; ATVGnet, §4).

    Settings are those of ATVGnet's published code, where the papers only give the hop: speech at 16 kHz, pre-emphasis 0.97,
    rectangular windows of 25 ms in 512-point spectra, 26 HTK mel bands, natural logarithm, orthonormal DCT-II, sine lifter 22;
    neither mean nor variance is normalised. Column k is centred on (k + ½) · 10 ms (there: 12.5 ms after 10 k ms).

    Returns float32 (columns, 12). Digital silence is 0 in all twelve: its bands are equal, and only c0 says how low.
    """
    window, hop, n_fft = SPEECH_RATE * 25 // 1000, SPEECH_RATE * MFCC_HOP_MS // 1000, 512
    samples, slots = _emphasised(resampled(waveform, sample_rate, SPEECH_RATE)), _slots(waveform, sample_rate, hop)
    how = {"n_fft": n_fft, "win_length": window, "window": "boxcar", "n_mels": 26, "htk": True, "norm": None}
    power = _mel_power(samples, (n_fft - hop) // 2, slots, SPEECH_RATE, hop, **how)
    return _in_a_row(map(_cepstra, power), MFCC_SIZE)


def _emphasised(pieces: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Each sample less 0.97 of the one before."""
    before = np.zeros(1, np.float32)
    for piece in pieces:
        together = np.concatenate([before, piece])
        yield together[1:] - 0.97 * together[:-1]
        before = together[-1:]


def _slots(waveform: np.ndarray, sample_rate: int, hop: int) -> int:
    """How many slots of `hop` samples at SPEECH_RATE the waveform fills, the last one in part."""
    n_samples = -(-len(waveform) * SPEECH_RATE // sample_rate)
    return -(-n_samples // hop)


def _mel_power(
    pieces: Iterator[np.ndarray], before: int, n_columns: int, sample_rate: int, hop: int, n_fft: int, **how: Any
) -> Iterator[np.ndarray]:
    """Mel spectra of samples that silence surrounds: power (bands, columns), COLUMNS at a time.

    Column k's window begins at sample k · hop − before. Each time COLUMNS are made, of silence where nothing is left: how BLAS
    rounds depends on a matrix's size.
    """
    import librosa  # with scipy a second to load, which not every system needs

    span = (COLUMNS - 1) * hop + n_fft
    kept = [np.zeros(before, np.float32)]
    for first in range(0, n_columns, COLUMNS):
        while sum(map(len, kept)) < span and (piece := next(pieces, None)) is not None:
            kept.append(piece)
        joined = np.concatenate(kept)
        block = np.pad(joined[:span], (0, max(0, span - len(joined))))
        power = librosa.feature.melspectrogram(
            y=block, sr=sample_rate, n_fft=n_fft, hop_length=hop, center=False, **how
        )
        yield power[:, : n_columns - first]
        kept = [joined[COLUMNS * hop :]]


def _decibels(power: np.ndarray) -> np.ndarray:
    import librosa

    decibels = librosa.power_to_db(power, ref=1.0, amin=10 ** (FLOOR_DB / 10), top_db=None)
    return ((decibels - FLOOR_DB) / RANGE_DB * 2 - 1).T


def _cepstra(power: np.ndarray) -> np.ndarray:
    from scipy.fft import dct

    lifter = 22
    # The floor lies just above what rounding to 16 bits leaves of silence, so that stored silence is silence as well.
    cepstrum = dct(np.log(np.maximum(power / 512, 1e-8)), type=2, norm="ortho", axis=0)[1 : MFCC_SIZE + 1]
    order = np.arange(1, MFCC_SIZE + 1)[:, None]
    return (cepstrum * (1 + lifter / 2 * np.sin(np.pi * order / lifter))).T


def _in_a_row(pieces: Iterator[np.ndarray], size: int) -> np.ndarray:
    """Pieces (columns, size) as one, float32."""
    return np.concatenate([np.zeros((0, size), np.float32), *(piece.astype(np.float32) for piece in pieces)])
