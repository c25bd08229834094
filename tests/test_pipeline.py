"""The whole road in a fresh checkout: `dvc repro` with the smoke profile, what reruns after a change, and a talking head."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from PIL import Image

from pipeline.errors import UserError
from pipeline.generate import talk
from pipeline.systems.registry import LANDMARK_DRIVEN, load
from pipeline.video import read_audio, read_frames

ROOT = Path(__file__).parents[1]
SYSTEMS = (
    *("speech_without_fm", "speech", "landmark", "speech_landmark"),
    *("atvgnet", "identity_preserving", "atvgnet_true_landmarks", "identity_preserving_true_landmarks"),
    *("audio_au", "emotion"),
)
NEW_METRICS = ("action_units", "emotion", "perceptual", "silence")


def run(checkout, *command):
    """Run a command in the checkout with this interpreter's environment; fail with its output if it fails."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "GIT_CONFIG_GLOBAL": str(checkout.parent / "gitconfig"),
    }
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def stages_run(output):
    return set(re.findall(r"Running stage '([^']+)'", output))


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """The working tree's files in a repository of their own, reproduced with the smoke profile."""
    folder = tmp_path_factory.mktemp("whole") / "project"
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines():
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder.parent / "gitconfig").write_text("[user]\n\tname = test\n\temail = test@example.org\n")
    run(folder, "git", "init", "-q")
    (folder / "dvc.lock").unlink(missing_ok=True)
    run(folder, "python", "-m", "pipeline.profiles", "smoke")
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", "as it is")
    output = run(folder, "dvc", "repro")
    assert len(stages_run(output)) == 53
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", "reproduced")
    return folder


def test_metrics_read_like_table_1(checkout):
    metrics = json.loads((checkout / "metrics/evaluation.json").read_text())
    assert {"static", "ground_truth", *SYSTEMS} <= set(metrics)
    truth, late = metrics["ground_truth"], metrics["ground_truth_delayed"]
    assert truth["lmd"] == 0 and truth["mouth_correlation"] == 1 and truth["no_face"] == 0
    assert late["mouth_lag"] == pytest.approx(5, abs=1) and late["mouth_correlation"] < 0.7
    assert 0 < metrics["ground_truth_reencoded"]["lmd"] < metrics["static"]["lmd"]
    table = run(checkout, "dvc", "metrics", "show", "--md")
    assert "speech_landmark" in table and "psnr" in table
    clips = pd.read_parquet(checkout / "data/evaluation/clips.parquet")
    assert set(clips["split"]) == {"test_sentences", "test"}


def test_nothing_runs_again(checkout):
    assert not stages_run(run(checkout, "dvc", "repro"))


def test_a_changed_loss_weight_reruns_its_training_and_what_follows(checkout):
    params = checkout / "params.yaml"
    before = params.read_text()
    changed = re.sub(r"(\n  speech:\n    weights: \{frame: )1", r"\g<1>0.5", before)
    assert changed != before
    params.write_text(changed)
    assert stages_run(run(checkout, "dvc", "repro")) == {
        "end_to_end@speech",
        "synthesis@speech",
        "detection@speech",
        "evaluation",
        "report",
    }
    difference = json.loads(run(checkout, "dvc", "metrics", "diff", "--json"))
    changed_metrics = {key.split(".")[0] for key in difference["metrics/evaluation.json"]}
    assert changed_metrics == {"speech"}
    # Back by the parameter alone: DVC takes no persistent output from its cache, so the training runs, and what it makes is so
    # much the same, byte for byte, that nothing after it does.
    params.write_text(before)
    assert stages_run(run(checkout, "dvc", "repro")) == {"end_to_end@speech"}
    assert not run(checkout, "git", "status", "--porcelain")


def test_the_report_is_one_page_that_plays(checkout):
    page = (checkout / "data/report/index.html").read_text()
    assert page.count("<video") == 12 and "data:video/mp4;base64," in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    sheets = list((checkout / "data/report/contact_sheets").glob("*.png"))
    assert len(sheets) == 1 and np.asarray(Image.open(sheets[0])).std() > 20


