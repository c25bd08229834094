import os
from itertools import product
from pathlib import Path

import pytest

from pipeline.corpus.inventory import list_clips
from pipeline.corpus.layouts import CREMA_D_SENTENCES, SPLITS, read_corpus
from pipeline.corpus.splits import split_of, validation_subjects
from pipeline.errors import UserError

GRID_NAMES = [f"{a}{b}{c}{d}{e}n" for a, b, c, d, e in product("bl", "bg", "ai", "fz", "27")]


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def by_id(clips):
    return {clip.id: clip for clip in clips}


def test_crema_d(tmp_path):
    touch(tmp_path, "VideoFlash/1001_IEO_HAP_HI.flv", "VideoFlash/1040_ITH_SAD_X.flv", "AudioWAV/1001_IEO_HAP_HI.wav")
    touch(tmp_path, "VideoFlash/notes.txt", "VideoFlash/1001_ZZZ_HAP_HI.flv")
    clips = by_id(read_corpus("crema_d", tmp_path))
    assert set(clips) == {"1001_IEO_HAP_HI", "1040_ITH_SAD_X", "1001_ZZZ_HAP_HI"}
    clip = clips["1001_IEO_HAP_HI"]
    assert (clip.subject, clip.sentence, clip.emotion, clip.level) == ("1001", "IEO", "HAP", "HI")
    assert [path.name for path in clip.sounds] == ["1001_IEO_HAP_HI.flv", "1001_IEO_HAP_HI.wav"]
    assert clip.transcript == "it's eleven o'clock"
    assert clips["1040_ITH_SAD_X"].level == "X"
    assert clips["1001_ZZZ_HAP_HI"].problem.reason == "bad_name"
    assert len(CREMA_D_SENTENCES) == 12


@pytest.mark.parametrize("root", [".", "s1"])
def test_grid_whole_or_one_speaker(tmp_path, root):
    touch(tmp_path, "s1/bbaf2n.mpg", "s1/video/lgwt3a.mpg", "s22/prap5s.mpg", "readme/x.mpg")
    (tmp_path / "align" / "s1").mkdir(parents=True)
    (tmp_path / "align/s1/bbaf2n.align").write_text("0 23750 sil\n23750 29500 bin\n29500 34000 blue\n34000 74500 sil\n")
    clips = by_id(read_corpus("grid", tmp_path / root))
    assert set(clips) == {"s1_bbaf2n", "s1_lgwt3a"} | ({"s22_prap5s"} if root == "." else set())
    assert clips["s1_bbaf2n"].transcript == "bin blue"  # as aligned, where it is aligned
    assert clips["s1_lgwt3a"].transcript == "lay green with t three again"  # by its name, where it is not


def test_a_second_copy_of_a_grid_sentence_is_a_problem(tmp_path):
    touch(tmp_path, "s1/bbwg3a (1).mpg", "s1/bbwg3a.mpg", "s1/bbaf2n - Copy.mpg", "s2/bbwg3a.mpg", "s2/bbaf2n.mpg")
    clips = by_id(read_corpus("grid", tmp_path))
    copy = clips.pop("s1_bbwg3a__1_").problem
    assert copy.reason == "copy" and "bbwg3a (1).mpg is a copy of bbwg3a.mpg" in copy.detail
    # What is there only as a copy is the sentence; another speaker's is no copy.
    assert all(clip.problem is None for clip in clips.values()) and len(clips) == 4
    alone = clips["s1_bbaf2n_-_Copy"]
    assert (alone.sentence, alone.transcript) == ("bbaf2n", "bin blue at f two now")


def test_tcd_timit(tmp_path):
    touch(tmp_path, "volunteers/01M/Clips/straightcam/sa1.mp4", "volunteers/01M/Clips/30degcam/sa1.mp4")
    touch(tmp_path, "lipspeakers/Lipspkr1/Clips/straightcam/sx7.mp4")
    (tmp_path / "volunteers/01M/Clips/straightcam/sa1.txt").write_text("She had\nyour dark suit")
    clips = by_id(read_corpus("tcd_timit", tmp_path))
    assert set(clips) == {"01M_sa1", "Lipspkr1_sx7"}
    assert clips["01M_sa1"].transcript == "she had your dark suit" and clips["01M_sa1"].sentence == "sa1"


@pytest.mark.parametrize("root", ["volunteers", "volunteers/01M"])
def test_tcd_timit_from_further_in_and_in_capitals(tmp_path, root):
    folder = tmp_path / "volunteers/01M/Clips/straightcam"
    touch(folder, "SA1.MP4", "sa1.WAV", "si10.mp4", "si10.WAV", "30degcam.txt")
    (folder / "SA1.TXT").write_text("She had")
    clips = by_id(read_corpus("tcd_timit", tmp_path / root))
    assert set(clips) == {"01M_SA1", "01M_si10"}
    assert (clips["01M_SA1"].sentence, clips["01M_SA1"].transcript) == ("sa1", "she had")
    assert [path.name for path in clips["01M_SA1"].sounds] == ["SA1.MP4", "sa1.WAV"]
    assert [path.name for path in clips["01M_si10"].sounds] == ["si10.mp4", "si10.WAV"]


