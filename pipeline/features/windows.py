"""Audio features on the video's clock. Needs numpy only, so that training does not load the audio libraries."""

import numpy as np


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
