"""Input that cannot be used costs its clip or, where nothing can go on, ends in one line with the mend."""

import csv
import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.corpus.shards import Shards
from pipeline.video import write_video

ROOT = Path(__file__).parents[1]
PREPROCESSING = (
    *("clips", "landmarks", "alignment small", "heatmaps", "action_units", "audio_features", "character_features"),
    "preprocessing",
)


@pytest.fixture
def project(tmp_path):
    """params.yaml and the code, as a user's checkout has them; the corpus is the folder `corpus`, described by a CSV."""
    text = (ROOT / "params.yaml").read_text()
    changes = {
        "layout: crema_d": "layout: folder",
        "root: data/demo_corpus": "root: corpus",
        "max_rejected: 0.2": "max_rejected: 0.9",
        "workers: auto": "workers: 1",
    }
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "params.yaml").write_text(text)
    for name in ("dvc.yaml", "pipeline", "stages"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def run(project, *arguments):
    command = [sys.executable, "-m", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def refusal(project, monkeypatch, capsys):
    """What a command ends with, run in the project but in this process: one line, with nothing beside it on stderr."""

    def run_here(module, *arguments):
        monkeypatch.chdir(project)
        monkeypatch.setattr(sys, "argv", [module, *arguments])
        with pytest.raises(SystemExit) as end:
            import_module(module).main()
        line = str(end.value.code)
        assert line.startswith("error: ") and "\n" not in line and not capsys.readouterr().err
        return line

    return run_here


def assert_words(line, *words):
    assert all(word in line for word in words), line


def replace(project, old, new):
    path = project / "params.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


def test_a_missing_corpus(project, refusal):
    for command in ("pipeline.parameters", "stages.clips"):
        assert_words(refusal(command), "corpus.root", "corpus", "does not exist")


def test_a_name_that_is_not_text(project, refusal):
    """DVC would stop at it, without a word on which file it was."""
    (project / "corpus").mkdir()
    (project / "corpus/clips.csv").write_text("video\n")
    Path(os.fsdecode(bytes(project / "corpus") + b"/\xff.mp4")).touch()
    assert_words(refusal("pipeline.parameters"), "corpus.root", "\\udcff.mp4", "not named in UTF-8")


def test_an_unknown_layout(project, refusal):
    replace(project, "layout: folder", "layout: lrs9")
    assert_words(refusal("stages.clips"), "params.yaml", "corpus.layout", "'crema_d', 'grid'", "got 'lrs9'")


def test_an_empty_folder(project, refusal):
    (project / "corpus").mkdir()
    replace(project, "layout: folder", "layout: grid")
    assert_words(refusal("stages.clips"), "no clip in corpus", "grid")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("seed: 0", "seed: zero", ["seed", "integer", "'zero'"]),
        ("  fps: 25", "  fsp: 25", ["corpus.fps is missing", "corpus.fsp is not a known key"]),
    ],
)
def test_a_wrong_parameter(project, refusal, old, new, words):
    replace(project, old, new)
    assert_words(refusal("stages.landmarks"), "params.yaml", *words)


@pytest.mark.parametrize("key", ["vgg19", "face_parsing"])
def test_a_file_that_parameters_name_and_that_is_not_there(project, refusal, key):
    text = (project / "params.yaml").read_text()
    replace(project, re.search(rf"{key}: +#", text)[0], f"{key}: weights.pth #")
    (project / "corpus").mkdir()
    assert_words(refusal("pipeline.parameters"), f".{key}", "weights.pth", "does not exist")


def test_detection_in_a_system_that_does_not_exist(project, refusal):
    assert_words(refusal("stages.detection", "speach"), "data/synthesis/speach", "does not exist")
    assert not (project / "data/detection").exists()