@pytest.mark.parametrize("root", [".", "M003"])
def test_mead(tmp_path, root):
    touch(tmp_path, "M003/video/front/angry/level_1/001.mp4", "M003/video/left_30/angry/level_1/001.mp4")
    touch(tmp_path, "M003/audio/angry/level_1/001.m4a", "M003/video/front/surprised/level_3/002.mp4")
    clips = by_id(read_corpus("mead", tmp_path / root))
    assert set(clips) == {"M003_angry_level_1_001", "M003_surprised_level_3_002"}
    clip = clips["M003_angry_level_1_001"]
    assert (clip.subject, clip.sentence, clip.emotion, clip.level) == ("M003", "001", "ANG", "level_1")
    assert [path.suffix for path in clip.sounds] == [".mp4", ".m4a"]
    assert clips["M003_surprised_level_3_002"].emotion == "surprised"
    assert split_of(clip, "mead", held_out_sentences=0) in ("train", "validation")


def test_a_folder_with_a_table(tmp_path):
    touch(tmp_path, "a/one.mp4", "two.mp4")
    (tmp_path / "clips.csv").write_text(
        "video,subject,emotion,split,transcript\na/one.mp4,anna,HAP,test,hello there\ntwo.mp4,bob,,,\n"
    )
    clips = by_id(read_corpus("folder", tmp_path))
    assert set(clips) == {"a_one", "two"}
    assert (clips["a_one"].split, clips["a_one"].sentence) == ("test", "hello there")
    assert clips["two"].emotion is None


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("../other.mp4,x,", "bad_row"),
        ("/etc/passwd,x,", "bad_row"),
        (",x,", "bad_row"),
        ("a.mp4,../../x,", "bad_name"),
        ("a.mp4,x,HAP,and more", "bad_row"),
    ],
)
def test_a_row_that_cannot_be_used_is_rejected_with_its_line(tmp_path, row, reason):
    touch(tmp_path, "a.mp4")
    (tmp_path / "clips.csv").write_text(f"video,id,emotion\n{row}\n")
    (clip,) = read_corpus("folder", tmp_path)
    assert clip.problem.reason == reason and "line 2" in clip.problem.detail
    assert "/" not in clip.id or clip.id.startswith(str(tmp_path))


@pytest.mark.parametrize(
    ("written", "read"),
    [("happy", "HAP"), ("hap", "HAP"), ("surprised", "surprised"), ("contempt", "contempt"), ("", None)],
)
def test_an_emotion_costs_no_clip(tmp_path, written, read):
    """Trainings look at the six codes only; what is none of them stays what it is."""
    touch(tmp_path, "a.mp4")
    (tmp_path / "clips.csv").write_text(f"video,emotion\na.mp4,{written}\n")
    (clip,) = read_corpus("folder", tmp_path)
    assert clip.problem is None and clip.emotion == read


def test_a_table_as_spreadsheets_write_it(tmp_path):
    """In half of Europe: semicolons, a mark of UTF-8, empty columns and rows at the end; and as people type."""
    touch(tmp_path, "a.mp4", "b.mp4")
    text = "\ufeffVideo; Subject ;EMOTION;;\r\na.mp4 ; anna; HAP;;\r\nb.mp4;bob, the builder;;;\r\n;;;;\r\n"
    (tmp_path / "clips.csv").write_text(text)
    clips = by_id(read_corpus("folder", tmp_path))
    assert {clip.id: (clip.subject, clip.emotion) for clip in clips.values()} == {
        "a": ("anna", "HAP"),
        "b": ("bob, the builder", None),
    }
    assert all(clip.problem is None for clip in clips.values())


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("film,subject", "names the columns 'film', 'subject'; the column 'video' is missing"),
        ("video,emotoin,notes", "names the columns 'video', 'emotoin', 'notes'; 'emotoin', 'notes' would not be read"),
        ("video,subject,Subject", "'subject' stands there twice"),
    ],
)
def test_a_header_at_fault_is_shown_with_its_column(tmp_path, header, said):
    (tmp_path / "clips.csv").write_text(f"{header}\na.mp4\n")
    with pytest.raises(UserError) as error:
        read_corpus("folder", tmp_path)
    assert "clips.csv: its first line " in str(error.value) and said in str(error.value)


def test_missing_and_empty_corpora_are_one_line(tmp_path):
    with pytest.raises(UserError, match=r"corpus\.root.*does not exist"):
        read_corpus("grid", tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"no clip in .* layout 'grid'"):
        read_corpus("grid", tmp_path)
    with pytest.raises(UserError, match=r"clips\.csv is missing"):
        read_corpus("folder", tmp_path)


