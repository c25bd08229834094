"""The whole road in a fresh checkout: `dvc repro` with the smoke profile, what reruns after a change, and a talking head."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import av
import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml
from PIL import Image

from pipeline.dag import stages
from pipeline.errors import UserError
from pipeline.papers.registry import LANDMARK_DRIVEN, PAPERS, SYSTEMS
from pipeline.report import single_file
from pipeline.systems.card import find_system
from pipeline.systems.system import load_system
from pipeline.talking import talk
from pipeline.video import read_audio, read_frames

ROOT = Path(__file__).parents[1]
METRICS = ("landmarks", "silence", "blinks", "recognition", "emotions")
pytestmark = pytest.mark.slow


def run(checkout, *command):
    """Run a command in the checkout with this interpreter's environment; fail with its output if it fails."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
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
    # Without what git ignores, which an archive without git cannot be asked for.
    ignored = (".git", ".venv", "data", "dvc_plots", "cache", "tmp", "config.local", "*.mp4", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*ignored))
    (folder / "data").mkdir()
    (folder.parent / "gitconfig").write_text("[user]\n\tname = test\n\temail = test@example.org\n")
    run(folder, "git", "init", "-q")
    run(folder, "dvc", "config", "core.no_scm", "false")  # as an archive in which `make repro` ran does not have it
    (folder / "dvc.lock").unlink(missing_ok=True)
    run(folder, "python", "-m", "pipeline.profiles", "smoke")
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", "as it is")
    output = run(folder, "dvc", "repro")
    assert stages_run(output) == {f"{stage.name}@small" if stage.foreach else stage.name for stage in stages()}
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
    assert "kesim_erzin_speech_landmark" in table and "psnr" in table
    clips = pd.read_parquet(checkout / "data/evaluation/clips.parquet")
    assert set(clips["split"]) == {"test_sentences", "test"}


def test_nothing_runs_again(checkout):
    assert not stages_run(run(checkout, "dvc", "repro"))


OF_SPEECH = {f"{part}_kesim_erzin_speech" for part in ("system", "synthesis", "detection")}
MEASURING = {"evaluation", "motion", "silence", "emotions", "report"}


def test_a_changed_loss_weight_reruns_its_training_and_what_follows_and_going_back_is_free(checkout):
    params = checkout / "params.yaml"
    before = params.read_text()
    changed = re.sub(r"(\n  speech:\n    weights: \{frame: )1", r"\g<1>0.5", before)
    assert changed != before
    params.write_text(changed)
    ran = stages_run(run(checkout, "dvc", "repro"))
    assert {"kesim_erzin_speech", *OF_SPEECH} <= ran <= {"kesim_erzin_speech", *OF_SPEECH, *MEASURING}
    difference = json.loads(run(checkout, "dvc", "metrics", "diff", "--json"))
    assert {key.split(".")[0] for key in difference["metrics/evaluation.json"]} == {"kesim_erzin_speech"}
    # Back by the parameter alone: DVC has seen this before, and takes all of it from its cache.
    params.write_text(before)
    assert not stages_run(run(checkout, "dvc", "repro"))
    assert not run(checkout, "git", "status", "--porcelain")


def test_a_comment_in_a_papers_folder_trains_nothing_and_starts_no_other_paper(checkout):
    """What starts finds that its code still means the same, and makes the same bytes, so that nothing follows.

    Sinha's, which has most trainings; tests/test_dag.py holds every paper's stages apart by their lists.
    """
    paper = "sinha"
    for path in (checkout / "pipeline" / "papers" / paper).glob("*.py"):
        path.write_text(path.read_text() + "# a remark\n")
    trained = {path: path.read_bytes() for path in (checkout / "data/trained").rglob("*.safetensors")}
    output = run(checkout, "dvc", "repro")
    ran = stages_run(output)
    assert f"system_{paper}" in ran
    assert not {name for name in ran for other in PAPERS if other != paper and other in name}
    assert not re.search(r"epoch \d+/", output), "something was trained"
    assert trained == {path: path.read_bytes() for path in (checkout / "data/trained").rglob("*.safetensors")}
    run(checkout, "git", "checkout", "pipeline")
    assert not stages_run(run(checkout, "dvc", "repro"))


