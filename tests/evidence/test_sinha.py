"""Sinha's figures of a small run: what they draw is what the system composed, and blinks are those that were planted."""

import shutil

import cv2
import numpy as np
import pytest
import yaml

from pipeline.evaluation.generated import write_json
from pipeline.evidence.frames import held_out
from pipeline.papers.sinha import evidence
from pipeline.papers.sinha.evidence import SIZE, STEP
from pipeline.report.run import read_run
from pipeline.systems.system import load_system
from tests.evidence.test_experiments import run as command

# Open eyes, 6 high and 20 wide (aspect ratio 0.3), and shut ones.
EYE = np.array([[0, 0], [6, -3], [14, -3], [20, 0], [14, 3], [6, 3]], float)
SHUT = EYE * [1, 0.1]


def face(shut):
    """Landmarks (68, 2), of which the eyes are known."""
    points = np.zeros((68, 2))
    eye = SHUT if shut else EYE
    points[36:42], points[42:48] = eye, eye + np.array([40, 0])
    return points


def test_bars_mark_the_frames_of_a_blink():
    landmarks = np.stack([face(10 <= k < 14) for k in range(50)])
    which = evidence.shut_eyes(landmarks, 25)
    assert list(np.flatnonzero(which)) == [10, 11, 12, 13]
    barred = evidence.barred(np.zeros((50, 32, 32, 3), np.uint8), which)
    assert list(np.flatnonzero(barred.any(axis=(1, 2, 3)))) == [10, 11, 12, 13] and not barred[:, 2:].any()


def test_attention_and_colour_compose_the_frame(run):
    """Eq. 6: att · photo + (1 − att) · colour."""
    system, clips = load_system(run.folder / evidence.SYSTEM), held_out(run, "sinha")
    drawn = evidence.frame_of(system, clips, "one_a", 8, 0)
    attention, colour, frame = evidence.in_maps(drawn).astype(float)
    composed = attention / 255 * clips.crops["one_a"][0] + (1 - attention / 255) * colour
    np.testing.assert_allclose(composed, frame, atol=2.5)
    assert attention.min() < 200 < attention.mean()


def test_maps_of_what_was_not_run_are_named(run, tmp_path):
    made = evidence.maps(run, tmp_path)
    assert [name in note for name, note in zip(evidence.ABLATIONS.values(), made.notes, strict=True)] == [True, True]
    image = cv2.imread(str(tmp_path / "figure_10.png"))
    assert image.shape[0] == 2 * SIZE + 22  # the truth, the whole system, the header
    assert "one, sentence may; two, sentence alm." in made.pictures["figure_10.png"]


# Its stage scales the weights of the colour map by a parameter; the maps of an ablation are its own network's.
STAGE = """
import shutil, yaml
from safetensors.torch import load_file, save_file
factor = yaml.safe_load(open("params.yaml"))["factor"]
shutil.copytree("measured", "data/evaluation", dirs_exist_ok=True)
shutil.copytree("trained", "data/systems/sinha", dirs_exist_ok=True)
path = "data/systems/sinha/landmark_to_texture.safetensors"
weights = load_file(path)
weights["colour.0.weight"] *= factor
save_file(weights, path)
"""


@pytest.mark.slow
def test_an_ablations_maps_are_its_own(run, tmp_path):
    """The colour map of an ablation whose weights are nought is grey; the whole system's is not."""
    folder = tmp_path / "project"
    shutil.copytree(run.folder, folder, ignore=shutil.ignore_patterns("evaluation", "systems", "dvc.yaml", "videos"))
    shutil.copytree(run.folder / "data" / "evaluation", folder / "measured")
    shutil.copytree(run.folder / "data" / "systems" / "sinha", folder / "trained")
    (folder / "params.yaml").write_text(yaml.safe_dump(run.params | {"factor": 1}, sort_keys=False))
    (folder / "stage.py").write_text(STAGE)
    outs = ["data/evaluation", evidence.SYSTEM]
    stage = {"cmd": "python stage.py", "deps": ["stage.py"], "params": ["factor"], "outs": outs}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"system": stage}}))
    (folder / ".gitignore").write_text("/data\n")
    for line in ("git init -q", "dvc init -q", "dvc repro -q", "git add .", "git commit -qm run"):
        command(folder, *line.split())
    command(folder, *["dvc", "exp", "run", "-q", "--name", "sinha_pixel", "--set-param", "factor=0"])
    command(folder, *["git", "checkout", "-q", "."])
    command(folder, *["dvc", "checkout", "-q", "--force"])
    made = evidence.maps(read_run(folder), tmp_path)
    assert len(made.notes) == 1 and "sinha_pixel_adversarial" in made.notes[0]
    image = cv2.imread(str(tmp_path / "figure_10.png"))
    # From the right: frame, colour map, attention. Below the header and the truth: the ablation, the whole system.
    ablated, whole = (image[22 + k * SIZE :][:SIZE, -2 * SIZE : -SIZE].astype(int) for k in (1, 2))
    assert np.abs(ablated - 127.5).max() <= 1 and np.ptp(whole) > 100


def test_one_speech_moves_all_mouths_alike_and_every_person_blinks_alone(run, tmp_path):
    made = evidence.one_speech(run, tmp_path)
    image = cv2.imread(str(tmp_path / "figure_9.png"))
    n_frames = len(held_out(run, "sinha").landmarks("one_a"))
    assert image.shape[0] == 2 * SIZE and image.shape[1] > SIZE * (-(-n_frames // STEP))
    assert "what one says" in made.pictures["figure_9.png"]


def test_blinks_are_counted(run, tmp_path, monkeypatch):
    """Two clips of 2 s; one has blinks of 0.16 s at 0.4 and 1.4 s."""
    found = {"counts": [2, 0], "seconds": [2.0, 2.0], "durations": [0.16, 0.16], "intervals": [1.0]}
    write_json(run.folder / "data" / "blinks.json", {"ground_truth": found, "generated": found | {"counts": [4, 0]}})
    monkeypatch.setattr(evidence, "LONG_S", 6)
    made = evidence.blinks(run, tmp_path)
    training, generated, long, real, drawn = made.tables["Blinks"]
    assert list(training.values())[1:] == ["0.500", "0.160", "1.000", "2"] and generated["blinks / s"] == "1.000"
    assert "2 people" in long["blinks of"] and float(long["blinks / s"]) == pytest.approx(
        int(long["blinks"]) / 36, abs=1e-3
    )
    # The frames that pass for real are the system's own.
    assert [real[key] for key in list(real)[1:]] == [drawn[key] for key in list(drawn)[1:]]
    assert (tmp_path / "figure_11.png").exists()
