"""Synthesis by a made-up system, whose frames say what drove them."""

import av
import numpy as np
import pandas as pd
import pytest

from pipeline.corpus.about import read_about, write_about
from pipeline.corpus.layouts import EMOTIONS
from pipeline.corpus.shards import Shards, in_shards, shard_of, write_shards
from pipeline.corpus.tables import frames_table, read_landmarks, write_table_shard
from pipeline.features.landmarks import mouth_opening
from pipeline.papers.interface import Drawn
from pipeline.references import REFERENCES
from pipeline.synthesis import NOISE, SILENCE_S, HeldOutClips, describe_references, make_references, silent_clips
from pipeline.synthesis import synthesise as synthesise_clips
from pipeline.systems.preprocessing import Preprocessing
from pipeline.systems.system import System

RATE = 22_050
# Clip → subject, split, emotion, mouth opening of its photo in pixels.
CLIPS = {
    "a_shut": ("a", "test", "HAP", 0.1),
    "a_open": ("a", "test", "SAD", 6),
    "a_half": ("a", "test", None, 3),
    "b_only": ("b", "test_sentences", "ANG", 2),
    "b_train": ("b", "train", "ANG", 9),
}


@pytest.fixture
def clips(tmp_path):
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
        speech[clip] = rng.integers(-9000, 9000, (6 + k) * RATE // 25).astype(np.int16)
    write_shards(tmp_path / "alignment" / "small" / "crops", ((clip, crops[clip]) for clip in in_shards(crops)))
    write_shards(tmp_path / "audio_features" / "waveform", ((clip, speech[clip]) for clip in in_shards(speech)))
    write_table_shard(tmp_path / "alignment" / "small" / "landmarks", "shard-00", tables)
    rows = [
        {"clip": c, "subject": s, "split": split, "emotion": emotion} for c, (s, split, emotion, _) in CLIPS.items()
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "usable_clips.parquet")
    write_about(tmp_path / "alignment" / "small", fps=25, image_size=64)
    return HeldOutClips(tmp_path, "small", RATE)


def synthesise(made_up, clips, out, seed=0):
    for shard in clips.shards():
        synthesise_clips(made_up, clips, shard, out, out / "videos", seed, visible_mark=True)


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

    faces = {
        "fps": 25,
        "landmarks": {},
        "face_parsing": None,
        "transform": "per_frame",
        "image_size": 64,
        "template": [],
    }
    card = {"networks": {"one": {"key": "0123456789abcdef"}}}
    return System("made_up", card, frozenset(needs), Preprocessing.of(faces), frames, None)


def test_a_conditioned_system_draws_every_clip_in_every_emotion_and_nothing_else_differs(clips, tmp_path):
    synthesise(system("waveform_8000", "emotion"), clips, tmp_path / "out")
    own = Shards(tmp_path / "out" / "frames")
    drawn = {emotion: Shards(tmp_path / "out" / "emotions" / emotion) for emotion in EMOTIONS}
    assert sorted(own) == sorted(drawn["FEA"]) == ["a_half", "a_open", "a_shut", "b_only"]
    assert own["a_shut"][0, 0, 0, 0] == EMOTIONS.index("HAP")
    assert own["a_half"][0, 0, 0, 0] == EMOTIONS.index("NEU")  # nobody noted it
    for clip in own:
        for emotion, shown in drawn.items():
            assert (shown[clip][:, 0, 0] == EMOTIONS.index(emotion)).all()
            assert np.array_equal(shown[clip][:, 1:], own[clip][:, 1:])
            assert np.array_equal(shown[clip][:, 0, 1:3], own[clip][:, 0, 1:3])
    assert np.array_equal(drawn["HAP"]["a_shut"], own["a_shut"])


def test_silence_is_two_seconds_of_slight_noise_for_the_most_closed_and_the_most_open_photo(clips, tmp_path):
    opening = {clip: float(mouth_opening(clips.landmarks(clip)[0])) for clip in CLIPS}
    assert opening["a_shut"] < opening["a_half"] < opening["a_open"]
    assert silent_clips(clips) == ["a_open", "a_shut", "b_only"]
    synthesise(system("waveform_8000"), clips, tmp_path / "out")
    silent = Shards(tmp_path / "out" / "silence")
    assert sorted(silent) == ["a_open", "a_shut", "b_only"]
    for clip in silent:
        assert len(silent[clip]) == SILENCE_S * 25
        assert np.array_equal(silent[clip][7, 1:], clips.crops[clip][0, 1:])
        # Six deviations of the noise, of 32767; speech is a hundred times as loud.
        assert silent[clip][0, 0, 1, 0] <= 6 * NOISE * 32767 / 100
        assert (Shards(tmp_path / "out" / "frames")[clip][0, 0, 1] > 50).all()
    assert not (tmp_path / "out" / "emotions").exists()


def test_who_follows_landmarks_is_not_shown_silence(clips, tmp_path):
    synthesise(system("landmarks"), clips, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["frames", "videos"]


def test_references_are_made_of_the_truth_and_say_how_it_was_cropped(clips, tmp_path):
    out, videos = tmp_path / "references", tmp_path / "videos"
    for shard in clips.shards():
        make_references(clips, shard, out, videos)
    describe_references(clips, out)
    assert {path.name for path in out.iterdir()} == {*REFERENCES, "about.json"} == {*names(videos), "about.json"}
    assert read_about(out) == {"fps": 25, "image_size": 64}
    for clip in clips.table.index:
        frames = {name: Shards(out / name / "frames")[clip] for name in REFERENCES}
        assert np.array_equal(frames["ground_truth"], clips.crops[clip])
        assert all(shown.shape == clips.crops[clip].shape for shown in frames.values())
    # Of what moves, landmarks are kept as well: those of the truth do, and those of a still photo do not.
    true, still = (read_landmarks(out / name / "landmarks.parquet")["a_open"] for name in ("ground_truth", "static"))
    assert np.array_equal(true, clips.landmarks("a_open")) and len(still) == len(true)
    assert (still == true[0]).all() and not (true == true[0]).all()


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_shards_are_the_test_clips_each_once(clips):
    shards = clips.shards()
    assert sorted(clip for shard in shards for clip in shard) == ["a_half", "a_open", "a_shut", "b_only"]
    assert all(len({shard_of(clip) for clip in shard}) == 1 for shard in shards)


def test_the_same_seed_gives_the_same_silence(clips, tmp_path):
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        synthesise(system("waveform_8000", "emotion"), clips, tmp_path / name, seed)
    one, two, three = (Shards(tmp_path / name / "silence") for name in ("one", "two", "three"))
    assert all(np.array_equal(one[clip], two[clip]) for clip in one)
    assert not all(np.array_equal(one[clip], three[clip]) for clip in one)
    assert one["a_open"][0, 0, 0, 0] == EMOTIONS.index("SAD")


def test_a_videos_stamp_names_the_system_and_what_it_was_trained_on(clips, tmp_path):
    """And not the commit, which would make all videos new with every line of documentation."""
    synthesise(system("waveform_8000"), clips, tmp_path / "out")
    with av.open(str(tmp_path / "out" / "videos" / "a_open.mp4")) as container:
        assert container.metadata["comment"] == "synthetic talking head; system: made_up; key: 01234567; weights: none"
