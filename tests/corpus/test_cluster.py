"""Real stages, started as `dvc repro` starts them, on a cluster as docs/preprocessing.md starts it."""

import json
import os
import subprocess
import sys
import time

import pytest
import yaml

from benchmarks.project import checkout, run

pytestmark = pytest.mark.slow

STAGES = ("landmarks", "alignment small", "heatmaps")


@pytest.fixture
def cluster(tmp_path):
    """Address of a scheduler with two workers, which run in the checkout `there`."""
    folder, note = tmp_path / "there", tmp_path / "scheduler.json"
    environment = os.environ | {"PYTHONPATH": "."}
    dask = [sys.executable, "-m", "dask"]
    options = {"cwd": folder, "env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [
        *dask,
        "scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--no-dashboard",
        "--scheduler-file",
        str(note),
    ]
    processes = [subprocess.Popen(command, **options)]
    worker = [*dask, "worker", "--scheduler-file", str(note), "--nthreads", "1", "--no-dashboard"]
    processes += [subprocess.Popen(worker, **options) for _ in range(2)]
    while not note.exists() or not note.read_text():
        assert processes[0].poll() is None
        time.sleep(0.1)
    yield json.loads(note.read_text())["address"]
    for process in reversed(processes):
        process.terminate()
    for process in processes:
        process.wait(timeout=20)


@pytest.fixture(autouse=True)
def checkouts(tmp_path, make_clip):
    clips = [make_clip(tmp_path / f"{k}.mp4", n_frames=10 + k) for k in range(3)]
    for name in ("here", "there"):
        checkout(tmp_path / name, clips, 1)
        run(tmp_path / name, sys.executable, "-m", "stages.clips")


def made(folder):
    files = [path for stage in STAGES for path in (folder / "data" / stage.split()[0]).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_cluster_makes_what_this_machine_makes(cluster, tmp_path):
    params = tmp_path / "there" / "params.yaml"
    values = yaml.safe_load(params.read_text())
    values["compute"]["scheduler"] = cluster
    params.write_text(yaml.safe_dump(values))
    for stage in STAGES:
        for name in ("here", "there"):
            run(tmp_path / name, sys.executable, "-m", *f"stages.{stage}".split())
    here, there = made(tmp_path / "here"), made(tmp_path / "there")
    assert here.keys() == there.keys() and len(here) > 10
    assert [name for name in here if here[name] != there[name]] == []
