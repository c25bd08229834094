import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline import code
from pipeline.corpus import incremental
from pipeline.corpus.incremental import fingerprint, read_done
from pipeline.corpus.shards import Shards
from pipeline.corpus.tables import Tables
from pipeline.errors import UserError, one_line_errors
from tests.corpus.clip_work import content, make, run

ROOT = Path(__file__).parents[2]
SEEDS = {f"clip{k}": k for k in range(40)}


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """What a run from nothing makes."""
    folder = tmp_path_factory.mktemp("clean")
    assert run(folder, SEEDS, {"clip7": "reject"}) == sorted(SEEDS.values())
    return content(folder)


def test_what_was_made_comes_back(tmp_path):
    run(tmp_path, SEEDS, {"clip7": "reject"})
    crops, mel = (Shards(tmp_path / "data" / "stage" / kind) for kind in ("crops", "mel"))
    landmarks = Tables(tmp_path / "data" / "stage" / "landmarks")
    assert set(crops) == set(mel) == set(landmarks) == SEEDS.keys() - {"clip7"}
    for clip in crops:
        made = make((SEEDS[clip], None, os.devnull))
        np.testing.assert_array_equal(crops[clip], made.arrays["crops"])
        np.testing.assert_array_equal(mel[clip], made.arrays["mel"])
        np.testing.assert_array_equal(landmarks.landmarks(clip), made.tables["landmarks"]["points"])
        assert landmarks[clip]["has_face"].all() and landmarks.frames(clip) == len(made.arrays["crops"])
    table = pd.read_parquet(tmp_path / "data" / "stage" / "landmarks", columns=["clip", "frame"])
    assert table.groupby("clip")["frame"].max()["clip3"] == 3
    rows = {row["clip"]: row for row in read_done("stage", tmp_path / "data")}
    assert rows["clip7"]["reason"] == "no_face" and rows["clip3"]["frames"] == 4


def test_nothing_changed_costs_nothing(tmp_path, clean):
    run(tmp_path, SEEDS, {"clip7": "reject"})
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "data" / "stage").rglob("shard-*")}
    assert run(tmp_path, SEEDS, {"clip7": "reject"}) == []
    assert written == {path: path.stat().st_mtime_ns for path in written}


@pytest.mark.parametrize(
    ("before", "worked_on"),
    [
        ({k: v for k, v in SEEDS.items() if k != "clip11"}, [11]),  # one is added
        (SEEDS | {"gone": 99}, []),  # one is removed
        (SEEDS | {"clip11": 5}, [11]),  # one has changed
        ({"other": 1}, sorted(SEEDS.values())),
    ],
)
def test_a_change_costs_the_clips_that_changed_and_ends_like_a_clean_run(tmp_path, clean, before, worked_on):
    run(tmp_path, before, {"clip7": "reject"})
    assert run(tmp_path, SEEDS, {"clip7": "reject"}) == worked_on
    assert content(tmp_path) == clean


def test_other_code_or_parameters_cost_every_clip(tmp_path, clean):
    run(tmp_path, SEEDS, {"clip7": "reject"}, made_by="older code")
    assert run(tmp_path, SEEDS, {"clip7": "reject"}) == sorted(SEEDS.values())
    assert content(tmp_path) == clean


def test_shards_that_are_not_what_was_noted_are_made_anew(tmp_path, clean):
    run(tmp_path, SEEDS, {"clip7": "reject"})
    out = tmp_path / "data" / "stage"
    first = sorted((out / "crops").glob("*.npz"))[0]
    first.write_bytes(first.read_bytes()[:-1])
    (out / "crops" / "shard-99.npz").write_bytes(b"of an older version")
    redone = run(tmp_path, SEEDS, {"clip7": "reject"})
    assert 0 < len(redone) < len(SEEDS) and content(tmp_path) == clean


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_do_not_change_a_byte(tmp_path, clean, workers):
    run(tmp_path, SEEDS, {"clip7": "reject"}, workers=workers)
    assert content(tmp_path) == clean


def test_a_cluster_does_not_change_a_byte(tmp_path, clean):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        run(tmp_path, SEEDS, {"clip7": "reject"}, scheduler=cluster.scheduler_address)
    assert content(tmp_path) == clean


def test_a_scheduler_that_does_not_answer_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"compute\.scheduler.*127\.0\.0\.1:1"):
        run(tmp_path, SEEDS, scheduler="tcp://127.0.0.1:1")


def test_a_clip_that_kills_its_worker_costs_itself(tmp_path):
    done = run(tmp_path, SEEDS, {"clip7": "die", "clip21": "break"}, workers=2)
    rejected = pd.read_parquet(tmp_path / "data" / "stage" / "rejected.parquet").set_index("clip")
    assert dict(rejected["reason"]) == {"clip7": "crashed", "clip21": "failed"}
    assert "ValueError at clip_work.py" in rejected.loc["clip21", "detail"]
    # Those under way beside it are done again: at most two for each worker.
    assert set(done) == set(SEEDS.values()) and len(done) <= len(SEEDS) + 4


def test_a_full_disk_ends_the_run_and_what_is_done_is_kept(tmp_path, capsys):
    with pytest.raises(SystemExit, match="error: the disk is full; make room and run again"):
        one_line_errors(lambda: run(tmp_path, SEEDS, {"clip30": "full"}))()
    assert 30 in run(tmp_path, SEEDS)
    assert run(tmp_path, SEEDS) == []


