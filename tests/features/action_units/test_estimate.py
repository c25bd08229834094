import stat
import sys

import numpy as np
import pytest

from pipeline.errors import ClipRejected, UserError
from pipeline.features.action_units.estimate import Clip, estimate
from pipeline.features.action_units.geometry import landmark_action_units
from tests.features.action_units.test_geometry import MOVES, with_move
from tests.features.action_units.test_openface import row, write


@pytest.fixture
def clip(tmp_path):
    (tmp_path / "a.mpg").write_bytes(b"a video")
    return Clip(tmp_path / "a.mpg", with_move(*MOVES[25]), np.arange(60) != 50)


def test_landmarks_count_where_there_was_a_face(clip):
    units = estimate(clip, 25, "landmarks")
    assert np.flatnonzero(units.missing).tolist() == [50]
    expected = landmark_action_units(clip.landmarks, 25).intensity
    np.testing.assert_allclose(units.intensity[:50], expected[:50], atol=1e-3)


def test_openface_has_the_landmarks_number_of_frames(clip, tmp_path):
    table = write(tmp_path / "table.csv", [row(k + 1, k / 25) for k in range(58)])
    program = tmp_path / "FeatureExtraction"
    program.write_text(
        f"#!{sys.executable}\nimport shutil, sys\nshutil.copy({str(table)!r}, sys.argv[4] + '/clip.csv')"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    units = estimate(clip, 25, "openface", command=str(program))
    assert len(units.intensity) == 60 and np.flatnonzero(units.missing).tolist() == [58, 59]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "openface", "command": "no-such-program"}, "algebr/openface"),
        ({"backend": "mediapipe"}, r"action_units\.model"),
        ({"backend": "face"}, "must be landmarks, openface or mediapipe"),
    ],
)
def test_what_is_not_there_is_said_at_once(clip, make_clip, tmp_path, options, message):
    real = clip._replace(video=make_clip(tmp_path / "b.mp4", n_frames=3))
    with pytest.raises(UserError, match=message):
        estimate(real, 25, **options)


def test_a_clip_without_any_face_is_rejected(clip):
    with pytest.raises(ClipRejected, match="no_face"):
        estimate(clip._replace(has_face=np.zeros(60, bool)), 25, "landmarks")
