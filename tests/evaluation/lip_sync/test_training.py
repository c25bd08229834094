import numpy as np
import pandas as pd
import pytest

from benchmarks.made_up import write_abouts
from pipeline.corpus.shards import in_shards, write_shards
from pipeline.evaluation.lip_sync.training import SpeakingClips, recipe
from pipeline.evaluation.lip_sync.use import lip_sync, load
from pipeline.features.windows import from_int16
from pipeline.training.data import ClipStore
from pipeline.training.recipe import NothingToLearn
from stages import judge as stage

N_FRAMES, RATE = 48, 22_050
SHORT = {"width": 0.5, "epochs": 8, "excerpt_frames": 24, "batch": 4, "learning_rate": 3e-3}


def speaking(rng):
    """A grey square whose dark mouth opens as a hiss gets louder: uint8 (T, 64, 64, 3), int16 (samples,)."""
    opening = np.convolve(rng.random(N_FRAMES + 4) > 0.6, [0.25, 0.5, 0.25])[3:-3]
    frames = np.full((N_FRAMES, 64, 64, 3), rng.uniform(120, 200)) + rng.normal(0, 3, (N_FRAMES, 64, 64, 3))
    for t, share in enumerate(opening):
        frames[t, 46 : 46 + round(10 * share), 22:42] = 30
    n_samples = round(N_FRAMES / 25 * RATE)
    loudness = np.interp(np.arange(n_samples) / RATE * 25, np.arange(N_FRAMES) + 0.5, opening)
    return frames.clip(0, 255).astype(np.uint8), (rng.normal(0, 1, n_samples) * (50 + 4000 * loudness)).astype(np.int16)


@pytest.fixture
def corpus(tmp_path):
    """Clips of which sixteen train, two validate and four test."""
    rng = np.random.default_rng(0)
    splits = [*["train"] * 16, "validation", "validation", *["test"] * 4]
    clips = {f"clip{k:02d}": speaking(rng) for k in range(len(splits))}
    (tmp_path / "clips").mkdir()
    table = pd.DataFrame({"clip": list(clips), "split": splits, "subject": "one"})
    table.to_parquet(tmp_path / "clips" / "clips.parquet")
    for part, name in enumerate(("alignment/small/crops", "audio_features/waveform")):
        write_shards(tmp_path / name, ((clip, clips[clip][part]) for clip in in_shards(clips)))
    np.save(tmp_path / "alignment" / "small" / "template.npy", rng.normal(32, 10, (68, 2)))
    write_abouts(tmp_path)
    return tmp_path


def late(frames, by):
    """Positive: the frames come later."""
    return frames[np.clip(np.arange(len(frames)) - by, 0, len(frames) - 1)]


def test_planted_delays_are_found_in_clips_that_training_did_not_see(corpus, parameters):
    stage.run("sync", "small", parameters(sync=SHORT), corpus, corpus / "metrics")
    losses = pd.read_csv(corpus / "metrics" / "losses" / "sync@small.csv")
    assert list(losses) == ["phase", "epoch", "generator_matching", "validation_error"]
    judge, store = load(corpus / "trained" / "sync@small", 25), ClipStore(corpus, "small", "crops", "waveform")

    def found(clip, frames):
        return lip_sync(judge, frames, from_int16(store.waveform[clip]), RATE, 25)

    for clip in store.ids("test"):
        frames = np.asarray(store.crops[clip])
        in_time = found(clip, frames)
        assert [found(clip, late(frames, by))["sync_offset"] for by in (-6, 0, 5)] == pytest.approx([-6, 0, 5], abs=1)
        still = found(clip, np.repeat(frames[:1], N_FRAMES, axis=0))
        assert still["sync_confidence"] < in_time["sync_confidence"] / 2


def test_a_corpus_of_short_clips_teaches_nothing(corpus, parameters):
    with pytest.raises(NothingToLearn, match=r"no training clip has 49 frames \(sync.excerpt_frames\)"):
        recipe(parameters(sync={"excerpt_frames": 49}), corpus, "small")


def test_an_excerpt_is_heard_where_it_is_seen(corpus):
    store = ClipStore(corpus, "small", "crops", "waveform")
    clips, rng = SpeakingClips(store, 24, batch=4), np.random.default_rng(0)
    whole, part = (clips.excerpt("clip00", span, rng, augment=False) for span in (slice(0, N_FRAMES), slice(7, 31)))
    assert (whole.frames[7:31] == part.frames).all() and (whole.speech[7:31] == part.speech).all()
    batch = next(clips.epoch(0, 0))
    assert batch.frames.shape == (4, 24, 3, 64, 64) and batch.speech.shape == (4, 24, 13, 20)