def test_what_may_have_been_the_machines_fault_is_tried_again(tmp_path, clean):
    run(tmp_path, SEEDS, {"clip7": "reject", "clip21": "break", "clip22": "die"})
    assert run(tmp_path, SEEDS, {"clip7": "reject"}) == [21, 22]
    assert content(tmp_path) == clean
    run(tmp_path, SEEDS | {"odd": 99}, {"clip7": "reject", "odd": "break"})
    run(tmp_path, SEEDS, {"clip7": "reject"})
    assert content(tmp_path) == clean, "a clip that failed and was taken out has left nothing"


def test_a_kind_that_is_no_longer_made_is_gone(tmp_path):
    run(tmp_path, SEEDS, made_by="older code")
    assert run(tmp_path, SEEDS, dict.fromkeys(SEEDS, "fewer")) == sorted(SEEDS.values())
    assert {path.parts[0] for path in map(Path, content(tmp_path))} == {"crops", "rejected.parquet"}


def test_two_runs_at_once_are_refused(tmp_path):
    run(tmp_path, SEEDS)
    with incremental._Shards("stage", tmp_path / "data").lock(), pytest.raises(UserError, match="another process"):
        run(tmp_path, SEEDS)


def test_too_many_rejected_end_the_stage(tmp_path):
    with pytest.raises(UserError, match="max_rejected"):
        run(tmp_path, SEEDS, dict.fromkeys(["clip1", "clip2", "clip3"], "reject"), max_rejected=0.05)


KILLED = """
import sys, json
from pathlib import Path
from tests.corpus.clip_work import run
run(Path(sys.argv[1]), {f"clip{k}": k for k in range(40)}, {f"clip{k}": "slow" for k in range(40)}, workers=2)
"""


def test_killed_at_any_moment_and_started_again_ends_the_same(tmp_path):
    root = Path(incremental.__file__).parents[2]
    clean_folder, folder = tmp_path / "clean", tmp_path / "killed"
    clean_folder.mkdir(), folder.mkdir()
    run(clean_folder, SEEDS)
    rng, done = random.Random(0), []
    log = folder / "log"
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], cwd=root, stderr=subprocess.DEVNULL)
        # Once work has begun, some moment within it.
        while not log.exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0.02, 0.25))
        process.kill()
        process.wait()
        time.sleep(0.5)  # for the workers, which end when they see that their parent has
        done += map(int, log.read_text().split())
        log.unlink()
    done += run(folder, SEEDS)
    assert content(folder) == content(clean_folder)
    assert set(done) == set(SEEDS.values())
    assert len(done) <= len(SEEDS) + 3 * 2, "each of two workers loses at most the clip that it was at"
    assert not (folder / "data" / ".work" / "stage").exists()


@pytest.mark.parametrize("moves_before_it", [0, 3, 6])
def test_killed_while_a_shard_is_moved_into_place(tmp_path, clean, monkeypatch, moves_before_it):
    """A shard's six files and its note are moved one by one; those of a shard that existed are overwritten."""
    run(tmp_path, {c: s for c, s in SEEDS.items() if s < 20}, {"clip7": "reject"})
    replace, moves = os.replace, iter(range(10_000))

    def move(source, target):
        if ".whole" in str(source) and next(moves) == moves_before_it:
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", move)
        run(tmp_path, SEEDS, {"clip7": "reject"})
    assert len(list((tmp_path / "data" / ".work" / "stage").glob("*.whole"))) == 1
    run(tmp_path, SEEDS, {"clip7": "reject"})
    assert content(tmp_path) == clean


def test_a_fingerprint_is_of_the_stages_code_and_of_the_parameters_that_it_lists(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(code, "ROOT", tmp_path)

    def with_change(path="stages/s.py", text="from pipeline.a.b import X  # the stage"):
        """The stage's fingerprint with one file as given, and the others as they are."""
        planted = {
            "dvc.yaml": "stages: {s: {deps: [data/x, pipeline/c.py], params: [corpus.fps, corpus.max_rejected]}}",
            "params.yaml": "corpus: {fps: 25, max_rejected: 0.1, root: here}",
            "stages/s.py": "from pipeline.a.b import X",
            "pipeline/a/b.py": "X = 1",
            "pipeline/c.py": "Y = 2",
        }
        for name, written in (planted | {path: text}).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(written)
        code._imports.cache_clear()
        code._meaning.cache_clear()
        return fingerprint("s")

    try:
        first = with_change()
        # What the stage does not import does nothing, even where dvc.yaml names it; nor does a parameter that is not listed.
        assert with_change("pipeline/c.py", "Y = 3") == first
        assert with_change("params.yaml", "corpus: {fps: 25, max_rejected: 0.9, root: there}") == first
        others = [
            with_change("params.yaml", "corpus: {fps: 30, max_rejected: 0.1, root: here}"),
            with_change("pipeline/a/b.py", "X = 2"),
            with_change("stages/s.py", "from pipeline.a.b import X as Z"),
        ]
    finally:
        code._imports.cache_clear()
        code._meaning.cache_clear()
    assert len({first, *others}) == 4


def test_of_a_foreach_only_the_items_own_parameters_count(tmp_path, monkeypatch):
    """Another size of other faces makes none of these crops new."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    values = yaml.safe_load((ROOT / "params.yaml").read_text())

    def made_by(name, **faces):
        both = {"small": {"image_size": 64, "transform": "per_frame"}, "large": {"image_size": 128, "transform": "box"}}
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(values | {"faces": both | faces}))
        return fingerprint(f"alignment/{name}")

    before = made_by("small")
    assert made_by("small", large={"image_size": 96, "transform": "box"}) == before
    assert made_by("small", small={"image_size": 96, "transform": "per_frame"}) != before
    assert made_by("small", small={"image_size": 64, "transform": "box"}) != before
    values["alignment"]["eye_height"] = 0.4
    assert made_by("small") != before
