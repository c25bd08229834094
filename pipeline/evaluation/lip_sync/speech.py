"""Speech as SyncNet hears it: 13 MFCC every 10 ms, the first one the energy, in windows of 0.2 s."""

import numpy as np
from scipy.fft import dct

from pipeline.features.audio import SPEECH_RATE, resample

COEFFICIENTS, COLUMNS = 13, 20  # of a window
LENGTH, HOP, N_FFT, BANDS, LIFTER = SPEECH_RATE * 25 // 1000, SPEECH_RATE // 100, 512, 26, 22


def speech_windows(waveform: np.ndarray, sample_rate: int, n_frames: int, fps: float) -> np.ndarray:
    """What is heard from the start of each frame on: float mono in −1 … 1 → float32 (n_frames, 13, 20).

    At 25 frames a second the window of a frame begins at column 4 · frame (Chung & Zisserman 2016). After the end is silence.
    """
    first = np.rint(np.arange(n_frames) * 100 / fps).astype(int)
    needed = (first[-1] + COLUMNS - 1) * HOP + LENGTH
    heard = resample(waveform, sample_rate, SPEECH_RATE)[:needed]
    columns = cepstra(np.pad(heard, (0, needed - len(heard))) * 32768)
    return columns[first[:, None] + np.arange(COLUMNS)].transpose(0, 2, 1).astype(np.float32)


def cepstra(samples: np.ndarray) -> np.ndarray:
    """MFCC of speech at 16 kHz by python_speech_features' definition, in whose terms the published network learned.

    samples: on the scale of 16-bit numbers, whole windows of 25 ms every 10 ms. Pre-emphasis 0.97, no window function, 26
    triangular bands of equal width in mel with edges at whole bins, natural logarithm, orthonormal DCT-II, sine lifter 22; the
    logarithm of the energy in the place of the first coefficient. Returns (columns, 13).
    """
    emphasised = np.append(samples[0], samples[1:] - 0.97 * samples[:-1])
    windows = np.lib.stride_tricks.sliding_window_view(emphasised, LENGTH)[::HOP]
    power = np.abs(np.fft.rfft(windows, N_FFT)) ** 2 / N_FFT
    energy, bands = (np.maximum(x, np.finfo(float).eps) for x in (power.sum(axis=1), power @ mel_bands().T))
    cepstrum = dct(np.log(bands), type=2, norm="ortho", axis=1)[:, :COEFFICIENTS]
    cepstrum *= 1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER)
    cepstrum[:, 0] = np.log(energy)
    return cepstrum


def mel_bands() -> np.ndarray:
    """Weights of the spectrum's bins in each band: (26, 257)."""
    mel = np.linspace(0, 2595 * np.log10(1 + SPEECH_RATE / 2 / 700), BANDS + 2)
    edges = np.floor((N_FFT + 1) * 700 * (10 ** (mel / 2595) - 1) / SPEECH_RATE)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    bins = np.arange(N_FFT // 2 + 1)
    rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    return np.where(bins < middle, rising, falling).clip(min=0)
