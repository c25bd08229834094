"""Against planted programs that behave as OpenFace does, well and badly, and against tables that it wrote."""

import os
import stat
import sys
import time

import numpy as np
import pytest

from pipeline.errors import ClipRejected, UserError
from pipeline.features.action_units import openface
from pipeline.features.action_units.openface import command_words, openface_action_units, read_openface
from pipeline.features.action_units.units import AUS

ALL_R = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)
ALL_C = (*ALL_R[:-1], 28, 45)
HEADER = ["frame", "face_id", "timestamp", "confidence", "success"]
HEADER += [f"AU{au:02d}_r" for au in ALL_R] + [f"AU{au:02d}_c" for au in ALL_C]


def row(frame, time, au25=0.0, present=0, confidence=0.98, success=1, face=0):
    values = dict.fromkeys(HEADER, 0.0) | {"AU25_r": au25, "AU25_c": present}
    values |= {"frame": frame, "face_id": face, "timestamp": time, "confidence": confidence, "success": success}
    return [values[name] for name in HEADER]


def write(path, rows, separator=", "):
    lines = [HEADER, *([f"{v:.3f}" for v in r] for r in rows)]
    path.write_text("\n".join(separator.join(line) for line in lines) + "\n")
    return path


@pytest.fixture
def clip(tmp_path):
    """OpenFace's stand-ins do not look into it."""
    path = tmp_path / "-q 'a\"\nb;$(c).mpg"
    path.write_bytes(b"a video")
    return path


@pytest.fixture
def program(tmp_path):
    """Write an executable in place of FeatureExtraction: Python that finds its arguments in `given`, and a table in `table`."""
    table = write(tmp_path / "table.csv", [row(k + 1, k / 25, au25=k / 10, present=k % 2) for k in range(10)])

    def make(body):
        path = tmp_path / "Feature Extraction"
        start = [
            f"#!{sys.executable}",
            "import os, shutil, signal, sys, time",
            "given = dict(zip(sys.argv[1::2], sys.argv[2::2]))",
            f"table = {str(table)!r}",
            "result = os.path.join(given.get('-out_dir', '.'), given.get('-of', 'none') + '.csv')",
        ]
        path.write_text("\n".join([*start, body]))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return [str(path)]

    return make


def test_a_run_gives_the_table_on_the_videos_clock(clip, program):
    body = "assert open(given['-f'], 'rb').read() == b'a video'; assert '-aus' in sys.argv; shutil.copy(table, result)"
    units = openface_action_units(clip, 10, 25, program(body))
    k = AUS.index(25)
    np.testing.assert_allclose(units.intensity[:, k], np.arange(10) / 10, atol=1e-6)
    np.testing.assert_array_equal(units.presence[:, k], np.arange(10) % 2 == 1)
    assert units.intensity.dtype == np.float32 and units.intensity.shape == (10, 6)
    assert units.confidence == pytest.approx(0.98) and not units.missing.any()


def test_names_of_clips_reach_no_shell_and_no_option(clip, program, tmp_path):
    body = f"open({str(tmp_path / 'seen')!r}, 'w').write(repr(sys.argv[1:])); shutil.copy(table, result)"
    openface_action_units(clip, 10, 25, program(body))
    words = eval((tmp_path / "seen").read_text())
    assert os.path.isabs(words[1]) and words[1].endswith(".mpg") and "q" not in os.path.basename(words[1])


def test_a_command_of_several_words_knows_the_folder(clip, program):
    """As a container's -v {folder}:{folder} does."""
    body = (
        "given = dict(zip(sys.argv[3::2], sys.argv[4::2])); folder = sys.argv[2].split(':')[0]\n"
        "assert given['-f'].startswith(folder + '/') and given['-out_dir'].startswith(folder + '/')\n"
        "shutil.copy(table, os.path.join(given['-out_dir'], 'clip.csv'))"
    )
    command = f"'{program(body)[0]}' -v {{folder}}:{{folder}}"
    assert len(openface_action_units(clip, 10, 25, command).confidence) == 10


def test_a_relative_path_is_the_users(clip, program, tmp_path, monkeypatch):
    program("shutil.copy(table, result)")
    monkeypatch.chdir(tmp_path)
    assert len(openface_action_units(clip, 10, 25, "'./Feature Extraction'").confidence) == 10


