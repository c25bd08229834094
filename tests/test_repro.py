"""Stages side by side: small pipelines of real DVC stages, whose script notes when, where and with how many threads it ran."""

import filecmp
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from pipeline.errors import UserError
from pipeline.repro import chains, consequences, load, reasons

ROOT = Path(__file__).parents[1]
CORES = sorted(os.sched_getaffinity(0))
# first makes a folder; left needs a part of it, right all; the group and last need what those make, last by its folder.
DVC_YAML = """
stages:
  first: {cmd: python work.py made/first/a made/first/b, deps: [work.py], outs: [made/first]}
  left: {cmd: python work.py made/sides/left, deps: [work.py, made/first/a], params: [left], outs: [made/sides/left]}
  right: {cmd: python work.py made/sides/right, deps: [work.py, made/first], params: [right], outs: [made/sides/right]}
  after:
    foreach: [right]
    do:
      cmd: python work.py made/after_${item}
      deps: [work.py, "made/sides/${item}"]
      outs: ["made/after_${item}"]
  last: {cmd: python work.py made/last, deps: [work.py, made/sides], outs: [made/last]}
"""
NEEDS = {
    "left": ["first"],
    "right": ["first"],
    "after@right": ["right"],
    "last": ["left", "right"],
}
STAGES = {"first", *NEEDS}
# left and right wait for each other, where they may: nothing else shows as surely that they run at the same time.
WORK = """
import json, os, sys, time
from pathlib import Path

name, start = os.environ["DVC_STAGE"], time.time()
notes = Path("notes")
(notes / f"{name}.partial").write_text(str(os.getpid()))
(notes / f"{name}.partial").rename(notes / f"{name}.pid")
print("working")
if Path("broken").exists() and name == "left":
    sys.exit("error: left is broken")
partner = {"left": notes / "right.pid", "right": notes / "left.pid"}.get(name)
while partner and Path("together").exists() and not partner.exists():
    time.sleep(0.02)
while Path("endless").exists():
    time.sleep(0.02)
for path in map(Path, sys.argv[1:]):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(name)
note = {"start": start, "end": time.time(), "cores": sorted(os.sched_getaffinity(0))}
note["threads"] = {key: value for key, value in os.environ.items() if key.endswith("_NUM_THREADS")}
(notes / f"{name}.json").write_text(json.dumps(note))
"""


def environment(folder):
    """This interpreter's, with the project's modules, and without what reaches beyond the folder."""
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "GIT_CONFIG_GLOBAL": str(folder.parent / "gitconfig"),
        "DVC_SITE_CACHE_DIR": str(folder.parent / "site_cache"),
    }


def run(folder, *command, status=0):
    """Run a command there; what it says on stdout and on stderr."""
    done = subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == status, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout, done.stderr


def repro(folder, *targets, status=0):
    return run(folder, sys.executable, "-m", "pipeline.repro", *targets, status=status)


def notes(folder):
    """What the stages that ran have noted, by name."""
    return {path.stem: json.loads(path.read_text()) for path in (folder / "notes").glob("*.json")}


def new_notes(folder):
    shutil.rmtree(folder / "notes", ignore_errors=True)
    (folder / "notes").mkdir()


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def new_project(folder):
    """The pipeline as it is written, in a repository of its own; nothing has run."""
    (folder / ".dvc").mkdir(parents=True)
    files = {
        "dvc.yaml": DVC_YAML,
        "work.py": WORK,
        "params.yaml": "left: 1\nright: 1\n",
        ".gitignore": "/data/\n/made/\n/notes/\n__pycache__/\n",
        ".dvc/config": "[core]\n    analytics = false\n    check_update = false\n",
        ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder.parent / "gitconfig").write_text("[user]\n\tname = test\n\temail = test@example.org\n")
    new_notes(folder)
    run(folder, "git", "init", "-q")
    return folder


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    """The pipeline once it has run, and what the command said."""
    folder = new_project(tmp_path_factory.mktemp("repro") / "project")
    if len(CORES) > 1:
        (folder / "together").touch()
    output, _ = repro(folder)
    (folder / "together").unlink(missing_ok=True)
    return folder, output