def test_the_report_is_a_page_that_plays_what_lies_beside_it(checkout):
    """Every clip of the players, by every system, with its landmarks; and every picture, each of which shows something."""
    folder = checkout / "data/report"
    page = (folder / "index.html").read_text()
    assert page.count("<video") == 12 and "http" not in page
    clips = json.loads(single_file.DATA.search(page)[0])["clips"]
    videos = [folder / unquote(address) for clip in clips.values() for address in clip["videos"].values()]
    assert len(videos) == 12 * len(clips) and all(len(read_frames(video, 25)) > 10 for video in videos)
    assert all((folder / unquote(clip["landmarks"])).stat().st_size > 10_000 for clip in clips.values())
    pictures = [folder / unquote(address) for address in single_file.SOURCE.findall(page)]
    assert len(pictures) > 10 and all(np.asarray(Image.open(path)).std() > 5 for path in pictures)
    assert len(list((folder / "contact_sheets").glob("*.png"))) == 1
    whole = run(checkout, "python", "-m", "pipeline.report.single_file", "-o", str(checkout.parent / "whole.html"))
    assert "whole.html" in whole and not single_file.SOURCE.search((checkout.parent / "whole.html").read_text())


@pytest.fixture(scope="session")
def photo(portrait, tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "face.png"
    Image.fromarray(portrait).save(path)
    return path


def test_a_photo_and_speech_become_a_video(checkout, photo, speech, tmp_path):
    command = [
        "python",
        "-m",
        "pipeline.generate",
        "--system",
        "kesim_erzin_speech",
        "--image",
        str(photo),
        "--audio",
        str(speech),
    ]
    for name in ("a.mp4", "b.mp4"):
        assert "300×300 px" in run(checkout, *command, "--output", str(tmp_path / name))
    frames = read_frames(tmp_path / "a.mp4", 25)
    assert frames.shape[1:] == (300, 300, 3) and len(frames) == pytest.approx(1.5 * 25, abs=1)
    assert np.abs(read_audio(tmp_path / "a.mp4", 22_050)).max() > 0.1
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert [stream.codec_context.name for stream in container.streams] in (["h264", "aac"], ["libx264", "aac"])
        assert (
            "synthetic" in container.metadata["comment"]
            and "kesim_erzin_speech; key: " in container.metadata["comment"]
        )
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_the_crop_alone_is_shown_on_demand(checkout, photo, speech, tmp_path):
    command = ["python", "-m", "pipeline.generate", "--system", "atvgnet", "--crop", "--image", str(photo)]
    said = run(checkout, *command, "--audio", str(speech), "--output", str(tmp_path / "out.mp4"))
    assert "256×256 px" in said and read_frames(tmp_path / "out.mp4", 25).shape[1:] == (256, 256, 3)


def talk_there(checkout, monkeypatch, system, image, audio, output, driving_video=None, emotion=None):
    """As `python -m pipeline.generate` in the checkout, without a process of its own."""
    monkeypatch.chdir(checkout)
    loaded = load_system(find_system(system, Path("data")))
    talk(loaded, image, audio, driving_video=driving_video, mark=False, emotion=emotion).save(output)


@pytest.mark.parametrize("system", LANDMARK_DRIVEN)
def test_a_photo_follows_a_driving_video(checkout, photo, tmp_path, monkeypatch, system):
    driver = next((checkout / "data/demo_corpus/VideoFlash").glob("1001_*.flv"))
    talk_there(checkout, monkeypatch, system, photo, None, tmp_path / "out.mp4", driver)
    assert len(read_frames(tmp_path / "out.mp4", 25)) == pytest.approx(len(read_frames(driver, 25)), abs=1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: Image.new("RGB", (200, 200)).save(path), "no face was found"),
        (lambda path: path.write_text("no picture"), "no picture in a known format"),
        (lambda path: None, "does not exist"),
    ],
)
def test_a_photo_that_cannot_be_used_is_one_line(checkout, speech, tmp_path, monkeypatch, make, words):
    make(tmp_path / "photo.png")
    with pytest.raises(UserError, match=words) as refused:
        talk_there(checkout, monkeypatch, "kesim_erzin_speech", tmp_path / "photo.png", speech, tmp_path / "out.mp4")
    said = str(refused.value)
    assert "photo.png" in said and "\n" not in said and not (tmp_path / "out.mp4").exists()


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


