"""The command: which videos a call asks for, and what becomes of those that cannot be made."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from PIL import Image

from pipeline import generate
from pipeline.errors import UserError
from pipeline.jobs import COLUMNS, plan, read_table
from pipeline.training.trained import CARD, CARD_KEYS, FORM
from pipeline.video import read_audio, read_frames

SHIPPED = Path(__file__).parents[1] / "pretrained" / "sinha"


def asked(output=None, table=None, side_by_side=False, **given):
    """The outputs of the videos that a command line asks for, with what they are made of."""
    row = {name: given.get(name, [None]) for name in COLUMNS}
    row |= {name: [value and Path(value) for value in row[name]] for name in ("image", "audio", "driving_video")}
    return plan(row, table, side_by_side, output and Path(output))


def test_one_video_is_a_file_and_lies_in_the_folder_that_is_named():
    one = {"image": ["me.jpg"], "audio": ["hi.wav"], "system": ["sinha"]}
    for output, path in ((None, "talk.mp4"), ("a/b.mkv", "a/b.mkv"), ("a/b", "a/b/me_hi_sinha.mp4")):
        (job,) = asked(output, **one)
        assert job.output == Path(path)


def test_every_photo_says_every_speech_by_every_system():
    jobs = asked(
        "out", image=["x/me.jpg", "you.png"], audio=["hi.wav", "bye.mp3"], system=["sinha", "data/systems/maity"][:1]
    )
    assert [job.output.name for job in jobs] == [
        f"{face}_{said}_sinha.mp4" for face in ("me", "you") for said in ("hi", "bye")
    ]
    assert jobs[1].image == Path("x/me.jpg") and jobs[1].audio == Path("bye.mp3") and len(set(jobs)) == 4


def test_each_system_takes_what_drives_it_and_no_video_is_made_twice():
    """Emotions are for the one that shows them, driving videos for the one that follows them."""
    jobs = asked(
        image=["me.jpg"],
        audio=["hi.wav"],
        driving_video=["a.mp4", "b.mp4"],
        emotion=["HAP", "SAD"],
        system=["sinha", "maity", "kesim_erzin_landmark"],
    )
    assert [job.output.name for job in jobs] == [
        "me_hi_sinha.mp4",
        "me_hi_maity_HAP.mp4",
        "me_hi_maity_SAD.mp4",
        "me_hi_a_kesim_erzin_landmark.mp4",
        "me_hi_b_kesim_erzin_landmark.mp4",
    ]


def test_systems_to_compare_are_one_video():
    (job,) = asked(
        "out", side_by_side=True, image=["me.jpg"], audio=["hi.wav"], system=["sinha", "maity"], emotion=["HAP"]
    )
    assert job.systems == ("sinha", "maity") and job.output == Path("out/me_hi_compared_HAP.mp4")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_list_says_what_the_command_line_leaves_open(tmp_path, delimiter):
    lines = [["Image ", "audio", "system", "emotion", "output"], ["me.jpg", "hi.wav", "maity", "HAP", "sub/happy.mp4"]]
    lines += [["", "", "", "", ""], ["/there/you.jpg"]]
    (tmp_path / "jobs.csv").write_text("\n".join(delimiter.join(line) for line in lines), encoding="utf-8-sig")
    first, second = asked("out", tmp_path / "jobs.csv", audio=["bye.wav"], system=["sinha"])
    assert first == (tmp_path / "me.jpg", tmp_path / "hi.wav", None, ("maity",), "HAP", Path("out/sub/happy.mp4"))
    assert second == (Path("/there/you.jpg"), Path("bye.wav"), None, ("sinha",), None, Path("out/you_bye_sinha.mp4"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image,sound\na.jpg,b.wav\n", "has a column 'sound', which is none of image, audio"),
        ("image,audio\na.jpg,b.wav,c\n", "line 2 has more values than columns"),
        ("image,audio\n\n", "has no row"),
        ("", "has no row"),
        (b"\xff\xfe\x00", "cannot be read as a table"),
        (None, "cannot be read as a table"),
    ],
)
def test_a_list_that_cannot_be_read_is_one_line(tmp_path, text, words):
    if text is not None:
        (tmp_path / "jobs.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=f"^[^-].*{words}") as refused:
        read_table(tmp_path / "jobs.csv")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"image": ["me.jpg"]}, "--system and --image are needed"),
        ({"image": ["a/me.jpg", "b/me.jpg"]}, "2 videos would be talking/me_hi_sinha.mp4"),
        ({"image": ["a.jpg", "b.jpg"], "output": "out.mp4"}, "out.mp4 is one file, and 2 videos are to be made"),
        ({"image": ["me.jpg"], "emotion": ["HAP"]}, "--emotion: sinha shows none; maity does"),
        ({"image": ["me.jpg"], "system": ["nobody"]}, "nobody is no folder of a trained system"),
        ({"image": ["me.jpg"], "audio": [None]}, "driven by speech: give --audio"),
        ({"image": ["me.jpg"], "system": ["kesim_erzin_landmark"]}, "give a --driving-video"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_read(given, words):
    whole = {
        "audio": ["hi.wav"],
        "system": ["sinha"] if len(given) > 1 or given["image"][0] != "me.jpg" else [None],
    } | given
    with pytest.raises(UserError, match=words):
        asked(whole.pop("output", None), **whole)


@pytest.fixture
def there(portrait, tmp_path, monkeypatch):
    """A folder with two photos and two sounds, one of each useless, where `generate` is run in this process."""
    Image.fromarray(portrait).save(tmp_path / "me.png")
    Image.new("RGB", (200, 200)).save(tmp_path / "nobody.png")
    time = np.arange(8_820) / 22_050
    soundfile.write(tmp_path / "hi.wav", 0.3 * np.sign(np.sin(2 * np.pi * 120 * time)) * np.sin(25 * time) ** 2, 22_050)
    (tmp_path / "text.wav").write_text("no sound")
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        """The exit status, or the line that it ends with."""
        monkeypatch.setattr(sys, "argv", ["generate", *map(str, arguments)])
        try:
            generate.main()
        except SystemExit as end:
            return end.code
        return 0

    return run


def test_a_bad_job_fails_alone_and_what_is_there_is_kept(there, capsys):
    call = ["--system", SHIPPED, "--image", "nobody.png", "me.png", "--audio", "hi.wav", "text.wav", "--crop"]
    assert there(*call, "--output", "out") == "error: 3 of 4 videos could not be made"
    said = capsys.readouterr()
    assert "out/me_hi_sinha.mp4: 0.4 s of 256×256 px, a face of 128×128 px by sinha" in said.out
    assert [line.split(":")[0] for line in said.err.splitlines()] == [
        f"out/{name}_sinha.mp4" for name in ("nobody_hi", "nobody_text", "me_text")
    ]
    assert "no face was found in nobody.png" in said.err and "Traceback" not in said.err
    assert [path.name for path in Path("out").iterdir()] == ["me_hi_sinha.mp4"]
    before = Path("out/me_hi_sinha.mp4").stat().st_mtime_ns
    again = [*call[:3], "me.png", "--audio", "hi.wav", "text.wav", "--crop", "--output", "out"]
    assert there(*again) == "error: 1 of 1 videos could not be made"
    assert "1 of 2 videos are there already" in capsys.readouterr().out
    assert Path("out/me_hi_sinha.mp4").stat().st_mtime_ns == before
    assert there(*again, "--force").startswith("error: 1 of 2")
    assert Path("out/me_hi_sinha.mp4").stat().st_mtime_ns > before


def test_a_folder_that_protects_nobody_stops_all_before_anything_is_made(there):
    Path("people").mkdir()
    call = ["--system", SHIPPED, "--image", "me.png", "--audio", "hi.wav", "text.wav", "--refuse", "people"]
    assert there(*call, "--output", "out").startswith("error: people protects nobody: it is empty")
    assert not Path("out").exists()


def test_systems_are_compared_with_their_names_and_sound(there, capsys):
    shutil.copytree(SHIPPED, "mine")
    call = ["--compare", "--system", "mine", SHIPPED, "--image", "me.png", "--audio", "hi.wav", "--fps", 50]
    assert there(*call, "--size", 400) == 0 and "sinha and 128×128 px by sinha" in capsys.readouterr().out
    frames = read_frames(Path("talk.mp4"), 50)
    assert frames.shape == (20, 224, 400, 3) and np.abs(read_audio(Path("talk.mp4"), 22_050)).max() > 0.1
    # Equal systems draw equal halves, but for what H.264 makes of them.
    assert np.abs(frames[:, :200, :200].astype(int) - frames[:, :200, 200:]).mean() < 3


def test_a_file_that_is_there_is_written_over_by_force_alone(there):
    Path("talk.mp4").write_text("a year's work")
    call = ["--system", SHIPPED, "--image", "me.png", "--audio", "hi.wav", "--crop"]
    assert there(*call).startswith("error: --output: talk.mp4 exists already")
    assert Path("talk.mp4").read_text() == "a year's work"
    assert there(*call, "--force") == 0 and len(read_frames(Path("talk.mp4"), 25)) == 10


@pytest.mark.parametrize(
    ("fault", "ends"),
    [
        (KeyboardInterrupt(), 130),
        (OSError(28, "No space left on device"), "error: the disk is full; make room and run again"),
    ],
)
def test_what_stops_everything_is_one_line_and_leaves_no_half_a_file(there, monkeypatch, fault, ends):
    def breaking(image):
        raise fault

    monkeypatch.setattr("pipeline.talking.mark", breaking)
    call = ["--system", SHIPPED, "--image", "me.png", "--audio", "hi.wav", "--crop", "--output", "out/talk.mp4"]
    ended = there(*call)
    assert ended == ends or ended.startswith(ends)
    assert not list(Path("out").iterdir())


def test_a_folder_that_cannot_be_written_to_is_one_line(there):
    Path("file").touch()
    call = ["--system", SHIPPED, "--image", "me.png", "--audio", "hi.wav", "--crop", "--output", "file/talk.mp4"]
    ended = there(*call)
    assert ended.startswith("error: file/talk.mp4 could not be written") and "\n" not in ended


def test_what_ships_is_listed_with_the_figures_of_its_card(tmp_path, monkeypatch):
    (tmp_path / "pretrained" / "sinha").mkdir(parents=True)
    card = dict.fromkeys(CARD_KEYS) | {"form": FORM, "system": "sinha", "metrics": {"lmd": 0.25}}
    card["corpus"] = {"splits": {"train": {"clips": 195, "subjects": 9}}}
    (tmp_path / "pretrained" / "sinha" / CARD).write_text(yaml.safe_dump(card))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pretrained" / "at_128_px").mkdir()
    (tmp_path / "pretrained" / "at_128_px" / CARD).write_text(yaml.safe_dump(card | {"system": "atvgnet"}))
    (tmp_path / "pretrained" / "half").mkdir()
    (tmp_path / "pretrained" / "half" / CARD).write_text("form: [")
    by_name = {line.split()[0]: line for line in generate.list_systems(Path("data")).splitlines()}
    assert "trained on 195 clips of 9 people; LMD 0.25 px" in by_name["pretrained/sinha"]
    assert " mfcc " in by_name["pretrained/at_128_px"] and "Chen L. et al. 2019" in by_name["pretrained/at_128_px"]
    assert "is not the card of a trained system" in by_name["pretrained/half"]
    assert "not trained: dvc repro system_sinha" in by_name["sinha"]
