"""What `make` says on a machine that the pinned packages are not for, before anything is installed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.doctor import PYTHONS

ROOT = Path(__file__).parents[1]
NAMES = ("python3.12", "python3.11", "python3", "python")


@pytest.fixture
def made(tmp_path):
    """Run make in a project that has nothing yet, on a machine of that system where every python has that version."""
    project, programs = tmp_path / "project", tmp_path / "programs"
    project.mkdir()
    programs.mkdir()
    for name in ("Makefile", "requirements.txt"):
        shutil.copy(ROOT / name, project)

    def make(system, version, *arguments):
        # The check runs in a real Python that takes itself for another; all else is noted and fails.
        python = f"""#!/bin/sh
            if [ "$1" != -c ]; then echo "$@" >> "{tmp_path}/asked"; exit 7; fi
            exec /usr/bin/env -i "{shutil.which("python3")}" -c "import sys; sys.version_info = {version}; $2"
        """
        for name, text in {"uname": f"#!/bin/sh\necho {system}\n", **dict.fromkeys(NAMES, python)}.items():
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        environment = {"PATH": f"{programs}:/usr/bin:/bin"}
        command = ["make", *arguments]
        done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
        asked = tmp_path / "asked"
        return done.stdout + done.stderr, asked.read_text() if asked.exists() else ""

    return make


def errors(output):
    return [line for line in output.splitlines() if line.startswith("error: ")]


@pytest.mark.parametrize("target", ["repro", "talk", "test"])
def test_another_system_is_told_where_it_runs(made, target):
    output, asked = made("Darwin", (3, 12), target)
    (line,) = errors(output)
    assert "Linux" in line and "Darwin" in line and "docker run" in line and "WSL" in line and not asked


@pytest.mark.parametrize("version", [(3, 10), (3, 13)])
def test_another_python_is_told_which(made, version):
    output, asked = made("Linux", version, "repro")
    (line,) = errors(output)
    assert "Python 3.11 or 3.12" in line and "make PYTHON=" in line and not asked


def test_a_python_that_is_named_is_looked_at_as_well(made, tmp_path):
    output, asked = made("Linux", (3, 13), "repro", f"PYTHON={tmp_path}/programs/python3")
    assert len(errors(output)) == 1 and not asked


@pytest.mark.parametrize("version", PYTHONS)
def test_what_is_supported_goes_on(made, version):
    output, asked = made("Linux", version, "repro")
    assert not errors(output) and asked == "-m venv --clear .venv\n"


def test_the_doctor_needs_no_environment(made):
    _, asked = made("Darwin", (3, 13), "doctor")
    assert asked == "-m pipeline.doctor\n"


def test_all_name_the_same_pythons():
    (least, below) = re.search(
        r'requires-python = ">=3\.(\d+),<3\.(\d+)"', (ROOT / "pyproject.toml").read_text()
    ).groups()
    assert [minor for _, minor in PYTHONS] == list(range(int(least), int(below)))