@pytest.mark.slow
def test_bad_clips_cost_themselves_and_the_others_go_through(project, make_clip, portrait):
    corpus = project / "corpus"
    usable = ["good0.mp4", "good1.mp4", "good2.mp4", 'it\'s "odd" .mp4', "line\nbreak.mp4", "-rf %d.mp4", "a:b.mkv"]
    for name in usable:
        make_clip(corpus / name)
    make_clip(corpus / "one_frame.mp4", n_frames=1)
    make_clip(corpus / "silence.mkv", sound=np.zeros(26_460))
    black = [np.zeros((300, 300, 3), np.uint8)] * 2
    write_video(corpus / "fades_in.mp4", [*black, *[portrait] * 28], 25, 0.1 * np.sin(np.arange(26_460) * 0.1))
    sounds = {"clipped": np.sign(np.sin(np.arange(26_460) * 0.1))}
    sounds |= {"short_sound": sounds["clipped"][:4_000], "long_sound": np.tile(sounds["clipped"] / 4, 3)}
    for name, sound in sounds.items():
        make_clip(corpus / f"{name}.mkv", sound=sound)
    make_clip(corpus / "good1.mkv")
    make_clip(corpus / "no_face.mp4", picture=np.full((200, 200, 3), 90, np.uint8))
    make_clip(corpus / "no_sound.mp4", sound=False)
    make_clip(corpus / "long.flv", n_frames=100)
    make_clip(project / "outside.mp4")
    content = (corpus / "long.flv").read_bytes()
    (corpus / "truncated.flv").write_bytes(content[: len(content) // 3])
    (corpus / "empty.mp4").touch()
    (corpus / "text.mp4").write_text("this is no video")
    names = [path.name for path in sorted(corpus.iterdir())] + ["absent.mp4", "../outside.mp4"]
    splits = {"good1.mp4": "test", "good2.mp4": "test_sentences"}
    with (corpus / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("video", "split"), *((name, splits.get(name, "train")) for name in names)])
    before = set(project.iterdir())

    for stage in PREPROCESSING:
        result = run(project, *f"stages.{stage}".split())
        assert result.returncode == 0, result.stderr
    rejected = pd.concat([pd.read_parquet(path) for path in (project / "data").rglob("rejected.parquet")])
    reasons = dict(zip(rejected["clip"], rejected["reason"], strict=True))
    # Of two clips with one id the first is taken.
    duplicate = next(clip for clip in reasons if Path(clip).name in ("good1.mkv", "good1.mp4"))
    assert reasons.pop(duplicate) == "duplicate_id"
    assert reasons == {
        "no_face": "no_face",
        "one_frame": "too_short",
        "silence": "silent",
        "no_sound": "no_audio",
        "truncated": "truncated",
        "empty": "empty_file",
        "text": "unreadable",
        "absent": "missing",
        "_._outside": "bad_row",
    }
    aligned = pd.read_parquet(project / "data/alignment/small/landmarks")
    odd = {"it_s__odd__", "line_break", "_rf__d", "a_b"}
    assert set(aligned["clip"]) == {"good0", "good1", "good2", "long", "fades_in", *odd, *sounds}
    frames = aligned.groupby("clip").size()
    for rows in ("audio_features/prosody", "action_units/units"):
        assert frames.equals(pd.read_parquet(project / "data" / rows).groupby("clip").size())
    # The first frame, which systems take for the photo, is a face in every clip.
    crops = Shards(project / "data/alignment/small/crops")["fades_in"]
    assert (crops[:2] == crops[2]).all() and crops[0].std() > 20
    windows = Shards(project / "data/character_features/windows")
    assert {clip: len(windows[clip]) for clip in windows} == dict(frames)
    summary = json.loads((project / "metrics/preprocessing.json").read_text())
    assert summary["audio"]["longer_or_shorter_than_video"] == 2 and summary["audio"]["clipped_clips"] >= 1
    assert summary["rejected"] == 10 and summary["rejections"]["landmarks.no_face"] == 1
    page = (project / "data/preprocessing/index.html").read_text()
    pictures = {path.name for path in (project / "data/preprocessing").glob("*.png")}
    assert "duplicate_id" in page and pictures == {"clips.png", "rejected.png", "worst.png"}
    assert set(project.iterdir()) - before == {project / "data", project / "metrics"}


def test_too_many_bad_clips_stop_the_stage(project, refusal, make_clip):
    make_clip(project / "corpus/good.mp4")
    (project / "corpus/empty.mp4").touch()
    (project / "corpus/clips.csv").write_text("video\ngood.mp4\nempty.mp4\n")
    replace(project, "max_rejected: 0.9", "max_rejected: 0.1")
    assert_words(refusal("stages.clips"), "1 of 2 clips were rejected", "empty_file", "corpus.max_rejected = 0.1")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--system", "kesim_erzin_speech", "--image", "x.jpg"], ["driven by speech", "--audio"]),
        (
            ["--system", "kesim_erzin_landmark", "--image", "x.jpg", "--audio", "a.wav"],
            ["driven by landmarks", "--driving-video"],
        ),
        (
            ["--system", "kesim_erzin_speech", "--image", "x.jpg", "--audio", "a.wav", "--output", "a.gif"],
            ["--output", ".mp4"],
        ),
        (
            ["--system", "kesim_erzin_speech", "--image", "x.jpg", "--audio", "a.wav", "--seed", "-1"],
            ["--seed", "0 or more"],
        ),
        (
            ["--system", "kesim_erzin_speech", "--image", "x.jpg", "--audio", "a.wav", "--emotion", "HAP"],
            ["--emotion", "kesim_erzin_speech"],
        ),
        (
            ["--system", "kesim_erzin_speech", "--image", "x.jpg", "--audio", "a.wav"],
            ["has not been trained yet", "dvc repro system_kesim_erzin_speech"],
        ),
    ],
)
def test_generate_says_what_is_missing(refusal, arguments, words):
    assert_words(refusal("pipeline.generate", *arguments), *words)
