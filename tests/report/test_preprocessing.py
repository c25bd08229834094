import numpy as np
import pandas as pd
import pytest

from pipeline.report.by_clip import REACH, figures_by_clip, lag_correlations, sync_check, worst
from pipeline.report.pictures import thumbnail, with_landmarks
from pipeline.report.preprocessing import rejected_pictures

RNG = np.random.default_rng(0)


def by_clip(pairs):
    """As `sync_by_clip` has it of what the stages left."""
    return pd.DataFrame([lag_correlations(*pair) for pair in pairs], columns=range(-REACH, REACH + 1)).dropna()


def clips(lag, n_clips=12, n_frames=60, noise=0.3):
    """Mouths that follow the sound by `lag` frames, more or less."""
    for _ in range(n_clips):
        loudness = np.convolve(RNG.normal(size=n_frames + 40), np.ones(4) / 4, "same")
        mouth = np.roll(loudness, lag) + noise * RNG.normal(size=len(loudness))
        yield mouth[20 : 20 + n_frames], loudness[20 : 20 + n_frames + 3]


@pytest.mark.parametrize("lag", [-6, -1, 0, 3, 8])
def test_a_planted_lag_is_found(lag):
    result = sync_check(by_clip(clips(lag)))
    assert result["lag"] == lag and result["correlation"] > 0.7 and result["clips"] == 12


def test_mouths_that_do_not_follow_the_sound_do_not_correlate():
    unrelated = ((RNG.normal(size=60), RNG.normal(size=60)) for _ in range(40))
    assert sync_check(by_clip(unrelated))["correlation"] < 0.2


def test_still_mouths_and_short_clips_are_left_out():
    still = (np.zeros(60), RNG.normal(size=60))
    short = (RNG.normal(size=9), RNG.normal(size=9))
    assert sync_check(by_clip([still, short])) == {"clips": 0, "correlation": None, "lag": None}
    assert sync_check(by_clip([still, *clips(2, n_clips=3)]))["clips"] == 3


def test_each_fault_names_its_clip():
    """Twelve clips alike but for one that is short, one far from the camera, one half silent …"""
    names = [f"clip{k}" for k in range(12)]
    sync = by_clip([*clips(1, n_clips=10), *clips(-5, n_clips=1), *clips(1, n_clips=1, noise=5)]).set_axis(names)
    stage = pd.DataFrame({"reason": None}, index=names)
    faces = stage.assign(frames=75, frames_with_face=75, eye_distance=50.0)
    aligned, sound = stage.assign(jitter_raw=0.02), stage.assign(silent_share=0.1)
    faces.loc["clip0", ["frames", "frames_with_face"]] = 10
    faces.loc["clip1", "eye_distance"] = 12.0
    faces.loc["clip2", "frames_with_face"] = 70
    aligned.loc["clip3", "jitter_raw"] = 0.07
    sound.loc["clip4", "silent_share"] = 0.5
    aligned.loc["clip5", "reason"] = "failed"
    figures = figures_by_clip(faces, aligned, sound, sync, fps=25)
    found = {
        name: worst(figures, name, 1).index[0] for name in ("seconds", "eye_distance", "missing", "jitter", "silent")
    }
    assert list(found.values()) == ["clip0", "clip1", "clip2", "clip3", "clip4"]
    assert set(worst(figures, "sync", 2).index) == {"clip10", "clip11"}
    assert figures.loc["clip10", "lag"] == -5 and figures.loc["clip0", "seconds"] == 0.4
    assert "clip5" not in figures.index


def test_rejected_clips_are_shown_as_far_as_they_can_be_read(tmp_path, make_clip):
    for stage in (
        "clips",
        "landmarks",
        "alignment/small",
        "heatmaps",
        "action_units",
        "audio_features",
        "character_features",
    ):
        rows = []
        if stage == "clips":
            rows = [("unlisted", stage, "missing", "unlisted.mp4")]
        if stage == "landmarks":
            rows = [(name, stage, "no_face", name) for name in ("a", "broken", "b", "c", "d", "e")]
            rows += [("f", stage, "unsteady", "f")]
        (tmp_path / stage).mkdir(parents=True)
        table = pd.DataFrame(rows, columns=["clip", "stage", "reason", "detail"], dtype=str)
        table.to_parquet(tmp_path / stage / "rejected.parquet")
    names = ["a", "broken", "b", "c", "d", "e", "f"]
    videos = [str(make_clip(tmp_path / f"{name}.mp4", n_frames=30)) for name in names]
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    pd.DataFrame({"clip": names, "video": videos}).to_parquet(tmp_path / "clips" / "clips.parquet")
    shown = rejected_pictures(tmp_path, ["small"], fps=25)
    # Four of each reason, one of which cannot be opened.
    assert list(shown) == ["a: no_face", "b: no_face", "c: no_face", "f: unsteady"]
    assert all(pictures.shape == (3, 96, 96, 3) for pictures in shown.values())


def test_landmarks_are_drawn_where_they_lie():
    drawn = with_landmarks(np.zeros((1, 64, 64, 3), np.uint8), np.full((1, 68, 2), [16.0, 40.0]), size=128)
    y, x = np.argwhere(drawn[0, :, :, 1] > 100).mean(axis=0)
    assert (x, y) == pytest.approx((32.5, 80.5), abs=0.3)  # pixel 16 covers 32 and 33


def test_a_thumbnail_keeps_the_frames_shape():
    picture = thumbnail(np.zeros((288, 360, 3), np.uint8))
    dark = np.argwhere(picture[..., 0] < 128)
    assert picture.shape == (96, 96, 3) and np.ptp(dark, axis=0) == pytest.approx((76, 95), abs=1)
