import numpy as np
import pandas as pd
import pytest

from pipeline.corpus.tables import read_landmarks, write_landmarks, write_rejected
from pipeline.errors import ClipRejected, UserError


def test_landmarks_come_back_per_clip(tmp_path):
    rng = np.random.default_rng(0)
    landmarks = {name: rng.normal(size=(n, 68, 2)).astype(np.float32) for name, n in (("b", 3), ("a", 1), ("c", 5))}
    write_landmarks(tmp_path / "l.parquet", landmarks)
    back = read_landmarks(tmp_path / "l.parquet")
    assert list(back) == ["b", "a", "c"]
    for clip in landmarks:
        np.testing.assert_array_equal(back[clip], landmarks[clip])
    table = pd.read_parquet(tmp_path / "l.parquet")
    assert list(table["frame"]) == [0, 1, 2, 0, 0, 1, 2, 3, 4]
    np.testing.assert_array_equal(table["points"][3][:2], landmarks["a"][0, 0])


def test_rejections_are_rows_and_too_many_stop_the_stage(tmp_path, capsys):
    rejected = [("x", ClipRejected("no_face", "x.mp4: none")), ("y", ClipRejected("no_audio", "y.mp4: silent film"))]
    write_rejected(tmp_path, "landmarks", rejected, n_clips=10, max_rejected=0.2)
    table = pd.read_parquet(tmp_path / "rejected.parquet")
    assert table.to_dict("list") == {
        "clip": ["x", "y"],
        "stage": ["landmarks"] * 2,
        "reason": ["no_face", "no_audio"],
        "detail": ["x.mp4: none", "y.mp4: silent film"],
    }
    assert "8/10 clips, 2 rejected" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"2 of 5 clips.*max_rejected"):
        write_rejected(tmp_path, "landmarks", rejected, n_clips=5, max_rejected=0.2)
    with pytest.raises(UserError, match="every clip was rejected"):
        write_rejected(tmp_path, "landmarks", rejected, n_clips=2, max_rejected=1.0)


def test_the_error_tells_of_the_commonest_reason_and_names_a_place_once(tmp_path):
    place = "clips.csv, line"
    rejected = [("a", ClipRejected("no_audio", "a.mp4: silent film"))]
    rejected += [(f"{place} {n}", ClipRejected("bad_row", f"{place} {n}: no video is named")) for n in (7, 8)]
    with pytest.raises(UserError) as error:
        write_rejected(tmp_path, "clips", rejected, n_clips=3, max_rejected=1.0)
    assert str(error.value) == (
        "clips: every clip was rejected (bad_row 2, no_audio 1); for example clips.csv, line 7: no video is named"
    )
