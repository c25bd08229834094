"""On real people, where such clips are to be had (TALKING_HEAD_CLIPS); skipped elsewhere."""

import numpy as np
import pandas as pd
import pytest

from pipeline.corpus.inventory import list_clips
from pipeline.errors import ClipRejected
from pipeline.features.alignment import align_landmarks, crop_faces, template
from pipeline.features.audio import log_mel
from pipeline.features.landmarks import mouth_opening
from pipeline.features.tracking import detect_video
from pipeline.video import is_silent, read_audio, read_frames, write_video

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def grid(real_clips):
    if not (real_clips.parent / "grid" / "s1").is_dir():
        pytest.skip("no GRID corpus beside the clips")
    return real_clips.parent / "grid"


def test_grid_in_its_own_layout(grid):
    clips, rejected = list_clips("grid", grid, held_out_sentences=5)
    assert not rejected and len(clips) > 150
    assert {"s1", "s22"} <= set(clips["subject"])
    assert clips["transcript"].str.split().str.len().between(6, 6).mean() > 0.95  # GRID sentences have six words
    assert set(clips["split"]) >= {"train", "validation", "test_sentences"}


def test_a_real_sentence_from_file_to_crops(grid):
    path = next((grid / "s1").glob("*.mpg"))
    faces = detect_video(path, 25, "dlib", redetect_every=25, max_missing=0.1)
    frames = read_frames(path, 25)
    assert len(frames) == 75 and faces.has_face.all()
    transforms, aligned = align_landmarks(faces.landmarks, template(faces.landmarks, 64, 0.3, 0.34))
    crops = crop_faces(frames, transforms, 64)
    assert crops.shape == (75, 64, 64, 3)
    assert np.abs(np.diff(aligned[:, 36:48].mean(axis=1), axis=0)).mean() < 0.1  # the eyes keep still
    assert np.ptp(mouth_opening(aligned)) > 0.05  # and the mouth does not
    mel = log_mel(read_audio(path, 22_050), 22_050, 60, 33)
    assert len(mel) / (22_050 / 364) == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("backend", ["dlib", "mediapipe"])
@pytest.mark.parametrize(("after", "reason"), [("s1", "used"), ("s5", "another_person"), ("s22", "another_person")])
def test_a_cut_is_noticed_where_it_is_to_another_speaker(grid, tmp_path, after, reason, backend):
    """All sit before one camera, at one place; from one sentence of a speaker to the next the head has moved, too."""
    if backend == "mediapipe":
        pytest.importorskip("mediapipe")
    first = sorted((grid / "s1").glob("*.mpg"))[0]
    second = sorted((grid / after).glob("*.mpg"))[-1]
    frames = [*read_frames(first, 25)[:25], *read_frames(second, 25)[:25]]
    write_video(tmp_path / "cut.mp4", frames, 25, read_audio(first, 22_050))
    assert outcome(tmp_path / "cut.mp4", backend) == reason


def outcome(path, backend="dlib"):
    try:
        detect_video(path, 25, backend, redetect_every=25, max_missing=0.1)
        return "silent" if is_silent(path) else "used"
    except ClipRejected as problem:
        return problem.reason


def test_every_clip_goes_through_or_is_rejected_with_the_right_reason(real_clips):
    """Against what an untracked detector and another decoder said of each file."""
    clips = pd.read_csv(real_clips / "clips.csv").query("kind == 'video'")
    clips = clips[[(real_clips / path).exists() for path in clips["path"]]]
    # Of one speaker's thirty alike clips a few will do.
    clips = clips.groupby(clips["path"].str.rsplit("/", n=1).str[0]).head(14).set_index("path")
    expected = pd.Series("used", clips.index)
    expected[clips["face_fraction"] < 0.9] = "no_face"
    expected[clips["notes"].str.startswith("NO AUDIO STREAM")] = "no_audio"
    expected[clips["notes"].str.contains("digital silence")] = "silent"
    # Heads that turn fast, one a morph whose landmarks leave the face, one 35 px from eye to eye.
    expected[["wild/dafoe.mp4", "lrs2/5535415699068794046_00013.mp4"]] = "unsteady"
    found = pd.Series({path: outcome(real_clips / path) for path in clips.index})
    assert len(clips) > 50 and set(expected) == {"used", "no_face", "no_audio", "silent", "unsteady"}
    assert found[found != expected].to_dict() == {}
