import hashlib
from collections import Counter, defaultdict

import numpy as np
import pandas as pd
import pytest

from pipeline.corpus.inventory import list_clips
from pipeline.corpus.layouts import CREMA_D_SENTENCES, EMOTIONS
from pipeline.corpus.tables import read_landmarks
from pipeline.demo.accuracy import compare_clip
from pipeline.demo.corpus import clip_names, make_corpus
from pipeline.features.landmarks import MOUTH, inter_ocular_distance, mouth_opening
from pipeline.video import read_frames

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("demo")
    make_corpus(root, training_subjects=1, clips_per_emotion=1, seed=0, workers=2)
    return root


def fingerprints(root):
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_seed_gives_the_same_bytes_with_one_worker_as_with_two(corpus, tmp_path):
    make_corpus(tmp_path, training_subjects=1, clips_per_emotion=1, seed=0, workers=1)
    assert fingerprints(tmp_path) == fingerprints(corpus)


def test_every_subject_says_every_sentence_in_every_emotion():
    clips = [name.split("_") for name in clip_names([1001, 1002, 1015], clips_per_emotion=3)]
    sentences, emotions = defaultdict(set), defaultdict(Counter)
    for subject, sentence, emotion, level in clips:
        sentences[subject].add(sentence)
        emotions[subject][emotion] += 1
        assert (level == "XX") == (emotion == "NEU")
    assert all(spoken == set(CREMA_D_SENTENCES) for spoken in sentences.values())
    assert all(count == dict.fromkeys(EMOTIONS, 3) for count in emotions.values())


def test_the_crema_d_reader_takes_it(corpus):
    clips, rejected = list_clips("crema_d", corpus, held_out_sentences=5)
    assert not rejected and len(clips) == 12
    assert set(clips.loc[clips["subject"] == "1015", "split"]) == {"test"}
    assert (clips[["fps", "width", "height", "sample_rate"]] == [25, 360, 288, 22050]).all(axis=None)


def test_the_detector_finds_the_driven_mouth(corpus):
    truth = read_landmarks(corpus / "truth" / "landmarks.parquet")
    table = pd.concat([compare_clip(item, corpus, every=6) for item in truth.items()])
    assert table["has_face"].mean() > 0.98
    assert table["error_iod"].mean() < 0.07
    assert table["driven"].corr(table["detected"]) > 0.85


def test_sound_and_picture_end_together_and_lips_are_shut_for_p_b_m(corpus):
    truth = read_landmarks(corpus / "truth" / "landmarks.parquet")
    phonemes = pd.read_parquet(corpus / "truth" / "phonemes.parquet")
    shut = phonemes[phonemes["phoneme"].isin(["p", "b", "m"])]
    assert len(shut) > 5
    for row in shut.itertuples():
        frame = int((row.start_s + row.end_s) / 2 * 25)
        around = mouth_opening(truth[row.clip][max(0, frame - 1) : frame + 2])
        assert around.min() < 0.03
    for clip, landmarks in list(truth.items())[:2]:
        assert len(read_frames(corpus / "VideoFlash" / f"{clip}.flv", 25)) == len(landmarks)


def test_the_face_moves_with_the_head_and_trembles_with_the_sensor(corpus):
    truth = read_landmarks(corpus / "truth" / "landmarks.parquet")
    clip, landmarks = next(iter(truth.items()))
    nose = landmarks[:, 30] / inter_ocular_distance(landmarks)[:, None]
    assert 0.01 < np.ptp(nose, axis=0).max() < 0.5
    assert np.ptp(landmarks[:, MOUTH], axis=0).max() > 3
    frames = read_frames(corpus / "VideoFlash" / f"{clip}.flv", 25).astype(float)
    assert 0.4 < np.abs(np.diff(frames[:, :20, :20], axis=0)).mean() < 6