@pytest.fixture(scope="session")
def photo(portrait, tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "face.png"
    Image.fromarray(portrait).save(path)
    return path


def test_a_photo_and_speech_become_a_video(checkout, photo, speech, tmp_path):
    command = ["python", "-m", "pipeline.generate", "--system", "speech", "--image", str(photo), "--audio", str(speech)]
    for name in ("a.mp4", "b.mp4"):
        run(checkout, *command, "--output", str(tmp_path / name))
    frames = read_frames(tmp_path / "a.mp4", 25)
    assert frames.shape[1:] == (256, 256, 3) and len(frames) == pytest.approx(1.5 * 25, abs=1)
    assert np.abs(read_audio(tmp_path / "a.mp4", 22_050)).max() > 0.1
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert [stream.codec_context.name for stream in container.streams] in (["h264", "aac"], ["libx264", "aac"])
        assert "synthetic" in container.metadata["comment"] and "speech" in container.metadata["comment"]
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def talk_there(checkout, monkeypatch, system, image, audio, output, driving_video=None, emotion="NEU"):
    """As `python -m pipeline.generate` in the checkout, without a process of its own."""
    monkeypatch.chdir(checkout)
    talk(system, image, audio, driving_video, output, seed=0, visible_mark=False, emotion=emotion)


@pytest.mark.parametrize(
    "system", ["landmark", "speech_landmark", "atvgnet_true_landmarks", "identity_preserving_true_landmarks"]
)
def test_a_photo_follows_a_driving_video(checkout, photo, tmp_path, monkeypatch, system):
    driver = next((checkout / "data/demo_corpus/VideoFlash").glob("1001_*.flv"))
    talk_there(checkout, monkeypatch, system, photo, None, tmp_path / "out.mp4", driver)
    assert len(read_frames(tmp_path / "out.mp4", 25)) == pytest.approx(len(read_frames(driver, 25)), abs=1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: Image.new("RGB", (200, 200)).save(path), "no face was found in"),
        (lambda path: path.write_text("no picture"), "cannot be read as a picture"),
        (lambda path: None, "cannot be read as a picture"),
    ],
)
def test_a_photo_that_cannot_be_used_is_one_line(checkout, speech, tmp_path, make, words):
    make(tmp_path / "photo.png")
    command = [sys.executable, "-m", "pipeline.generate", "--system", "speech", "--audio", str(speech)]
    paths = ["--image", str(tmp_path / "photo.png"), "--output", str(tmp_path / "out.mp4")]
    done = subprocess.run([*command, *paths], cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.startswith("error: --image") and words in done.stderr
    assert not (tmp_path / "out.mp4").exists()


def changed_photo(portrait, how):
    """A photo as people have them, of the same face."""
    image = Image.fromarray(portrait)
    if how == "greyscale":
        return image.convert("L"), {}
    if how == "transparent":
        image.putalpha(Image.linear_gradient("L").resize(image.size).point(lambda v: 128 + v // 2))
        return image, {}
    if how == "rotated by EXIF":
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned by 90° clockwise when shown
        return image.transpose(Image.Transpose.ROTATE_90), {"exif": exif}
    return Image.fromarray(np.concatenate([portrait, portrait[::2, ::2].repeat(2, axis=0)], axis=1)), {}


SPEAKING = ["atvgnet", "identity_preserving", "audio_au", "emotion"]


@pytest.mark.parametrize("system", SPEAKING)
@pytest.mark.parametrize("how", ["greyscale", "transparent", "rotated by EXIF", "two faces"])
def test_photos_of_all_kinds_talk(checkout, portrait, speech, tmp_path, monkeypatch, system, how):
    image, options = changed_photo(portrait, how)
    image.save(tmp_path / "photo.png", **options)
    talk_there(checkout, monkeypatch, system, tmp_path / "photo.png", speech, tmp_path / "out.mp4")
    frames = read_frames(tmp_path / "out.mp4", 25)
    assert len(frames) == pytest.approx(1.5 * 25, abs=1) and frames[0].std() > 10


@pytest.mark.parametrize("system", SPEAKING)
@pytest.mark.parametrize(
    ("samples", "rate", "seconds"),
    [
        (np.zeros(16_000), 16_000, 1),
        (0.1 * np.sin(np.arange(2205) / 7), 22_050, 0.1),
        (0.1 * np.sin(np.arange(48_000) / 9)[:, None].repeat(2, axis=1), 48_000, 1),
    ],
    ids=["silence", "a tenth of a second", "48 kHz stereo"],
)
def test_speech_of_all_kinds_is_spoken(checkout, photo, tmp_path, monkeypatch, system, samples, rate, seconds):
    soundfile.write(tmp_path / "speech.wav", samples, rate)
    talk_there(checkout, monkeypatch, system, photo, tmp_path / "speech.wav", tmp_path / "out.mp4")
    assert len(read_frames(tmp_path / "out.mp4", 25)) == pytest.approx(seconds * 25, abs=1)


def test_another_emotion_is_another_video(checkout, photo, speech, tmp_path, monkeypatch):
    for name in ("HAP", "SAD"):
        talk_there(checkout, monkeypatch, "emotion", photo, speech, tmp_path / f"{name}.mp4", emotion=name)
    happy, sad = (read_frames(tmp_path / f"{name}.mp4", 25) for name in ("HAP", "SAD"))
    assert happy.shape == sad.shape and not np.array_equal(happy, sad)


def test_an_unknown_emotion_is_refused_with_those_that_there_are(checkout, photo, speech, tmp_path):
    command = [sys.executable, "-m", "pipeline.generate", "--system", "emotion", "--emotion", "JOY"]
    paths = ["--image", str(photo), "--audio", str(speech), "--output", str(tmp_path / "out.mp4")]
    done = subprocess.run([*command, *paths], cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and not (tmp_path / "out.mp4").exists()
    assert "'JOY'" in done.stderr and "ANG" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("system", ["audio_au", "emotion"])
@pytest.mark.parametrize("fault", ["another system's", "truncated", "missing"])
def test_an_end_to_end_checkpoint_that_does_not_fit_is_one_line(checkout, tmp_path, system, fault):
    path = tmp_path / "end_to_end" / system / "best.pt"
    path.parent.mkdir(parents=True)
    if fault == "another system's":
        shutil.copy(checkout / "data/end_to_end/speech/best.pt", path)
    elif fault == "truncated":
        path.write_bytes((checkout / "data/end_to_end" / system / "best.pt").read_bytes()[:10_000])
    words = (
        rf"train it with `dvc repro end_to_end@{system}`" if fault == "missing" else "not a checkpoint of this system"
    )
    with pytest.raises(UserError, match=words) as refused:
        load(system, tmp_path)
    assert "\n" not in str(refused.value)


def test_a_face_too_small_is_one_line(checkout, portrait, speech, tmp_path, monkeypatch):
    Image.fromarray(portrait).resize((40, 40)).save(tmp_path / "tiny.png")
    with pytest.raises(UserError, match=r"--image: no face was found in .*tiny\.png; use a frontal photo"):
        talk_there(checkout, monkeypatch, "atvgnet", tmp_path / "tiny.png", speech, tmp_path / "out.mp4")


@pytest.mark.parametrize("half", ["audio_to_landmark", "landmark_to_texture"])
@pytest.mark.parametrize("fault", ["another system's", "truncated", "another half's", "of other faces", "missing"])
def test_a_checkpoint_that_does_not_fit_is_one_line(checkout, tmp_path, half, fault):
    other = {"audio_to_landmark": "landmark_to_texture", "landmark_to_texture": "audio_to_landmark"}[half]
    for part in (half, other):
        shutil.copytree(checkout / "data" / part, tmp_path / part)
    path = tmp_path / half / "atvgnet" / "best.pt"
    path.unlink()
    if fault == "another system's":
        shutil.copy(tmp_path / half / "identity_preserving" / "best.pt", path)
    elif fault == "another half's":
        shutil.copy(tmp_path / other / "atvgnet" / "best.pt", path)
    elif fault == "of other faces":
        checkpoint = torch.load(checkout / "data" / half / "atvgnet" / "best.pt", weights_only=True)
        checkpoint["description"]["preprocessing"]["image_size"] = 96
        torch.save(checkpoint, path)
    elif fault == "truncated":
        whole = (checkout / "data" / half / "atvgnet" / "best.pt").read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    words = {
        "missing": rf"best\.pt does not exist; train it with `dvc repro {half}@atvgnet`",
        "of other faces": "image_size",
    }
    with pytest.raises(
        UserError, match=words.get(fault, rf"{half}/atvgnet/best\.pt is not a checkpoint of this system")
    ):
        load("atvgnet", tmp_path)


def test_systems_that_follow_a_driving_video_are_those_that_need_landmarks(checkout):
    needing = [name for name in SYSTEMS if "landmarks" in load(name, checkout / "data").needs]
    assert tuple(needing) == LANDMARK_DRIVEN


def test_blinks_have_metrics_of_their_own(checkout):
    blinks = json.loads((checkout / "metrics/blink.json").read_text())
    assert list(blinks) == ["ground_truth", "generated", "mmd"]
    assert blinks["ground_truth"]["n"] > 0 and blinks["mmd"]["untrained"] > 0


def test_landmarks_have_metrics_of_their_own(checkout):
    motion = json.loads((checkout / "metrics/landmarks.json").read_text())
    assert list(motion) == ["static", "ground_truth", "atvgnet", "identity_preserving"]
    assert motion["ground_truth"]["lmd"] == 0 < motion["atvgnet"]["velocity_iod"]


def test_the_two_systems_that_hear_and_feel_have_metrics_of_their_own(checkout):
    metrics = {name: json.loads((checkout / f"metrics/{name}.json").read_text()) for name in NEW_METRICS}
    assert metrics["perceptual"]["audio_au"]["weights"] == metrics["perceptual"]["emotion"]["weights"] == "random"
    assert set(metrics["action_units"]) == {"audio_to_au", "au_classifier"}
    assert {"ground_truth", "speech", "audio_au", "emotion"} <= set(metrics["silence"])
    assert not set(metrics["silence"]) & {"static", *LANDMARK_DRIVEN}
    judged = metrics["emotion"]
    assert set(judged) == set(json.loads((checkout / "metrics/evaluation.json").read_text()))
    assert set(judged["emotion"]["recall"]) == {"ANG", "DIS", "FEA", "HAP", "NEU", "SAD"}
    assert 0 <= judged["emotion"]["accuracy_other_emotion"] <= 1 and "recall" in judged["ground_truth"]


def test_without_labels_of_emotions_all_else_goes_on(checkout, tmp_path):
    """The corpus loses its labels: the two trainings that need them say so, and every stage after them does without."""
    project = tmp_path / "project"
    shutil.copytree(checkout, project, ignore=shutil.ignore_patterns(".dvc", ".git", "demo_corpus"))
    clips = pd.read_parquet(project / "data/clips/clips.parquet")
    clips.assign(emotion=None).to_parquet(project / "data/clips/clips.parquet")
    shutil.rmtree(project / "data/synthesis/emotion")
    shutil.rmtree(project / "data/detection/emotion")
    for stage in ("emotion_classifier", "emotion"):
        assert "labelled" in run(project, "python", "-m", f"stages.{stage}")
    assert "skipped" in run(project, "python", "-m", "stages.synthesis", "emotion")
    for command in (["stages.detection", "emotion"], ["stages.evaluation"], ["stages.report"]):
        run(project, "python", "-m", *command)
    before, after = (json.loads((root / "metrics/evaluation.json").read_text()) for root in (checkout, project))
    assert after == {system: row for system, row in before.items() if system != "emotion"}
    assert json.loads((project / "metrics/emotion.json").read_text()) == {}
    assert "<h2>Emotions</h2>" not in (project / "data/report/index.html").read_text()
    assert "<h2>Emotions</h2>" in (checkout / "data/report/index.html").read_text()
