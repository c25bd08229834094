"""Real stages, started as `dvc repro` starts them, on a cluster as docs/preprocessing.md starts it."""

import json
import os
import shutil
import subprocess
import sys
import time

import pandas as pd
import pytest
import yaml

from benchmarks.project import ROOT, checkout, run
from pipeline.training.trained import save_reason

pytestmark = pytest.mark.slow

PREPROCESSING = ("landmarks", "alignment small", "audio_features")
GENERATED = ("references small", "synthesis sinha small", "detection references/small", "detection sinha", "evaluation")


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
    """Two checkouts alike, `here` and `there`, with clips and a trained system."""
    clips = [make_clip(tmp_path / f"{k}.mp4", n_frames=10 + k) for k in range(3)]
    for name in ("here", "there"):
        folder = tmp_path / name
        checkout(folder, clips, 1)
        shutil.copytree(ROOT / "pretrained" / "sinha", folder / "data" / "systems" / "sinha")
        change(folder, lambda values: values["faces"]["small"].update(image_size=128))
        run(folder, sys.executable, "-m", "stages.clips")
        tested = pd.read_parquet(folder / "data" / "clips" / "clips.parquet").assign(split="test_sentences")
        tested.to_parquet(folder / "data" / "usable_clips.parquet")
        save_reason(folder / "data" / "trained" / "sync@small", "nobody judges sync here")


def change(folder, how):
    """Change what a checkout's params.yaml says."""
    path = folder / "params.yaml"
    values = yaml.safe_load(path.read_text())
    how(values)
    path.write_text(yaml.safe_dump(values))


def made(folder):
    """{path: bytes} of all that stages made."""
    files = [path for kind in ("data", "metrics") for path in (folder / kind).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_cluster_makes_what_this_machine_makes(cluster, tmp_path):
    """From videos to figures."""
    change(tmp_path / "there", lambda values: values["compute"].update(scheduler=cluster))
    before = made(tmp_path / "here").keys()
    for stage in (*PREPROCESSING, *GENERATED):
        for name in ("here", "there"):
            run(tmp_path / name, sys.executable, "-m", *f"stages.{stage}".split())
    here, there = made(tmp_path / "here"), made(tmp_path / "there")
    assert here.keys() == there.keys() and "metrics/evaluation.json" in here.keys() - before
    # What became of each clip is noted with the seconds that it took.
    assert [name for name in here if here[name] != there[name] and "data/done/" not in name] == []
