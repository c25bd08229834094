"""What benchmarks share: the clips they are given, and a checkout of its own for one that runs stages."""

import argparse
import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from pipeline.errors import UserError

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "data" / "demo_corpus"
VIDEO = {".mpg", ".mp4", ".flv", ".avi", ".mov", ".mkv"}


def add_corpus(parser: argparse.ArgumentParser) -> None:
    """The argument `corpus`, by default the demo's."""
    help_text = "folder of clips (default: data/demo_corpus, by `dvc repro demo_corpus`)"
    parser.add_argument("corpus", nargs="?", type=Path, default=DEMO, help=help_text)


def layout_of(folder: Path) -> str:
    """Which of the layouts of `corpus.layout` a folder has, as far as benchmarks take them."""
    if (folder / "VideoFlash").is_dir():
        return "crema_d"
    return "folder" if (folder / "clips.csv").exists() else "grid"


def videos(folder: Path, n: int) -> list[Path]:
    """n of a folder's videos, evenly over their sorted names, again from the start where there are fewer.

    Raises UserError where there is none.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO)
    if not found:
        raise UserError(f"no videos in {folder}; make the demo corpus with `dvc repro demo_corpus`, or name a folder")
    spread = [found[k * (len(found) - 1) // max(1, n - 1)] for k in range(n)]
    return spread if n <= len(found) else [found[k % len(found)] for k in range(n)]


def checkout(folder: Path, clips: list[Path], workers: int | str) -> None:
    """Make `folder` a checkout whose corpus is `clips`, each under an id of its own."""
    (folder / "corpus").mkdir(parents=True)
    for name in ("pipeline", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    params = (ROOT / "params.yaml").read_text()
    for pattern, value in (
        (r"layout: crema_d", "layout: folder"),
        (r"root: data/demo_corpus", "root: corpus"),
        (r"workers: auto", f"workers: {workers}"),
        (r"max_rejected: 0\.2", "max_rejected: 0.9"),
    ):
        params, n = re.subn(pattern, value, params)
        assert n == 1, pattern
    (folder / "params.yaml").write_text(params)
    add_clips(folder, clips)


def add_clips(folder: Path, clips: list[Path]) -> None:
    """Add clips to the checkout's corpus."""
    table = folder / "corpus" / "clips.csv"
    n_before = max(0, len(table.read_text().splitlines()) - 1) if table.exists() else 0
    with table.open("a", newline="") as file:
        rows = csv.writer(file)
        if not n_before:
            rows.writerow(["video", "split"])
        for k, clip in enumerate(clips, start=n_before):
            name = f"clip{k:05d}{clip.suffix}"
            shutil.copy(clip, folder / "corpus" / name)
            rows.writerow([name, "test_sentences" if k % 5 == 4 else "train"])


def cpus(n: int) -> set[int]:
    """The first n of the CPUs that this process may use; fewer where there are fewer."""
    return set(sorted(os.sched_getaffinity(0))[:n])


def run(folder: Path, *command: str, cpus: set[int] | None = None) -> str:
    """Run a command in the checkout with this interpreter's environment, on the given CPUs; its output.

    Raises UserError with the end of what it said where it fails.
    """
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # or every process would compile the checkout anew
    limit = (lambda: os.sched_setaffinity(0, cpus)) if cpus else None
    done = subprocess.run(
        command, cwd=folder, env=environment, preexec_fn=limit, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise UserError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout + done.stderr


def size_of(*folders: Path) -> int:
    """Bytes in all files below the folders."""
    return sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())
