"""A system of one person's own: what the video becomes, what is learned from it, and what is refused."""

import re
import shutil
import sys
from dataclasses import replace
from importlib import import_module
from itertools import chain, islice

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from safetensors.torch import load_file

from benchmarks.made_up import write_abouts
from pipeline import adapt
from pipeline.corpus.about import write_about
from pipeline.features.alignment import template
from pipeline.features.detection import detect_face, predict_landmarks
from pipeline.papers.registry import TRAININGS
from pipeline.systems.card import make_system
from pipeline.systems.system import load_system
from pipeline.training.trained import WEIGHTS, read_card, read_trained
from pipeline.video import read_audio, read_frames, write_video
from stages import training as training_stage
from tests.made_up_corpus import ROOT
from tests.training.test_initial import follow  # noqa: F401 (fixture)
from tests.training.test_initial import system as trained  # noqa: F401 (fixture)
from tests.training.test_recipe import STAGES, corpus, make  # noqa: F401 (fixtures)
from tests.training.toy import NumberBatches, phase, recipe

SECONDS = 22


@pytest.fixture
def system(data, train_on, parameters, portrait, tmp_path):
    """A folder of ATVGnet, hardly trained, whose crops show a face as photos do."""
    face = predict_landmarks(portrait, detect_face(portrait))
    np.save(data / "alignment" / "small" / "template.npy", template(face[None], 64, 0.3, 0.34))
    write_abouts(data)
    write_about(data / "clips", layout="folder")
    for training in ("audio_to_landmark", "landmark_to_texture"):
        train_on("atvgnet", training, parameters())
    make_system("atvgnet", data, tmp_path / "system")
    return tmp_path / "system"


@pytest.fixture
def project(tmp_path, parameters, monkeypatch):
    """A folder with parameters, in which the command is called: project("--steps", "3")."""
    folder = tmp_path / "project"
    folder.mkdir()
    # Sizes of its own: they are the system's that count.
    values = parameters(atvgnet={"width": 1.0}, corpus={"fps": 30.0}).model_dump()
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    monkeypatch.chdir(folder)

    def call(system, video, *options):
        arguments = ["adapt", "--system", str(system), "--video", str(video), "--output", "me", *options]
        monkeypatch.setattr(sys, "argv", arguments)
        adapt.main()
        return folder / "me"

    return call


@pytest.fixture
def speaking(make_clip, tmp_path):
    """A video of SECONDS, whose sound grows louder all the time."""
    time = np.arange(SECONDS * 22_050) / 22_050
    return make_clip(tmp_path / "me.mp4", SECONDS * 25, time / SECONDS * 0.5 * np.sin(2 * np.pi * 200 * time))


def test_a_video_is_cut_into_pieces_with_the_sound_that_belongs_to_them(speaking, tmp_path):
    adapt.cut(speaking, tmp_path / "corpus", 25, 22_050)
    clips = pd.read_csv(tmp_path / "corpus" / "clips.csv")
    # Seven whole pieces; what is left of the 22 seconds is no piece.
    assert list(clips["id"]) == [f"at_{3 * k:04d}s" for k in range(7)]
    assert list(clips["split"]) == ["train"] * 5 + ["validation"] + ["test_sentences"]
    assert set(clips["subject"]) == {"person"}
    whole, heard = read_frames(speaking, 25), read_audio(speaking, 22_050)
    for k in (0, 4, 6):
        piece = read_frames(tmp_path / "corpus" / clips["video"][k], 25)
        assert piece.shape == (75, 300, 300, 3)
        error = np.square(piece.astype(float) - whole[75 * k : 75 * (k + 1)]).mean()
        assert error < 255**2 * 10**-4, "at least 40 dB"
        sound = read_audio(tmp_path / "corpus" / clips["audio"][k], 22_050)
        np.testing.assert_allclose(sound, heard[66_150 * k : 66_150 * (k + 1)], atol=1e-6)


def test_frames_are_shrunk_by_whole_numbers_to_even_sides():
    shapes = {(288, 360): (288, 360), (1080, 1920): (540, 960), (301, 299): (300, 298), (2161, 3840): (540, 960)}
    for shape, expected in shapes.items():
        assert adapt.shrunk(np.zeros((*shape, 3), np.uint8)).shape == (*expected, 3)