def test_subjects_and_sentences_are_held_apart(tmp_path):
    names = [f"VideoFlash/{s}_{t}_NEU_XX.flv" for s in (1001, 1002, 1015, 1089) for t in CREMA_D_SENTENCES]
    touch(tmp_path, *names)
    clips = read_corpus("crema_d", tmp_path)
    splits = {clip.id: split_of(clip, "crema_d", held_out_sentences=5) for clip in clips}
    assert {clip.subject for clip in clips if splits[clip.id] == "test"} == {"1015", "1089"}
    held_out = {clip.sentence for clip in clips if splits[clip.id] == "test_sentences"}
    trained_on = {clip.sentence for clip in clips if splits[clip.id] in ("train", "validation")}
    assert held_out and not held_out & trained_on
    everything = {split_of(clip, "crema_d", held_out_sentences=0) for clip in clips}
    assert "test_sentences" not in everything


def test_people_validate_where_there_are_enough(tmp_path):
    """Of CREMA-D's 91 subjects, some; of a few, a clip in twenty, since each is needed for training; of GRID, the list's."""
    touch(tmp_path, *(f"VideoFlash/{s}_{t}_NEU_XX.flv" for s in range(1001, 1092) for t in ("IEO", "DFA", "TSI")))
    clips = read_corpus("crema_d", tmp_path)
    validating = validation_subjects("crema_d", clips)
    by_subject = {clip.subject: set() for clip in clips}
    for clip in clips:
        by_subject[clip.subject].add(split_of(clip, "crema_d", 0, validating))
    assert {subject for subject, splits in by_subject.items() if "validation" in splits} == validating
    assert all(len(splits) == 1 for splits in by_subject.values()) and 4 <= len(validating) <= 12
    assert not validation_subjects("crema_d", [clip for clip in clips if clip.subject < "1015"])
    touch(tmp_path, "s1/bbaf2n.mpg", "s20/bbaf2n.mpg")
    assert validation_subjects("grid", read_corpus("grid", tmp_path)) == {"s20"}


@pytest.mark.parametrize(
    ("layout", "clips", "n_training", "n_testing"),
    [
        # Cooke et al. 2006: 34 talkers, of whom the 21st was not filmed.
        ("grid", [f"s{n}/{name}.mpg" for n in range(1, 35) if n != 21 for name in GRID_NAMES], 27, 6),
        # Harte & Gillen 2015: 59 volunteers.
        ("tcd_timit", [f"{n:02d}M/Clips/straightcam/sx{k}.mp4" for n in range(1, 60) for k in range(40)], 49, 10),
    ],
)
def test_chen_s_trains_on_all_but_a_few(tmp_path, layout, clips, n_training, n_testing):
    """The paper's numbers (§4.1): nobody is on both sides, who tests does so by Vougioukas's list too, and clips validate."""
    touch(tmp_path, *clips)
    clips = read_corpus(layout, tmp_path)
    by_split = {split: set() for split in SPLITS}
    validating = validation_subjects(layout, clips, "chen_s")
    for clip in clips:
        by_split[split_of(clip, layout, 0, validating, "chen_s")].add(clip.subject)
    assert (len(by_split["train"]), len(by_split["test"])) == (n_training, n_testing)
    assert by_split["test"].isdisjoint(by_split["train"] | by_split["validation"]) and not by_split["test_sentences"]
    assert by_split["validation"] and by_split["validation"] <= by_split["train"]
    by_vougioukas = {clip.subject for clip in clips if split_of(clip, layout, 0) == "test"}
    assert by_split["test"] < by_vougioukas


def test_grid_sentences_are_held_out_by_the_crc_of_their_names(tmp_path):
    """zlib.crc32: of these four, only lgwt3a's is divisible by five."""
    touch(tmp_path, *(f"s1/{name}.mpg" for name in ("bbaf2n", "bbir8p", "lgwt3a", "swbo8n")))
    from zlib import crc32

    for clip in read_corpus("grid", tmp_path):
        expected = crc32(clip.sentence.encode("ascii")) % 5 == 0
        assert (split_of(clip, "grid", 5) == "test_sentences") == expected


def test_every_file_that_cannot_be_used_is_a_row(tmp_path):
    """Two of one id, both broken; one listed twice; a name that is not text."""
    touch(tmp_path, "s1/bbaf2n.mpg", "s1/video/bbaf2n.mpg", "s1/bbaf2n.mkv")
    Path(os.fsdecode(bytes(tmp_path) + b"/s1/\xff.mpg")).touch()
    clips, rejected = list_clips("grid", tmp_path, held_out_sentences=5, workers=1)
    assert len(clips) == 0 and len(rejected) == len(dict(rejected)) == 4
    assert sorted(problem.reason for _, problem in rejected) == ["bad_name", *["empty_file"] * 3]
    folder = tmp_path / "folder"
    touch(folder, "a.mp4")
    (folder / "clips.csv").write_text("video\na.mp4\na.mp4\na.mp4\n")
    assert len(list_clips("folder", folder, 0, workers=1)[1]) == 3


def test_links_in_a_circle_and_names_that_no_file_can_have(tmp_path):
    (tmp_path / "circle.mp4").symlink_to(tmp_path / "circle.mp4")
    (tmp_path / "clips.csv").write_text('video\ncircle.mp4\n"a\0b.mp4"\n')
    assert [clip.problem.reason for clip in read_corpus("folder", tmp_path)] == ["bad_row", "bad_row"]
