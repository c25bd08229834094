"""Read every clip's speech: waveforms, log-mel spectra, MFCC and prosody, on the video's clock."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import parameters
from pipeline.corpus.incremental import Job, Made, process
from pipeline.errors import one_line_errors
from pipeline.features.audio import log_mel, mfcc, resample
from pipeline.features.prosody import prosody
from pipeline.video import read_audio

LOW_RATE = 8000  # Hz (Maity 2024)


def as_int16(waveform: np.ndarray) -> np.ndarray:
    return np.rint(waveform * 32767).clip(-32768, 32767).astype(np.int16)


def read_speech(audio: str, fps: float, sample_rate: int, mel_bands: int, window_ms: float) -> Made:
    waveform = read_audio(Path(audio), sample_rate)
    n_frames = max(1, round(len(waveform) / sample_rate * fps))
    table = prosody(waveform, sample_rate, n_frames, fps)
    return Made(
        {
            "waveform": as_int16(waveform),
            "waveform_8000": as_int16(resample(waveform, sample_rate, LOW_RATE)),
            "mel": log_mel(waveform, sample_rate, mel_bands, window_ms),
            "mfcc": mfcc(waveform, sample_rate),
        },
        {"prosody": {name: column.to_numpy() for name, column in table.items()}},
        {
            "frames": n_frames,
            "seconds_of_audio": len(waveform) / sample_rate,
            "voiced_share": table["voiced"].mean(),
            "clipped_share": np.mean(np.abs(waveform) >= 32767 / 32768),
        },
    )


@one_line_errors
def main() -> None:
    p = parameters.load()
    clips = pd.read_parquet("data/clips/clips.parquet").set_index("clip")
    jobs = {clip: Job((row["checksum"],), row["audio"]) for clip, row in clips.iterrows()}
    work = partial(read_speech, fps=p.corpus.fps, **dict(p.audio_features))
    process("audio_features", work, jobs, p.corpus.max_rejected, **dict(p.compute))


if __name__ == "__main__":
    main()