@pytest.mark.parametrize("steps", [1, 7, 60, 61, 125])
def test_a_shortened_recipe_takes_so_many_steps_and_the_same_batches(steps):
    whole = recipe(phase(3, start="last"), phase(5), batches=NumberBatches(3))
    short = adapt.shortened(whole, steps, None)
    (last,) = short.phases
    assert last.steps == steps and last.weights == whole.phases[1].weights and last.rates == whole.phases[1].rates
    assert (last.epochs - 1) * len(short.batches) < steps <= last.epochs * len(short.batches)
    assert last.epochs <= 2 * adapt.EPOCHS
    taken = islice(chain.from_iterable(short.batches.epoch(7, k) for k in range(last.epochs)), steps)
    plain = islice(chain.from_iterable(NumberBatches(3).epoch(7, k) for k in range(200)), steps)
    assert all(a.x.equal(b.x) for a, b in zip(taken, plain, strict=True))


@pytest.mark.parametrize(("steps", "of_recipe"), [(3, 0.998), (600, 0.998), (600, 0.9), (600, 0)])
def test_a_mean_of_the_weights_forgets_what_a_shortened_training_began_with(steps, of_recipe):
    whole = replace(recipe(phase(3), batches=NumberBatches(3)), averaging=of_recipe)
    averaging = adapt.shortened(whole, steps, None).averaging
    assert averaging**steps < 0.01 and (
        averaging == of_recipe or averaging == pytest.approx(1 - 5 / steps) or steps < 5
    )


def test_what_minutes_cannot_teach_is_not_trained():
    assert adapt.trained_for("sinha", "sinha") == ["audio_to_landmark", "landmark_to_texture"]
    assert adapt.trained_for("sinha_true_landmarks", "sinha") == ["audio_to_landmark", "landmark_to_texture"]
    assert adapt.trained_for("chen_s", "chen_s") == ["audio_to_au", "au_classifier", "end_to_end"]
    assert adapt.trained_for("kesim_erzin_speech", "kesim_erzin") == ["speech"]
    assert adapt.stages_for("atvgnet", ["landmark_to_texture"]) == [
        *("clips", "landmarks", "alignment person", "audio_features")
    ]


TAUGHT = [key for key, declared in TRAININGS.items() if declared.adapts]


@pytest.mark.parametrize(("paper", "training"), TAUGHT, ids=map("_".join, TAUGHT))
def test_a_network_is_trained_as_it_was_whatever_the_parameters_are_now(
    paper,
    training,
    trained,  # noqa: F811 (fixtures)
    make,  # noqa: F811
    corpus,  # noqa: F811
    monkeypatch,
    tmp_path,
):
    """By its card: sizes, which `check` compares, weights of the losses, and all else that its recipe depends on."""
    stage = f"{paper}_{training}"
    folder, before = trained(stage), make(stage)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    p = adapt.prepare(tmp_path / "work", folder, read_card(folder))
    (corpus / "alignment" / "person").symlink_to(corpus / "alignment" / "small")
    where, told, _ = STAGES[stage]
    after = import_module(where).recipe(p, corpus, **told)
    after.initial.check(after.settings, after.store.preprocessing, "person")
    assert after.knobs == before.knobs and after.phases[-1].weights == before.phases[-1].weights


def test_a_network_that_is_kept_is_the_systems_own(system, tmp_path):
    card = read_card(system)
    adapt.keep(system, card, "audio_to_landmark", tmp_path / "kept")
    ours, theirs = load_file(tmp_path / "kept" / WEIGHTS), load_file(system / "audio_to_landmark.safetensors")
    assert ours.keys() == theirs.keys() and all(ours[name].equal(theirs[name]) for name in ours)
    about = read_trained(tmp_path / "kept")
    assert about["key"] == card["networks"]["audio_to_landmark"]["key"]
    assert about["preprocessing"]["template"] == card["preprocessing"]["template"]


