"""Score characters or phones in every clip's speech: 16 steps about each video frame, in the place of DeepSpeech's."""

import hashlib
import json
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import parameters
from pipeline.corpus.incremental import Job, Made, fingerprint, process
from pipeline.corpus.shards import Shards
from pipeline.errors import one_line_errors
from pipeline.features.characters.ctc import ctc_features, ctc_scores
from pipeline.features.characters.phones import phone_scores
from pipeline.features.characters.steps import STEPS, Scores, step_windows
from pipeline.features.characters.wav2vec2 import load_wav2vec2, wav2vec2_scores
from pipeline.training.ctc import error_rate, load_ctc, save_ctc, train_ctc

WAVEFORMS = Path("data/audio_features/waveform")
OUT = Path("data/character_features")
SILENT_S = 1.0

shards = cache(Shards)


@cache
def scorer(backend: str, model: str | None) -> Callable[[np.ndarray, int], Scores]:
    if backend == "phones":
        return phone_scores
    if backend == "ctc":
        return partial(ctc_scores, network=load_ctc(Path(model)))
    return partial(wav2vec2_scores, network=load_wav2vec2(Path(model)))


def speech_of(clip: str) -> np.ndarray:
    return shards(WAVEFORMS)[clip].astype(np.float32) / 32767


def score(clip: str, backend: str, model: str | None, sample_rate: int, fps: float) -> Made:
    speech = speech_of(clip)
    n_frames = max(1, round(len(speech) / sample_rate * fps))
    windows = step_windows(scorer(backend, model)(speech, sample_rate), n_frames, fps)
    return Made({"windows": windows}, figures={"frames": n_frames})


def trained_on(clips: pd.DataFrame, sample_rate: int, options: dict, seed: int) -> str:
    """Train the character network on the training split's transcripts; returns where it is kept.

    The stage's code and parameters are in its name's fingerprint, so that a run that was killed goes on with the same one.
    """
    train = clips[clips["split"] == "train"]
    made_from = [fingerprint("character_features"), *(f"{c} {shards(WAVEFORMS).digest(c)}" for c in train.index)]
    path = OUT / f"ctc-{hashlib.sha256(repr(made_from).encode()).hexdigest()[:16]}.pt"
    if not path.exists():
        for old in OUT.glob("ctc-*.pt"):
            old.unlink()
        save_ctc(path, train_ctc(examples_of(train, sample_rate), **options, seed=seed))
    return str(path)


def examples_of(clips: pd.DataFrame, sample_rate: int) -> list[tuple[np.ndarray, str | None]]:
    return [(ctc_features(speech_of(clip), sample_rate), text) for clip, text in clips["transcript"].items()]


@one_line_errors
def main() -> None:
    p = parameters.load()
    clips = pd.read_parquet("data/clips/clips.parquet").set_index("clip")
    clips = clips[[clip in shards(WAVEFORMS) for clip in clips.index]]
    rate, backend, model = p.audio_features.sample_rate, p.character_features.backend, p.character_features.model
    if backend == "ctc":
        model = trained_on(clips, rate, dict(p.character_features.ctc), p.seed)
    # Whatever is wrong with the model ends the stage here, and not clip by clip.
    silent = scorer(backend, model)(np.zeros(round(SILENT_S * rate), np.float32), rate)
    work = partial(score, backend=backend, model=model, sample_rate=rate, fps=p.corpus.fps)
    jobs = {clip: Job((shards(WAVEFORMS).digest(clip), checksum(model)), clip) for clip in clips.index}
    process("character_features", work, jobs, p.corpus.max_rejected, **dict(p.compute))
    about = {"backend": silent.name, "symbols": silent.symbols, "steps": STEPS}
    if backend == "ctc":
        held_out = clips[clips["split"] == "test_sentences"]
        about["character_error_rate"] = error_rate(load_ctc(Path(model)), examples_of(held_out, rate))
    (OUT / "about.json").write_text(json.dumps(about, indent=2) + "\n")


def checksum(model: str | None) -> str | None:
    """Of a model's file, or of all files of its folder."""
    if model is None:
        return None
    files = [Path(model)] if Path(model).is_file() else sorted(f for f in Path(model).rglob("*") if f.is_file())
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


if __name__ == "__main__":
    main()