SPEAKING = ["atvgnet", "sinha", "chen_s", "maity"]


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
        (0.1 * np.sin(np.arange(2205) / 7), 22_050, 0.1),
        (0.1 * np.sin(np.arange(48_000) / 9)[:, None].repeat(2, axis=1), 48_000, 1),
    ],
    ids=["a tenth of a second", "48 kHz stereo"],
)
def test_speech_of_all_kinds_is_spoken(checkout, photo, tmp_path, monkeypatch, system, samples, rate, seconds):
    soundfile.write(tmp_path / "speech.wav", samples, rate)
    talk_there(checkout, monkeypatch, system, photo, tmp_path / "speech.wav", tmp_path / "out.mp4")
    assert len(read_frames(tmp_path / "out.mp4", 25)) == pytest.approx(seconds * 25, abs=1)


def test_another_emotion_is_another_video(checkout, photo, speech, tmp_path, monkeypatch):
    for name in ("HAP", "SAD"):
        talk_there(checkout, monkeypatch, "maity", photo, speech, tmp_path / f"{name}.mp4", emotion=name)
    happy, sad = (read_frames(tmp_path / f"{name}.mp4", 25) for name in ("HAP", "SAD"))
    assert happy.shape == sad.shape and not np.array_equal(happy, sad)


