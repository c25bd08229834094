"""What DVC's own work takes, in time and space, with so many bytes of shards.

    python -m benchmarks.dvc_scale [--gigabytes 5]

In a project of its own a stage makes shards of the size of those in `data/`: 32 to a folder, of four folders. Printed are the
seconds of `dvc repro` beyond the stage's own, with nothing changed, and after one shard changed; of `dvc push` to a remote on
this disk; of `dvc pull` in a second clone, where nothing is left to run; and of `dvc repro --pull` in a third, which has no
dvc.lock and takes all from the run cache. Beside them `cp` of the same bytes. All of it is done with DVC's cache as it is set
up, and with hard links.
"""

import argparse
import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.project import run, size_of
from pipeline.corpus.shards import N_SHARDS
from pipeline.errors import UserError, one_line_errors

FOLDERS = 4
PULL, COPY, DIFFERING = "pull, in a second clone", "cp of the same", "shards there that differ"
# Of what numpy draws, written out again and again: what is hashed and copied does not care. One byte differs by `salt.txt`.
STAGE = """\
import time
from pathlib import Path
import numpy as np
started = time.perf_counter()
block = np.random.default_rng(0).bytes({block})
for k in range({folders}):
    (Path("data") / str(k)).mkdir(parents=True, exist_ok=True)
    for shard in range({shards}):
        salt = Path("salt.txt").read_bytes() if (k, shard) == (0, 0) else b""
        (Path("data") / str(k) / f"shard-{{shard:02d}}.npz").write_bytes(f"{{k}} {{shard}} ".encode() + salt + block)
print(f"stage: {{time.perf_counter() - started}}")
"""
DAG = """\
stages:
  shards:
    cmd: {python} stage.py
    deps: [stage.py, salt.txt]
    outs: [{outs}]
"""


def project(folder: Path, gigabytes: float, links: str | None) -> None:
    """A Git repository with one stage; links: DVC's `cache.type`, None = its own choice."""
    folder.mkdir()
    block = round(gigabytes * 1e9 / FOLDERS / N_SHARDS)
    (folder / "stage.py").write_text(STAGE.format(block=block, folders=FOLDERS, shards=N_SHARDS))
    (folder / "salt.txt").write_text("0")
    outs = ", ".join(f"data/{k}" for k in range(FOLDERS))
    (folder / "dvc.yaml").write_text(DAG.format(python=sys.executable, outs=outs))
    run(folder, "git", "init", "--quiet")
    run(folder, "dvc", "init", "--quiet")
    run(folder, "dvc", "config", "core.analytics", "false")
    run(folder, "dvc", "remote", "add", "--default", "--quiet", "local", str(folder.parent / "remote"))
    if links:
        run(folder, "dvc", "config", "cache.type", links)


def commit(folder: Path) -> None:
    run(folder, "git", "add", "--all")
    run(folder, "git", "-c", "user.name=benchmark", "-c", "user.email=none", "commit", "--quiet", "--message", "run")


def timed(folder: Path, *command: str) -> tuple[float, str]:
    started = time.perf_counter()
    said = run(folder, *command)
    return time.perf_counter() - started, said


def repro(folder: Path, *options: str) -> tuple[float, bool]:
    """Seconds of `dvc repro` beyond those of the stage, and whether the stage ran."""
    seconds, said = timed(folder, "dvc", "repro", *options)
    own = [float(line.split()[1]) for line in said.splitlines() if line.startswith("stage: ")]
    return seconds - sum(own), bool(own)


def clone(of: Path, folder: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", of, folder], check=True)


def measure(home: Path, gigabytes: float, links: str | None) -> dict[str, float]:
    """Seconds of each step, and what it leaves in bytes, as a share of the shards'."""
    one, two, three = (home / name for name in ("one", "two", "three"))
    project(one, gigabytes, links)
    first, ran = repro(one)
    nothing, again = repro(one)
    commit(one)
    shards = size_of(one / "data")
    used = disk(one)
    push, _ = timed(one, "dvc", "push", "--quiet", "--run-cache")
    clone(one, two)
    pull, _ = timed(two, "dvc", "pull", "--quiet", "--run-cache")
    clone_repro, clone_ran = repro(two)
    differing = sum(not filecmp.cmp(path, two / path.relative_to(one), shallow=False) for path in shards_of(one))
    shutil.rmtree(two)
    clone(one, three)
    (three / "dvc.lock").unlink()
    run(three, "dvc", "fetch", "--quiet", "--run-cache")
    restored, restored_ran = repro(three, "--pull")
    shutil.rmtree(three)
    (one / "salt.txt").write_text("1")
    changed, _ = repro(one)
    copied = time.perf_counter()
    shutil.copytree(one / "data", home / "copy")
    copied = time.perf_counter() - copied
    if not ran or again or clone_ran or restored_ran:
        raise UserError(f"the stage ran at first, again, in the clones: {ran}, {again}, {clone_ran}, {restored_ran}")
    return {
        "the first time": first,
        "nothing changed": nothing,
        "one shard of 128 changed": changed,
        "push": push,
        PULL: pull,
        "nothing to do there": clone_repro,
        "from the run cache, without dvc.lock": restored,
        COPY: copied,
        "disk, times the shards": used / shards,
        DIFFERING: differing,
    }


def shards_of(folder: Path) -> list[Path]:
    return sorted((folder / "data").glob("*/*.npz"))


def disk(folder: Path) -> int:
    """Bytes on disk of a folder, of files with several names once."""
    return int(
        subprocess.run(["du", "-s", "-B1", folder], capture_output=True, text=True, check=True).stdout.split()[0]
    )


@one_line_errors
def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m benchmarks.dvc_scale", description=__doc__, formatter_class=raw)
    parser.add_argument("--gigabytes", type=float, default=5, help="of shards (default: %(default)s)")
    gigabytes = parser.parse_args().gigabytes
    measured = {}
    for title, links in (("as it is set up", None), ("hard links", "hardlink,copy")):
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as home:
            measured[title] = measure(Path(home), gigabytes, links)
    print(
        f"{gigabytes:g} GB in {FOLDERS * N_SHARDS} shards, seconds{'':>14}"
        + "".join(f"{title:>18}" for title in measured)
    )
    for step in measured["hard links"]:
        print(f"{step:45}" + "".join(f"{of[step]:18.1f}" for of in measured.values()))
    own = measured["as it is set up"]
    rates = f"ours {own[PULL]:.2f}, alternative {own[COPY]:.3f} s to another place"
    print(f"dvc_scale: ratio {own[COPY] / own[PULL]:.3f} ({rates}; deviation {own[DIFFERING]})")


if __name__ == "__main__":
    main()