@pytest.mark.parametrize(
    ("body", "reason", "detail"),
    [
        ("print('Failed to open the video file')", "openface_failed", "Failed to open the video file"),
        ("sys.exit(134)", "openface_failed", "wrote no table"),
        ("os.kill(os.getpid(), signal.SIGABRT)", "openface_failed", "wrote no table"),
        ("open(result, 'w').write('')", "openface_failed", "cannot be read"),
        ("open(result, 'wb').write(bytes(range(256)) * 9)", "openface_failed", "table"),
        ("open(result, 'w').write('frame, success\\n1, 1\\n')", "openface_failed", "no column timestamp"),
        ("open(result, 'w').writelines(open(table).readlines()[:1])", "openface_failed", "no whole row"),
        ("open(result, 'w').writelines(open(table).readlines()[:5])", "openface_failed", "ends at 0.16 of 0.40 s"),
        ("open(result, 'w').write(open(table).read().replace('0.980, 1.0', '0.020, 0.0'))", "no_face", "of 10"),
        ("os.mkdir(result)", "openface_failed", "wrote no table"),
    ],
)
def test_only_the_table_is_judged(clip, program, body, reason, detail):
    with pytest.raises(ClipRejected) as caught:
        openface_action_units(clip, 10, 25, program(body))
    assert caught.value.reason == reason and detail in caught.value.detail


def test_a_good_table_counts_whatever_the_exit_status(clip, program):
    body = "shutil.copy(table, result); print('x' * 1_000_000); sys.exit(134)"
    assert not openface_action_units(clip, 10, 25, program(body)).missing.any()


def test_a_hanging_program_is_ended_with_its_children(clip, program, tmp_path, monkeypatch):
    """It ignores the polite signal, has a child, and holds the pipe: all of it must go."""
    body = (
        "signal.signal(signal.SIGTERM, lambda *_: None)\n"
        f"child = os.fork()\nopen({str(tmp_path / 'pid')!r} + str(child > 0), 'w').write(str(os.getpid()))\n"
        "while True: time.sleep(0.05)"
    )
    monkeypatch.setattr(openface, "GRACE_S", 0.2)
    start = time.monotonic()
    with pytest.raises(ClipRejected) as caught:
        openface_action_units(clip, 10, 25, program(body), time_limit_s=0.5)
    assert caught.value.reason == "openface_timeout" and time.monotonic() - start < 8
    for which in ("True", "False"):
        pid = int((tmp_path / f"pid{which}").read_text())
        assert not is_running(pid)


def is_running(pid, patience_s=2.0):
    """Whether a process is there and not merely waiting to be collected."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return False
        except OSError:
            return False
        time.sleep(0.02)
    return True


def test_nothing_is_left_behind(clip, program, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    openface_action_units(clip, 10, 25, program("shutil.copy(table, result)"))
    with pytest.raises(ClipRejected):
        openface_action_units(clip, 10, 25, program("sys.exit(1)"))
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.parametrize("command", ["no-such-program -x", "", [], ["/etc"], "an 'unclosed"])
def test_a_missing_program_is_said_in_one_line(command):
    with pytest.raises(UserError, match=r"action_units\.command") as caught:
        command_words(command)
    assert "\n" not in str(caught.value)
    if command != "an 'unclosed":
        assert "algebr/openface" in str(caught.value) and "backend: landmarks" in str(caught.value)


def test_a_file_that_is_no_program(clip, tmp_path):
    path = tmp_path / "FeatureExtraction"
    path.write_bytes(b"\x7fnot a program")
    path.chmod(0o755)
    with pytest.raises(UserError, match="could not be started"):
        openface_action_units(clip, 10, 25, [str(path)])


def test_a_missing_clip(tmp_path, program):
    with pytest.raises(ClipRejected, match="missing"):
        openface_action_units(tmp_path / "none.mpg", 10, 25, program("pass"))


@pytest.mark.parametrize("separator", [", ", ","])  # OpenFace 2.0 and 2.2
def test_both_column_styles(tmp_path, separator):
    path = write(tmp_path / "a.csv", [row(k + 1, k / 25, au25=2.5) for k in range(5)], separator)
    assert read_openface(path, 5, 25).intensity[:, AUS.index(25)] == pytest.approx(2.5)


def read_25(path, n_frames, **options):
    return read_openface(path, n_frames, 25, **options).intensity[:, AUS.index(25)]


def test_other_frame_rates_are_mapped_by_timestamp(tmp_path):
    """Frame k has the row of the last frame shown by (k + ½)/25 s; intensity is the row's own number / 100."""
    fast = write(tmp_path / "fast.csv", [row(k + 1, round(k / 50, 3), au25=k / 100) for k in range(20)])
    assert read_25(fast, 10) * 100 == pytest.approx(np.arange(10) * 2 + 1)
    ntsc = write(tmp_path / "ntsc.csv", [row(k + 1, round(k / 29.97, 3), au25=k / 100) for k in range(30)])
    age = (np.arange(25) + 0.5) / 25 - read_25(ntsc, 25) * 100 / 29.97
    assert age.min() > -0.001 and age.max() < 1 / 29.97 + 0.001  # OpenFace rounds to milliseconds
    slow = write(tmp_path / "slow.csv", [row(k + 1, round(k / 12.5, 3), au25=k / 100) for k in range(5)])
    assert read_25(slow, 10) * 100 == pytest.approx([0, 0, 1, 1, 2, 2, 3, 3, 4, 4])


