"""Read every clip's speech: waveforms, log-mel spectra, MFCC and prosody, on the video's clock."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import parameters
from pipeline.corpus.about import write_about
from pipeline.corpus.incremental import Job, Made, process
from pipeline.corpus.tables import Tables
from pipeline.errors import one_line_errors
from pipeline.features.audio import log_mel, mfcc, resample
from pipeline.features.prosody import prosody, silent_share
from pipeline.features.windows import to_int16
from pipeline.video import read_audio

LOW_RATE = 8000  # Hz (Maity 2024)
BEYOND_S = 1.0  # seconds of sound beyond the video's end that are read, to be counted; no feature has them


def read_speech(item: tuple[str, int], fps: float, sample_rate: int, mel_bands: int, window_ms: float) -> Made:
    audio, n_frames = item
    heard = read_audio(Path(audio), sample_rate, most_s=n_frames / fps + BEYOND_S)
    waveform = heard[: round(n_frames / fps * sample_rate)]
    table = prosody(waveform, sample_rate, n_frames, fps)
    return Made(
        {
            "waveform": to_int16(waveform),
            "waveform_8000": to_int16(resample(waveform, sample_rate, LOW_RATE)),
            "mel": log_mel(waveform, sample_rate, mel_bands, window_ms),
            "mfcc": mfcc(waveform, sample_rate),
        },
        {"prosody": {name: column.to_numpy() for name, column in table.items()}},
        {
            "frames": n_frames,
            "seconds_of_audio": len(heard) / sample_rate,
            "voiced_share": table["voiced"].mean(),
            "silent_share": silent_share(table["intensity_db"].to_numpy()),
            "clipped_share": np.mean(np.abs(waveform) >= 32767 / 32768),
        },
    )


@one_line_errors
def main() -> None:
    p = parameters.load()
    clips = pd.read_parquet("data/clips/clips.parquet").set_index("clip")
    faces = Tables(Path("data/landmarks/faces"))
    jobs = {
        clip: Job((clips.loc[clip, "checksum"], faces.frames(clip)), (clips.loc[clip, "audio"], faces.frames(clip)))
        for clip in faces
    }
    work = partial(read_speech, fps=p.corpus.fps, **dict(p.audio_features))
    process("audio_features", work, jobs, p.corpus.max_rejected, **dict(p.compute))
    how = dict(p.audio_features)
    write_about(Path("data/audio_features"), sample_rate=how["sample_rate"], mel=how)


if __name__ == "__main__":
    main()