@pytest.fixture
def project(reproduced, tmp_path):
    """A copy of it, where left and right have to run again, and make what they made before."""
    folder = tmp_path / "project"
    shutil.copytree(reproduced[0], folder, symlinks=True)
    shutil.copy(reproduced[0].parent / "gitconfig", tmp_path)
    (folder / "params.yaml").write_text("left: 2\nright: 2\n")
    new_notes(folder)
    return folder


def test_everything_runs_after_what_it_needs(reproduced):
    ran = notes(reproduced[0])
    assert set(ran) == STAGES
    for name, needs in NEEDS.items():
        assert ran[name]["start"] > max(ran[need]["end"] for need in needs)


def test_an_archive_without_git_runs_too(project):
    shutil.rmtree(project / ".git")
    output, _ = repro(project)
    assert output.startswith("note: no git repository here; ") and {"left", "right"} <= set(notes(project))
    output, _ = repro(project)
    assert output.startswith("ran 0 of 5 ")
    # What the note says of later.
    run(project, "git", "init", "-q")
    run(project, "dvc", "config", "core.no_scm", "false")
    output, _ = repro(project)
    assert output.startswith("ran 0 of 5 ")


def test_one_line_per_stage_and_one_log(reproduced):
    folder, output = reproduced
    lines = output.splitlines()
    assert lines[0].startswith("[1/5] first: ") and lines[0].endswith(" s")
    assert (
        len(lines) == 6 and lines[-1].startswith("ran 5 of 5 stages in ") and lines[-1].endswith("; 0 were up to date")
    )
    logs = folder / "data/.work/logs"
    assert {path.stem for path in logs.iterdir()} == STAGES
    assert "working" in (logs / "after@right.log").read_text()


def test_a_stage_that_is_alone_has_all_cores(reproduced):
    first = notes(reproduced[0])["first"]
    assert first["cores"] == CORES
    assert {first["threads"][f"{library}_NUM_THREADS"] for library in ("OMP", "MKL", "OPENBLAS")} == {str(len(CORES))}


@pytest.mark.skipif(len(CORES) < 2, reason="two stages at the same time, each on a core of its own, need two cores")
def test_stages_run_at_the_same_time_on_cores_of_their_own(reproduced):
    ran = notes(reproduced[0])
    left, right = ran["left"], ran["right"]
    assert left["start"] < right["end"] and right["start"] < left["end"]
    assert len(left["cores"]) == len(right["cores"]) == 1 and left["cores"] != right["cores"]
    assert left["threads"]["OMP_NUM_THREADS"] == right["threads"]["OMP_NUM_THREADS"] == "1"


def test_nothing_is_left_to_do(reproduced):
    folder, _ = reproduced
    before = notes(folder)
    assert "Data and pipelines are up to date" in run(folder, "dvc", "repro")[0]
    output, _ = repro(folder)
    assert output.startswith("ran 0 of 5 stages in ") and output.endswith("; 5 were up to date\n")
    assert notes(folder) == before


def test_what_dvc_repro_makes_is_the_same(reproduced, tmp_path):
    serial = new_project(tmp_path / "serial")
    run(serial, "dvc", "repro")
    made = sorted(path.relative_to(serial) for path in (serial / "made").rglob("*") if path.is_file())
    assert len(made) == 6
    assert filecmp.cmpfiles(serial, reproduced[0], made, shallow=False)[0] == made
    serial_lock, lock = (yaml.safe_load((folder / "dvc.lock").read_text()) for folder in (serial, reproduced[0]))
    assert lock == serial_lock


def test_a_failure_stops_only_what_needs_it(project):
    (project / "broken").touch()
    output, errors = repro(project, status=1)
    assert "left: failed after " in output and set(notes(project)) == {"right"}
    # first; and after@right, since right made the same again.
    assert "ran 1 of 5 stages in " in output and "; 2 were up to date" in output
    assert errors.splitlines() == [
        "left failed, see data/.work/logs/left.log:",
        "    error: left is broken",
        "    not run, because left failed: last",
        "error: 1 of 5 stages failed, 1 were not run because of that",
    ]
    (project / "broken").unlink()
    repro(project)
    assert set(notes(project)) == {"left", "right"}