@pytest.mark.slow
def test_a_video_becomes_a_system_of_its_own(system, speaking, project, monkeypatch, capsys, tmp_path):
    """Interrupted between two networks, it goes on from there; nothing is left behind but the system and its video."""
    run, begun = training_stage.run, []

    def interrupted(paper, training, *args):
        begun.append(training)
        if begun == ["audio_to_landmark", "landmark_to_texture"]:
            raise KeyboardInterrupt
        run(paper, training, *args)

    monkeypatch.setattr(training_stage, "run", interrupted)
    with pytest.raises(SystemExit) as stopped:
        project(system, speaking, "--steps", "3")
    assert stopped.value.code == 130 and "Traceback" not in capsys.readouterr().err
    monkeypatch.setattr(adapt, "pieces", lambda *_: pytest.fail("the video is cut a second time"))
    out = project(system, speaking, "--steps", "3")
    said = capsys.readouterr().out
    # The one that was trained before the interruption is not trained again.
    assert len(re.findall(r"all \d epochs are done already", said)) == 1
    assert "before" in said and "mouth correlation" in said
    made, card = load_system(out), read_card(out)
    assert made.name == "atvgnet" and card["corpus"]["splits"]["train"] == {"clips": 5, "subjects": 1}
    for training, about in card["networks"].items():
        before = read_card(system)["networks"][training]
        assert about["initial"]["key"] == before["key"] != about["key"] and about["settings"] == before["settings"]
        ours, theirs = (load_file(folder / f"{training}.safetensors") for folder in (out, system))
        assert any(not ours[name].equal(theirs[name]) for name in ours)
    assert card["preprocessing"] == read_card(system)["preprocessing"]
    assert set(card["metrics"]) == {"split", "static", "before", "after"} and card["metrics"]["static"]["psnr"] > 15
    shown = read_frames(out.with_name("me_before_after.mp4"), 25)
    assert (
        shown.shape == (75, 256, 768, 3)
        and np.abs(read_audio(out.with_name("me_before_after.mp4"), 22_050)).max() > 0.1
    )
    assert not list((tmp_path / "project" / "data" / ".work" / "adapt").iterdir())


def refused(project, capsys, *args):
    with pytest.raises(SystemExit) as stopped:
        project(*args)
    line = str(stopped.value.code)
    assert line.startswith("error: ") and "\n" not in line and not list(adapt.DATA.glob("systems/*"))
    return line


SLOW = [pytest.param(fault, marks=pytest.mark.slow) for fault in ("two faces", "no face")]


@pytest.mark.parametrize("fault", ["silent", "mute", "short", "missing", "no video", *SLOW])
def test_a_video_that_cannot_be_used_is_one_line(system, project, make_clip, portrait, tmp_path, capsys, fault):
    path, n, rng = tmp_path / "me.mp4", SECONDS * 25, np.random.default_rng(0)
    noise = np.kron(rng.integers(0, 255, (12, 12, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    videos = {
        "silent": lambda: make_clip(path, 30, np.zeros(30 * 882)),
        "mute": lambda: make_clip(path, 30, False),
        "short": lambda: make_clip(path, 75),
        "two faces": lambda: make_clip(path, n, picture=np.hstack([portrait, portrait[:, ::-1]])),
        "no face": lambda: make_clip(path, n, picture=noise),
        "no video": lambda: path.write_text("me"),
        "missing": lambda: None,
    }
    videos[fault]()
    words = {
        "silent": "/me.mp4: its sound is digital silence",
        "mute": "/me.mp4 has no audio stream",
        "short": "me.mp4 is shorter than 20 s; one to five minutes are best",
        "two faces": "me.mp4 shows several faces in 100% of its frames",
        "no face": "me.mp4: .*every clip was rejected .no_face 7.",
        "no video": "/me.mp4: not in a known container",
        "missing": "/me.mp4 does not exist",
    }
    line = refused(project, capsys, system, path)
    assert re.search(rf"^error: .*{words[fault]}", line), line


@pytest.mark.slow
def test_another_person_from_the_border_of_two_pieces_on_is_seen(
    system, project, portrait, real_clips, tmp_path, capsys
):
    """The stage looks for one within pieces only."""
    with Image.open(real_clips / "portraits" / "fr_obama_small.jpg") as picture:
        other = np.asarray(picture.convert("RGB").resize((300, 300)))
    frames = [np.roll(face, k % 3, axis=1) for face in (portrait, other) for k in range(12 * 25)]
    write_video(tmp_path / "me.mp4", frames, 25, 0.1 * np.sin(np.arange(24 * 22_050) * 0.1))
    line = refused(project, capsys, system, tmp_path / "me.mp4")
    assert re.search(r"me\.mp4 shows several people \(another_person: from 12 s on\)$", line), line


def test_a_folder_that_is_there_is_not_replaced_unasked(project, tmp_path, capsys):
    (adapt.DATA.parent / "me").mkdir()
    assert "me exists already; name another folder, or give --force" in refused(
        project, capsys, "atvgnet", tmp_path / "me.mp4"
    )


def test_a_system_that_is_not_whole_is_one_line(system, project, tmp_path, capsys):
    path = system / "landmark_to_texture.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    assert "does not hold this system's network" in refused(project, capsys, system, tmp_path / "me.mp4")