def test_an_unknown_emotion_is_refused_with_those_that_there_are(checkout, photo, speech, tmp_path):
    command = [sys.executable, "-m", "pipeline.generate", "--system", "maity", "--emotion", "JOY"]
    paths = ["--image", str(photo), "--audio", str(speech), "--output", str(tmp_path / "out.mp4")]
    done = subprocess.run([*command, *paths], cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and not (tmp_path / "out.mp4").exists()
    assert "'JOY'" in done.stderr and "ANG" in done.stderr and "Traceback" not in done.stderr


def test_a_face_too_small_is_one_line(checkout, portrait, speech, tmp_path, monkeypatch):
    Image.fromarray(portrait).resize((40, 40)).save(tmp_path / "tiny.png")
    with pytest.raises(UserError, match=r"tiny\.png has only 40×40 px; use a photo with the face at least 80 px wide"):
        talk_there(checkout, monkeypatch, "atvgnet", tmp_path / "tiny.png", speech, tmp_path / "out.mp4")


@pytest.mark.parametrize(
    "fault", ["another network's", "truncated", "missing", "card of another form", "no card", "no name"]
)
def test_a_folder_that_does_not_fit_is_one_line(checkout, tmp_path, fault):
    folder = tmp_path / "sinha"
    shutil.copytree(checkout / "data/systems/sinha", folder)
    weights, card = folder / "blink.safetensors", folder / "card.yaml"
    if fault == "another network's":
        shutil.copy(folder / "landmark_to_texture.safetensors", weights)
    elif fault == "truncated":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif fault == "missing":
        weights.unlink()
    elif fault == "card of another form":
        card.write_text(card.read_text().replace("form: 1", "form: 99"))
    elif fault == "no card":
        card.write_text("not: [a card")
    words = {"card of another form": "form 99", "no card": "not the card of", "no name": "none of atvgnet"}
    with pytest.raises(UserError, match=words.get(fault, r"blink\.safetensors does not hold")) as refused:
        load_system(find_system("nobody" if fault == "no name" else str(folder), tmp_path))
    assert "\n" not in str(refused.value)


def test_a_system_that_was_not_trained_names_the_command(tmp_path):
    with pytest.raises(UserError, match="make it with `dvc repro system_maity`"):
        find_system("maity", tmp_path)


@pytest.mark.parametrize("system", ["kesim_erzin_speech", "sinha"])
def test_a_folder_elsewhere_makes_the_same_frames(checkout, photo, speech, tmp_path, system):
    """Copied to a machine without the corpus: another place, no data, no dvc.yaml."""
    shutil.copytree(checkout / "data/systems" / system, tmp_path / "elsewhere" / "folder")
    command = [sys.executable, "-m", "pipeline.generate", "--image", str(photo), "--audio", str(speech), "--system"]
    for cwd, name, output in ((checkout, system, "here.mp4"), (tmp_path / "elsewhere", "folder", "there.mp4")):
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = [*command, name, "--output", str(tmp_path / output)]
        subprocess.run(done, cwd=cwd, env=environment, check=True, capture_output=True)
    assert (tmp_path / "here.mp4").read_bytes() == (tmp_path / "there.mp4").read_bytes()


def test_a_card_says_what_it_is(checkout):
    card = yaml.safe_load((checkout / "data/systems/sinha/card.yaml").read_text())
    assert (card["system"], card["paper"], card["needs"]) == ("sinha", "sinha", ["characters"])
    assert set(card["networks"]) == {"audio_to_landmark", "blink", "landmark_to_texture"}
    assert (
        card["networks"]["blink"]["parameters"]["epochs"] == 1
        and card["preprocessing"]["landmarks"]["backend"] == "dlib"
    )
    assert card["corpus"]["layout"] == "crema_d" and card["corpus"]["splits"]["train"]["subjects"] == 3
    assert card["corpus"]["test_subjects"] == "vougioukas"
    units = yaml.safe_load((checkout / "data/systems/chen_s/card.yaml").read_text())
    assert units["labels"] == {"action_units": "landmarks"} and units["networks"]["end_to_end"]["perceptual"]


def test_a_system_is_taken_away_with_its_figures(checkout, tmp_path):
    run(checkout, "python", "-m", "pipeline.export", "sinha", str(tmp_path / "away"))
    card = yaml.safe_load((tmp_path / "away/card.yaml").read_text())
    measured = json.loads((checkout / "metrics/evaluation.json").read_text())["sinha"]
    assert card["metrics"] == {"split": "test_sentences"} | measured
    assert load_system(tmp_path / "away").name == "sinha"


def test_the_systems_are_listed_with_what_drives_them(checkout):
    shown = run(checkout, "python", "-m", "pipeline.generate", "--list")
    assert all(system in shown for system in SYSTEMS) and "trained on" in shown and "emotion + waveform_8000" in shown


def test_blinks_have_metrics_of_their_own(checkout):
    blinks = json.loads((checkout / "metrics/blinks.json").read_text())
    assert list(blinks) == ["ground_truth", "generated", "distance", "mmd"]
    assert blinks["ground_truth"]["n"] > 0 and blinks["mmd"]["untrained"] > 0


def test_landmarks_have_metrics_of_their_own(checkout):
    motion = json.loads((checkout / "metrics/landmarks.json").read_text())
    assert list(motion) == ["static", "ground_truth", "atvgnet", "sinha"]
    assert motion["ground_truth"]["lmd"] == 0 < motion["atvgnet"]["velocity_iod"]


def test_what_is_measured_beside_the_table_has_files_of_its_own(checkout):
    metrics = {name: json.loads((checkout / f"metrics/{name}.json").read_text()) for name in METRICS}
    assert set(metrics["recognition"]) == {"audio_to_au", "au_classifier"}
    speaking = [system for system in SYSTEMS if system not in LANDMARK_DRIVEN]
    assert {"ground_truth", *speaking} == set(metrics["silence"])
    judged = metrics["emotions"]
    assert set(judged) == set(json.loads((checkout / "metrics/evaluation.json").read_text()))
    assert set(judged["maity"]["recall"]) == {"ANG", "DIS", "FEA", "HAP", "NEU", "SAD"}
    assert 0 <= judged["maity"]["accuracy_other_emotion"] <= 1 and "recall" in judged["ground_truth"]


def test_without_labels_of_emotions_all_else_goes_on(checkout, tmp_path):
    """The corpus loses its labels: the two trainings that need them say so, and every stage after them does without."""
    project = tmp_path / "project"
    shutil.copytree(checkout, project, ignore=shutil.ignore_patterns(".dvc", ".git", "demo_corpus"))
    for table in ("clips/clips.parquet", "usable_clips.parquet"):
        clips = pd.read_parquet(project / "data" / table)
        clips.assign(emotion=None).to_parquet(project / "data" / table)
    for part in ("synthesis", "videos", "detection"):
        shutil.rmtree(project / "data" / part / "maity")
    for stage in (["stages.judge", "emotion_classifier", "small"], ["stages.training", "maity", "end_to_end"]):
        assert "labelled" in run(project, "python", "-m", *stage)
    run(project, "python", "-m", "stages.system", "maity")
    assert "skipped" in run(project, "python", "-m", "stages.synthesis", "maity", "small")
    for stage in (["detection", "maity"], ["evaluation"], ["silence"], ["motion"], ["emotions"], ["report"]):
        run(project, "python", "-m", f"stages.{stage[0]}", *stage[1:])
    before, after = (json.loads((root / "metrics/evaluation.json").read_text()) for root in (checkout, project))
    assert after == {system: row for system, row in before.items() if system != "maity"}
    assert json.loads((project / "metrics/emotions.json").read_text()) == {}
    before, after = ((root / "data/report/index.html").read_text() for root in (checkout, project))
    assert ">Emotions</h2>" in before and ">Emotions</h2>" not in after
    assert "could not be trained" not in before and "Emotions: no clip" in after
    assert "<code>maity</code> could not be trained" in after


def test_a_system_is_added_as_its_page_says(checkout, tmp_path):
    """The code of docs/adding-a-system.md, in a copy of the project, goes through training, synthesis, tables and report."""
    project = tmp_path / "project"
    shutil.copytree(checkout, project, symlinks=True)
    page = (ROOT / "docs/adding-a-system.md").read_text()
    for kind, name, code in re.findall(r"```(python|yaml)\n# (\S+)\n(.*?)```", page, re.S):
        path = project / name
        path.parent.mkdir(exist_ok=True)
        path.write_text((path.read_text() + "\n" if kind == "yaml" else "") + code)
    run(project, "python", "-m", "pipeline.dag")
    ran = stages_run(run(project, "dvc", "repro"))
    assert ran == {"toy_brightness", "system_toy", "synthesis_toy", "detection_toy", *MEASURING}
    assert json.loads((project / "metrics/evaluation.json").read_text())["toy"]["psnr"] > 10
    assert "toy" in (project / "data/report/index.html").read_text()


# Lines of the README's command blocks that are not run here, and why. Every other line is, as it stands.
NOT_RUN = {
    "make app": "serves until it is ended; tests/test_app.py",
    "source .venv/bin/activate": "the tests' environment is active already",
    "dvc repro": "test_nothing_runs_again",
    "dvc exp run -n mine -S chen_s.end_to_end.weights.au=0.1 -S seed=1": "trains; test_a_changed_loss_weight_… does so",
    "make ablations NAME=chen_s": "five trainings; tests/test_ablations.py holds its commands",
    "make paper NAME=sinha": "two trainings; tests/evidence makes the tables and figures",
    "make test": "runs this test",
    "make fast": "runs the other tests",
}


def test_the_readmes_commands_run(checkout, portrait, speech, tmp_path):
    """In a copy of the project, with the reader's photo and recording. make runs its recipes without making .venv anew."""
    project = tmp_path / "project"
    shutil.copytree(checkout, project, symlinks=True)
    Image.fromarray(portrait).save(project / "face.jpg")
    shutil.copy(speech, project / "speech.wav")
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(), flags=re.DOTALL | re.MULTILINE)
    lines = [re.sub(r"\s+#.*", "", line) for line in "".join(blocks).splitlines()]
    assert set(NOT_RUN) <= set(lines), "not in the README any more"
    for line in lines:
        if line not in NOT_RUN:
            run(project, "bash", "-ec", 'make() { command make -o .venv/.complete "$@"; }; ' + line)
    for video in re.findall(r"\w+\.mp4", "".join(blocks)):
        assert len(read_frames(project / video, 25)) > 30
    assert run(project, "git", "status", "--porcelain").split() == ["??", "face.jpg", "??", "speech.wav"]
