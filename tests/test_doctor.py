"""`make doctor`: what it says of this machine, of one that has nothing, and of parts that are missing."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline import doctor
from pipeline.parameters import load, substitutes

ROOT = Path(__file__).parents[1]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The project without git, DVC, data and environment, as the working directory."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("pipeline", "requirements.txt", "pretrained"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "params.yaml", folder)
    monkeypatch.chdir(folder)
    return folder


def run(python, folder, **environment):
    """The command's lines by what they are about, what it ends with, and its status."""
    command = [python, "-m", "pipeline.doctor"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    lines = {}
    for line in done.stdout.splitlines():
        lines.setdefault(line[2:15].strip(), []).append(line)
    return lines, done.stderr, done.returncode


def test_a_machine_that_has_all(project):
    (project / ".dvc").mkdir()
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    lines, said, status = run(sys.executable, project, PATH=path, OMP_NUM_THREADS="1")
    assert status == 0 and not said
    assert "OMP_NUM_THREADS=1" in lines["cores"][0]
    assert "device: " in lines["training"][0] and "training.device is auto: " in lines["training"][0]
    assert len(lines["stands in"]) == len(substitutes(load(project / "params.yaml")))
    shipped = [line for line in lines["system"] if "pretrained/sinha" in line]
    assert len(shipped) == 1 and "9 people" in shipped[0]


def test_a_machine_that_has_nothing(project):
    """No package, no git, no DVC: each is a line with its mend."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "bare"], check=True)
    lines, said, status = run("bare/bin/python", project, PATH="/nowhere")
    assert status == 1 and said.startswith("error: ") and said.count("\n") == 1
    pins = sum("==" in line for line in (ROOT / "requirements.txt").read_text().splitlines())
    assert f"missing: {pins} of {pins}" in lines["packages"][1] and "-m pip install -r" in lines["packages"][1]
    assert "not installed" in lines["git"][0] and "dvc init --no-scm" in lines["DVC"][0]
    for about in ("libraries", "training"):
        assert lines[about][0].startswith("✗") and "No module named" in lines[about][0]
    assert all(line.startswith(("✗", "·", " ")) for found in lines.values() for line in found)


def test_a_missing_package_and_another_version_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "requirements.txt").write_text("# pins\nnumpy==0.9\nthere-is-no-such==1.0\ntorch==2.13.0\n")
    _, absent, other = doctor.packages()
    assert absent.needed and "1 of 3 (there-is-no-such)" in absent.seen
    assert not other.needed and "1 of 3 (numpy " in other.seen and "for 0.9" in other.seen


@pytest.mark.parametrize("version", [(3, 10, 1), (3, 13, 0)])
def test_a_python_that_is_not_supported(monkeypatch, version):
    monkeypatch.setattr(sys, "version_info", version)
    found = next(doctor.python())
    assert found.needed and "3.11 and 3.12" in found.mend


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "AVX"),
        ("import there_is_no_such", "No module named 'there_is_no_such'"),
        ("import sys; sys.exit('error: params.yaml: a key')", "error: params.yaml: a key"),
    ],
)
def test_what_ends_a_library_is_a_line(code, words):
    found = doctor._end("training", doctor._start(code))
    assert found.needed and words in str(found) and "\n" not in str(found)


def test_a_library_that_does_not_answer(monkeypatch):
    monkeypatch.setattr(doctor, "PATIENCE_S", 0.2)
    assert "no answer" in doctor._end("training", doctor._start("import time; time.sleep(60)")).seen


def test_files_and_programs_that_parameters_name(project, monkeypatch):
    values = yaml.safe_load(Path("params.yaml").read_text())
    values["perceptual"]["vgg19"] = "vgg19.pth"
    values["action_units"] |= {"backend": "openface", "command": "FeatureExtraction -q"}
    Path("params.yaml").write_text(yaml.safe_dump(values))
    monkeypatch.setenv("PATH", str(project))
    found = {finding.about: finding for finding in doctor.parts()}
    assert found["params.yaml"].needed and "vgg19.pth" in found["params.yaml"].seen
    assert found["OpenFace"].needed and "action_units.command" in found["OpenFace"].mend
    Path("vgg19.pth").touch()
    (project / "FeatureExtraction").write_text("#!/bin/sh\n")
    (project / "FeatureExtraction").chmod(0o755)
    found = {finding.about: finding for finding in doctor.parts()}
    assert not found["params.yaml"].needed
    assert not found["OpenFace"].needed and found["OpenFace"].seen == str(project / "FeatureExtraction")


def test_parameters_that_cannot_be_read_are_a_line(project, monkeypatch):
    monkeypatch.setattr(doctor, "CHECKS", (doctor.parts,))
    monkeypatch.setattr(doctor, "TRIED", {})
    Path("params.yaml").write_text("seed: zero\n")
    (found,) = doctor.findings()
    assert found.needed and "params.yaml" in found.seen


def test_a_repository_is_found_from_below_its_root(project, tmp_path):
    assert "git init" in next(doctor.repository()).mend
    (tmp_path / ".git").mkdir()
    assert next(doctor.repository()).seen == f"repository {tmp_path}"
