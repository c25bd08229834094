"""One clip more in a corpus that is done, against doing the corpus.

    python -m benchmarks.incremental [FOLDER_OF_CLIPS] [--clips 1000]

Runs `dvc repro preprocessing` in a checkout of its own three times: from nothing, with nothing changed, and with one clip
added. The deviation is the number of bytes in which the result differs from that of the grown corpus done from nothing; it is
taken with --check, which takes as long again. The folder's clips are taken more than once where they are fewer.
"""

import argparse
import re
import resource
import tempfile
import time
from pathlib import Path

from benchmarks.project import add_clips, checkout, run, videos

STAGES = ("landmarks", "alignment", "heatmaps", "action_units", "audio_features", "character_features")


def repro(folder: Path) -> tuple[float, dict[str, int]]:
    """Seconds that `dvc repro preprocessing` takes, and the number of clips that each stage worked on."""
    started = time.perf_counter()
    output = run(folder, "dvc", "repro", "preprocessing")
    seconds = time.perf_counter() - started
    worked_on = {stage: int(n) for stage, n in re.findall(r"(\w+): (\d+) clips in ", output)}
    return seconds, {stage: worked_on.get(stage, 0) for stage in STAGES}


def content(folder: Path) -> dict[str, bytes]:
    """All that the stages made, by path."""
    files = [path for stage in STAGES for path in (folder / "data" / stage).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def prepare(folder: Path, clips: list[Path]) -> None:
    checkout(folder, clips, "auto")
    for command in ("git init -q", "dvc init -q", "dvc config core.analytics false"):
        run(folder, *command.split())


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.incremental", description=__doc__.splitlines()[0])
    parser.add_argument("corpus", nargs="?", type=Path, default=Path("data/demo_corpus"), help="(default: %(default)s)")
    parser.add_argument("--clips", type=int, default=1000, help="clips of the corpus (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="compare the result with that of a run from nothing")
    args = parser.parse_args()
    clips = videos(args.corpus, args.clips + 1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "project"
        prepare(folder, clips[:-1])
        whole, _ = repro(folder)
        nothing, worked_on = repro(folder)
        print(
            f"from nothing {whole:.0f} s; nothing changed {nothing:.1f} s, clips worked on: {sum(worked_on.values())}"
        )
        add_clips(folder, clips[-1:])
        one, worked_on = repro(folder)
        print("one clip more, clips worked on: " + ", ".join(f"{stage} {n}" for stage, n in worked_on.items()))
        differing = "not looked at"
        if args.check:
            again = Path(temporary) / "again"
            prepare(again, clips)
            repro(again)
            a, b = content(folder), content(again)
            differing = f"{sum(a.get(name) != b.get(name) for name in a.keys() | b.keys())} files"
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"largest process {peak:.0f} MiB")
    print(f"incremental: ratio {whole / one:.1f} (ours {one:.1f}, alternative {whole:.1f} s; deviation {differing})")


if __name__ == "__main__":
    main()
