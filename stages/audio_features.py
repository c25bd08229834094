"""Read every clip's speech: the waveform, and its log-mel spectrum."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import parameters
from pipeline.corpus.shards import ShardWriter
from pipeline.corpus.tables import write_rejected
from pipeline.corpus.workers import each
from pipeline.errors import ClipRejected, one_line_errors
from pipeline.features.audio import log_mel
from pipeline.video import read_audio


def read_speech(audio: str, sample_rate: int, mel_bands: int, window_ms: float) -> tuple[np.ndarray, np.ndarray]:
    waveform = read_audio(Path(audio), sample_rate)
    return waveform, log_mel(waveform, sample_rate, mel_bands, window_ms)


@one_line_errors
def main() -> None:
    p = parameters.load()
    clips = pd.read_parquet("data/clips/clips.parquet")
    out, rejected = Path("data/audio_features"), {}
    with ShardWriter(out / "waveform") as waveforms, ShardWriter(out / "mel") as mels:
        results = each(partial(read_speech, **dict(p.audio_features)), clips["audio"], "audio", p.compute.workers)
        for clip, (_, result) in zip(clips["clip"], results, strict=True):
            if isinstance(result, ClipRejected):
                rejected[clip] = result
            else:
                waveforms.add(clip, np.rint(result[0] * 32767).clip(-32768, 32767).astype(np.int16))
                mels.add(clip, result[1])
    write_rejected(out, "audio_features", rejected, len(clips), p.corpus.max_rejected)


if __name__ == "__main__":
    main()
