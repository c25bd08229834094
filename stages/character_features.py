"""Score characters or phones in every clip's speech: 16 steps about each video frame, in the place of DeepSpeech's."""

import hashlib
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import parameters
from pipeline.corpus.about import write_about
from pipeline.corpus.incremental import Job, Made, checksum, fingerprint, process
from pipeline.corpus.shards import Shards
from pipeline.corpus.tables import Tables
from pipeline.errors import one_line_errors
from pipeline.features.characters.ctc import ctc_features
from pipeline.features.characters.recogniser import recogniser
from pipeline.features.characters.steps import STEPS, step_windows
from pipeline.features.windows import from_int16

WAVEFORMS, PROSODY = Path("data/audio_features/waveform"), Path("data/audio_features/prosody")
OUT = Path("data/character_features")
SILENT_S = 1.0

shards = cache(Shards)


def speech_of(clip: str) -> np.ndarray:
    return from_int16(shards(WAVEFORMS)[clip])


def score(item: tuple[str, int], backend: str, model: str | None, sample_rate: int, fps: float) -> Made:
    clip, n_frames = item
    windows = step_windows(recogniser(backend, model)(speech_of(clip), sample_rate), n_frames, fps)
    return Made({"windows": windows}, figures={"frames": n_frames})


def trained_on(clips: pd.DataFrame, sample_rate: int, options: dict, seed: int) -> str:
    """Train the character network on the training split's transcripts; returns where it is kept.

    The stage's code and parameters are in its name's fingerprint, so that a run that was killed goes on with the same one.
    """
    train = clips[clips["split"] == "train"]
    heard = [(clip, shards(WAVEFORMS).digest(clip), text) for clip, text in train["transcript"].items()]
    made_from = [fingerprint("character_features"), heard]
    path = OUT / f"ctc-{hashlib.sha256(repr(made_from).encode()).hexdigest()[:16]}.pt"
    if not path.exists():
        from pipeline.features.characters.training import save_ctc, train_ctc

        save_ctc(path, train_ctc(examples_of(train, sample_rate), **options, seed=seed))
    return str(path)


def examples_of(clips: pd.DataFrame, sample_rate: int) -> list[tuple[np.ndarray, str | None]]:
    return [
        (ctc_features(speech_of(clip), sample_rate), text if isinstance(text, str) else None)
        for clip, text in clips["transcript"].items()
    ]


@one_line_errors
def main() -> None:
    p = parameters.load()
    clips = pd.read_parquet("data/clips/clips.parquet").set_index("clip")
    clips = clips[[clip in shards(WAVEFORMS) for clip in clips.index]]
    rate, backend, model = p.audio_features.sample_rate, p.character_features.backend, p.character_features.model
    if backend == "ctc" and model is None:
        model = trained_on(clips, rate, dict(p.character_features.ctc), p.seed)
    for old in OUT.glob("ctc-*.pt"):
        if str(old) != model:
            old.unlink()
    # Whatever is wrong with the model ends the stage here, and not clip by clip.
    silent = recogniser(backend, model)(np.zeros(round(SILENT_S * rate), np.float32), rate)
    work = partial(score, backend=backend, model=model, sample_rate=rate, fps=p.corpus.fps)
    prosody, of_model = Tables(PROSODY), checksum(model)
    jobs = {
        clip: Job((shards(WAVEFORMS).digest(clip), prosody.frames(clip), of_model), (clip, prosody.frames(clip)))
        for clip in clips.index
    }
    process("character_features", work, jobs, p.corpus.max_rejected, **dict(p.compute))
    characters = {"backend": backend, "model": model, "symbols": silent.symbols}
    about = {"characters": characters, "steps": STEPS}
    if backend == "ctc":
        from pipeline.features.characters.training import error_rate, load_ctc

        held_out = clips[clips["split"] == "test_sentences"]
        errors = error_rate(load_ctc(Path(model)), examples_of(held_out, rate))
        about["character_error_rate"] = None if np.isnan(errors) else errors
    write_about(OUT, **about)


if __name__ == "__main__":
    main()
