"""Audio features on the video's clock. Needs numpy only, so that training does not load the audio libraries.

The rule for every feature on the video's clock: it has exactly one row per video frame, whatever the audio's length. A row is
taken about the middle of its frame; what lies before the audio's start or after its end is silence, in the feature's own terms
(log-mel −1, MFCC 0, character scores: the backend's own of silence). Audio beyond the video's end is cut off.
"""

import numpy as np

MFCC_HOP_MS = 10
MFCC_SIZE = 12
MFCC_COLUMNS = 28  # of a window: 280 ms (Chen S. 2021, §4.1; ATVGnet, §4)


def to_int16(waveform: np.ndarray) -> np.ndarray:
    """A waveform in −1…1 as it is stored: int16, full scale 32767."""
    return np.rint(waveform * 32767).clip(-32768, 32767).astype(np.int16)


def from_int16(samples: np.ndarray) -> np.ndarray:
    """A stored waveform: float32 in −1…1."""
    return samples.astype(np.float32) / 32767


def window_samples(sample_rate: int, window_ms: float) -> tuple[int, int]:
    """Length and hop of the spectrum's window in samples; the hop is half a window (Kesim & Erzin §4.1)."""
    window = 2 * round(sample_rate * window_ms / 2000)
    return window, window // 2


def columns_per_frame(sample_rate: int, window_ms: float, fps: float) -> float:
    """Mel columns per video frame."""
    return sample_rate / window_samples(sample_rate, window_ms)[1] / fps


def mel_windows(mel: np.ndarray, n_frames: int, columns_per_frame: float, context_frames: int) -> np.ndarray:
    """The mel columns about each video frame: the frame itself and `context_frames` either side (Kesim & Erzin §3.2).

    mel: (columns, bands), column k at k/columns_per_frame video frames. Returns (n_frames, window, bands), each window
    centred on the middle of its video frame. Beyond either end of the speech stands silence (−1).
    """
    half = round((2 * context_frames + 1) * columns_per_frame / 2)
    centres = np.rint((np.arange(n_frames) + 0.5) * columns_per_frame).astype(int)
    padded = np.pad(mel, ((half, half + max(0, centres[-1] + 1 - len(mel))), (0, 0)), constant_values=-1)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=0)[centres].transpose(0, 2, 1)


def window_columns(columns_per_frame: float, context_frames: int) -> int:
    """How many mel columns `mel_windows` gives per frame."""
    return 2 * round((2 * context_frames + 1) * columns_per_frame / 2) + 1


def mfcc_windows(mfcc: np.ndarray, n_frames: int, fps: float) -> np.ndarray:
    """The 280 ms of MFCC about the middle of each video frame: (columns, 12) → float32 (n_frames, 28, 12).

    mfcc: column k at (k + ½) · 10 ms. At 25 fps a frame's middle lies between two columns, and 14 stand on either side; at
    other rates the nearest such place is taken, at most 5 ms away. Beyond either end of the speech stands silence (0).
    """
    middles = (np.arange(n_frames) + 0.5) / fps
    # A boundary between columns k − 1 and k lies at k · 10 ms.
    first = np.rint(middles * 1000 / MFCC_HOP_MS).astype(int) - MFCC_COLUMNS // 2
    columns = first[:, None] + np.arange(MFCC_COLUMNS)
    windows = np.zeros((n_frames, MFCC_COLUMNS, MFCC_SIZE), np.float32)
    inside = (columns >= 0) & (columns < len(mfcc))
    windows[inside] = mfcc[columns[inside]]
    return windows
