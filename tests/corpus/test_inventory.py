"""Where a clip's sound comes from, and what is said of clips that cannot be told apart."""

import numpy as np
import pytest
import soundfile

from pipeline.corpus.inventory import list_clips

SILENCE = np.zeros(26_460)


def listed(root, layout="folder"):
    clips, rejected = list_clips(layout, root, held_out_sentences=0, workers=1)
    return dict(zip(clips["clip"], clips["audio"], strict=True)), dict(rejected)


def table(root, *rows):
    (root / "clips.csv").write_text("\n".join(["video,audio", *rows]))


def test_digital_silence_is_rejected(tmp_path, make_clip):
    make_clip(tmp_path / "aac.mp4", sound=SILENCE)
    make_clip(tmp_path / "aac.mkv", sound=SILENCE)
    make_clip(tmp_path / "quiet.mp4", sound=0.001 * np.sin(np.arange(26_460) * 0.1))
    soundfile.write(tmp_path / "silence.wav", SILENCE, 22_050)
    table(tmp_path, "aac.mp4", "quiet.mp4", "quiet.mp4,silence.wav")
    used, rejected = listed(tmp_path)
    assert set(used) == {"quiet"}
    assert [problem.reason for problem in rejected.values()] == ["silent", "silent"]
    assert "aac.mp4" in rejected["aac"].detail and "silence.wav" in rejected[str(tmp_path / "quiet.mp4")].detail


def test_who_tests_is_on_the_list_that_is_chosen(tmp_path, make_clip):
    """GRID's s18 is on both lists, s19 on Vougioukas's alone."""
    for speaker in ("s18", "s19"):
        make_clip(tmp_path / speaker / "bbaf2n.mp4")
    for whose, splits in {"vougioukas": ["test", "test"], "chen_s": ["test", "train"]}.items():
        clips, _ = list_clips("grid", tmp_path, 0, whose, workers=1)
        assert clips["split"].tolist() == splits


@pytest.mark.parametrize("sound", [True, False, SILENCE])
def test_a_file_that_the_user_names_wins(tmp_path, make_clip, speech, sound):
    """Whatever the container holds: that is why it was named."""
    make_clip(tmp_path / "a.mp4", sound=sound)
    table(tmp_path, "a.mp4,speech.wav")
    assert listed(tmp_path)[0] == {"a": str(speech)}


@pytest.mark.parametrize(("sound", "taken"), [(True, "flv"), (False, "wav"), (SILENCE, "wav")])
def test_a_corpuss_separate_file_is_taken_where_the_container_holds_nothing(tmp_path, make_clip, speech, sound, taken):
    name = "1001_IEO_HAP_HI"
    make_clip(tmp_path / "VideoFlash" / f"{name}.flv", sound=sound)
    (tmp_path / "AudioWAV").mkdir()
    speech.rename(tmp_path / "AudioWAV" / f"{name}.WAV")
    used, _ = listed(tmp_path, "crema_d")
    assert used[name].lower().endswith(taken)


def test_two_clips_of_one_id_are_told_to_take_another(tmp_path, make_clip):
    make_clip(tmp_path / "a.mp4")
    make_clip(tmp_path / "a.mkv")
    table(tmp_path, "a.mp4", "a.mkv")
    (problem,) = listed(tmp_path)[1].values()
    assert problem.reason == "duplicate_id" and "a.mp4" in problem.detail and "column `id`" in problem.detail
