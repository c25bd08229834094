"""Synthesis by a made-up system, whose frames say what drove them."""

import numpy as np
import pandas as pd
import pytest

from pipeline.corpus.layouts import EMOTIONS
from pipeline.corpus.shards import Shards, in_shards, write_shards
from pipeline.corpus.tables import frames_table, write_table_shard
from pipeline.features.landmarks import mouth_opening
from pipeline.synthesis import NOISE, SILENCE_S, silent_clips, synthesise
from pipeline.systems.system import Drawn, System
from pipeline.training.data import ClipStore

VIDEO = {"fps": 25, "sample_rate": 22_050, "visible_mark": True}
# Clip → subject, split, emotion, mouth opening of its photo in pixels.
CLIPS = {
    "a_shut": ("a", "test", "HAP", 0.1),
    "a_open": ("a", "test", "SAD", 6),
    "a_half": ("a", "test", None, 3),
    "b_only": ("b", "test_sentences", "ANG", 2),
    "b_train": ("b", "train", "ANG", 9),
}


@pytest.fixture
def store(tmp_path):
    """Four test clips of two subjects, with frames as bright as a number of their own, and a training clip."""
    rng = np.random.default_rng(0)
    face = rng.normal(32, 10, (68, 2))
    crops, tables, speech = {}, [], {}
    for k, (clip, (*_, opening)) in enumerate(CLIPS.items()):
        crops[clip] = np.full((6 + k, 64, 64, 3), 10 * k, np.uint8)
        points = np.repeat(face[None], 6 + k, axis=0).astype(np.float32)
        points[:, [67, 66, 65]] = points[:, [61, 62, 63]] + [0, opening]
        points[1:, 65:68] += 20  # only the photo's mouth counts
        tables.append((clip, frames_table(clip, {"points": points}), 0))
        speech[clip] = rng.integers(-9000, 9000, (6 + k) * 320).astype(np.int16)
    write_shards(tmp_path / "alignment" / "crops", ((clip, crops[clip]) for clip in in_shards(crops)))
    for source in ("waveform", "waveform_8000"):
        write_shards(tmp_path / "audio_features" / source, ((clip, speech[clip]) for clip in in_shards(speech)))
    write_table_shard(tmp_path / "alignment" / "landmarks", "shard-00", tables)
    (tmp_path / "clips").mkdir()
    rows = [
        {"clip": c, "subject": s, "split": split, "emotion": emotion} for c, (s, split, emotion, _) in CLIPS.items()
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "clips" / "clips.parquet")
    return ClipStore(tmp_path, "crops", "landmarks", "waveform", "waveform_8000")


def system(*needs):
    """Its frames' pixels are the photo's, the emotion's number, and the loudest sample that it hears."""

    def frames(photo, driving, seed):
        heard = 0 if driving.waveform_8000 is None else np.abs(driving.waveform_8000).max()
        for _ in range(driving.n_frames):
            image = photo.copy()
            image[0, 0] = EMOTIONS.index(driving.emotion) if driving.emotion else 99
            image[0, 1] = min(255, heard // 100)
            image[0, 2] = seed % 251
            yield Drawn(image)

    return System("made_up", frozenset(needs), 64, {"fps": 25}, frames)


def test_a_conditioned_system_draws_every_clip_in_every_emotion_and_nothing_else_differs(store, tmp_path):
    synthesise("made_up", system("waveform_8000", "emotion"), store, tmp_path / "out", seed=0, **VIDEO)
    own = Shards(tmp_path / "out" / "frames")
    drawn = {emotion: Shards(tmp_path / "out" / "emotions" / emotion) for emotion in EMOTIONS}
    assert sorted(own) == sorted(drawn["FEA"]) == ["a_half", "a_open", "a_shut", "b_only"]
    assert own["a_shut"][0, 0, 0, 0] == EMOTIONS.index("HAP")
    assert own["a_half"][0, 0, 0, 0] == EMOTIONS.index("NEU")  # nobody noted it
    for clip in own:
        for emotion, clips in drawn.items():
            assert (clips[clip][:, 0, 0] == EMOTIONS.index(emotion)).all()
            assert np.array_equal(clips[clip][:, 1:], own[clip][:, 1:])
            assert np.array_equal(clips[clip][:, 0, 1:3], own[clip][:, 0, 1:3])
    assert np.array_equal(drawn["HAP"]["a_shut"], own["a_shut"])


def test_silence_is_two_seconds_of_slight_noise_for_the_most_closed_and_the_most_open_photo(store, tmp_path):
    opening = {clip: float(mouth_opening(store.landmarks.landmarks(clip)[0])) for clip in CLIPS}
    assert opening["a_shut"] < opening["a_half"] < opening["a_open"]
    assert silent_clips(store) == ["a_open", "a_shut", "b_only"]
    synthesise("made_up", system("waveform_8000"), store, tmp_path / "out", seed=0, **VIDEO)
    silent = Shards(tmp_path / "out" / "silence")
    assert sorted(silent) == ["a_open", "a_shut", "b_only"]
    for clip in silent:
        assert len(silent[clip]) == SILENCE_S * 25
        assert np.array_equal(silent[clip][7, 1:], store.crops[clip][0, 1:])
        # Six deviations of the noise, of 32767; speech is a hundred times as loud.
        assert silent[clip][0, 0, 1, 0] <= 6 * NOISE * 32767 / 100
        assert (Shards(tmp_path / "out" / "frames")[clip][0, 0, 1] > 50).all()
    assert not (tmp_path / "out" / "emotions").exists()


def test_who_follows_landmarks_is_not_shown_silence(store, tmp_path):
    synthesise("made_up", system("landmarks"), store, tmp_path / "out", seed=0, **VIDEO)
    synthesise("static", None, store, tmp_path / "static", seed=0, **VIDEO)
    for folder in ("out", "static"):
        assert sorted(path.name for path in (tmp_path / folder).iterdir()) == ["frames", "videos"]


def test_the_same_seed_gives_the_same_silence(store, tmp_path):
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        synthesise("made_up", system("waveform_8000", "emotion"), store, tmp_path / name, seed, **VIDEO)
    one, two, three = (Shards(tmp_path / name / "silence") for name in ("one", "two", "three"))
    assert all(np.array_equal(one[clip], two[clip]) for clip in one)
    assert not all(np.array_equal(one[clip], three[clip]) for clip in one)
    assert one["a_open"][0, 0, 0, 0] == EMOTIONS.index("SAD")