def test_without_timestamps_frame_numbers_count(tmp_path):
    path = write(tmp_path / "a.csv", [row(k + 1, 0, au25=k / 10) for k in range(8)])
    assert read_25(path, 8) == pytest.approx(np.arange(8) / 10)


def test_frames_that_cannot_be_trusted_are_missing(tmp_path):
    rows = [row(k + 1, k / 25, au25=3, present=1) for k in range(10)]
    rows[2] = row(3, 2 / 25, au25=3, present=1, success=0)
    rows[5] = row(6, 5 / 25, au25=3, present=1, confidence=0.79)
    del rows[7]
    units = read_openface(write(tmp_path / "a.csv", rows), 10, 25)
    assert np.flatnonzero(units.missing).tolist() == [2, 5, 7]
    assert not units.presence[[2, 5, 7]].any() and units.presence[[0, 9], AUS.index(25)].all()
    assert units.confidence[[5, 7]] == pytest.approx([0.79, 0])
    assert not read_openface(tmp_path / "a.csv", 10, 25, min_confidence=0.5).missing[5]


def test_of_several_faces_the_most_seen_counts(tmp_path):
    rows = [row(k + 1, k / 25, au25=1, face=0, success=int(k < 4)) for k in range(10)]
    rows += [row(k + 1, k / 25, au25=2, face=1) for k in range(10)]
    assert read_25(write(tmp_path / "a.csv", rows), 10) == pytest.approx(2)


def test_a_row_cut_in_the_middle_is_left_out(tmp_path):
    path = write(tmp_path / "a.csv", [row(k + 1, k / 25, au25=1) for k in range(20)])
    path.write_text(path.read_text()[:-60])
    assert np.flatnonzero(np.isnan(read_25(path, 20))).tolist() == [19]


@pytest.fixture
def real(real_clips):
    folder = real_clips.parent / "openface"
    if not folder.is_dir():
        pytest.skip("no OpenFace output beside the clips")
    return folder


def test_a_real_table(real):
    """Figures read off the file itself: frame 2 of bbaf2n has AU10_r 0.19 and AU20_r 0.06 (static models there)."""
    units = read_openface(real / "edge" / "bbaf2n.aus_au_static.csv", 75, 25)
    assert not units.missing.any() and units.confidence.min() > 0.8
    full = read_openface(real / "grid" / "bbaf2n.full714.csv", 75, 25)
    few = read_openface(real / "aus" / "s1" / "bbaf2n.csv", 75, 25)
    np.testing.assert_array_equal(full.presence, few.presence)
    assert few.intensity[1, AUS.index(10)] == pytest.approx(0.19)


def test_real_odd_cases(real):
    hidden = read_openface(real / "edge" / "face_hidden_1s_to_2s.2Dfp_pose_aus.csv", 75, 25)
    assert np.flatnonzero(hidden.missing).tolist() == list(range(25, 51))
    pictures = read_openface(real / "edge" / "fdir_20_png.2Dfp_aus.csv", 20, 25)
    assert not pictures.missing.any() and np.ptp(pictures.intensity[:, AUS.index(26)]) >= 0
    with pytest.raises(ClipRejected, match="no_face"):
        read_openface(real / "edge" / "no_face_50_frames.2Dfp_pose_aus.csv", 50, 25)
    with pytest.raises(ClipRejected, match=r"ends at 1\.40 of 3\.00 s"):
        read_openface(real / "edge" / "truncated_mpg.aus.csv", 75, 25)