def test_an_interrupted_run_leaves_nothing_behind(project):
    (project / "endless").touch()
    command = [sys.executable, "-m", "pipeline.repro"]
    process = subprocess.Popen(
        command,
        cwd=project,
        env=environment(project),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # where the tests ignore it, as in the background
    )
    wanted = ["left", "right"][: len(CORES)]
    wait_for(lambda: all((project / f"notes/{name}.pid").exists() for name in wanted))
    pids = [int((project / f"notes/{name}.pid").read_text()) for name in wanted]
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.startswith("interrupted; ") and errors.count("\n") == 1
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    (project / "endless").unlink()
    output, _ = repro(project)
    assert set(notes(project)) == {"left", "right"} and "; 3 were up to date" in output


def test_a_stage_that_another_dvc_holds_is_tried_again(project):
    with subprocess.Popen(["sleep", "600"]) as other:
        held = {str(project / "made/sides/left"): {"pid": other.pid, "cmd": "dvc repro left"}}
        (project / ".dvc/tmp/rwlock").write_text(json.dumps({"write": held, "read": {}}))
        command = [sys.executable, "-m", "pipeline.repro", "left"]
        process = subprocess.Popen(command, cwd=project, env=environment(project))
        log = project / "data/.work/logs/left.log"
        wait_for(lambda: "is busy" in log.read_text())
        other.kill()
    assert process.wait(60) == 0
    assert set(notes(project)) == {"left"}


def test_targets(reproduced, monkeypatch):
    monkeypatch.chdir(reproduced[0])
    names = {target: {stage.addressing for stage in load([target])} for target in ("left", "after@*", "last")}
    assert names["left"] == {"first", "left"}
    assert names["after@*"] == {"first", "right", "after@right"}
    assert names["last"] == STAGES - {"after@right"}


@pytest.mark.parametrize(
    ("name", "old", "new", "targets", "message"),
    [
        ("dvc.yaml", "", "", ["rihgt"], "no stage 'rihgt'; did you mean right?"),
        ("dvc.yaml", "", "", ["x"], "`dvc stage list` names them"),
        ("dvc.yaml", "stages:", "stages: [", [], "'dvc.yaml'"),
        (
            "dvc.yaml",
            "cmd: python",
            "order: python",
            [],
            "'./dvc.yaml' validation failed: 2 errors; `dvc status` shows where",
        ),
        ("dvc.yaml", "foreach: [right]", "foreach: ${sides}", [], "sides"),
        ("dvc.yaml", "[work.py, made/first/a]", "[made/last]", [], "defined as both a dependency and an output"),
        ("dvc.yaml", "[work.py, made/first/a]", "[corpus/clips]", [], "left needs corpus/clips, which does not exist"),
        ("params.yaml", "left: 1", "left: [", [], "params.yaml"),
        ("dvc.lock", "schema:", "schema: [", [], "dvc.lock"),
        (".dvc/config", "[core]", "[core", [], "config"),
    ],
)
def test_mistakes_are_named_in_one_line(reproduced, tmp_path, monkeypatch, name, old, new, targets, message):
    folder = tmp_path / "project"
    shutil.copytree(reproduced[0], folder, symlinks=True)
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))
    monkeypatch.chdir(folder)
    with pytest.raises(UserError) as caught:
        load(targets)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_the_longest_chain_goes_first():
    needs = {"short": set(), "long": set(), "middle": {"long"}, "end": {"middle", "short"}}
    assert chains(needs) == {"short": 1, "long": 2, "middle": 1, "end": 0}
    assert consequences(needs, ["long"]) == {"long": ["middle", "end"]}


def test_why_a_stage_failed():
    assert reasons("Running stage 'x':\n> x\nerror: no clips\nbye\nERROR: failed to reproduce 'x'") == [
        "error: no clips"
    ]
    assert reasons("> x\nepoch 1\n  0%\r 10%\n\nERROR: failed: x, exited with -9\n") == [
        "10%",
        "ERROR: failed: x, exited with -9",
    ]
