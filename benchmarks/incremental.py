"""One clip more in a corpus that is done, against doing the corpus.

    python -m benchmarks.incremental [FOLDER_OF_CLIPS] [--clips 1000]

Runs `dvc repro preprocessing` in a checkout of its own three times: from nothing, with nothing changed, and with one clip
added. The alternative is the grown corpus from nothing, in another checkout; the deviation is the number of files in which
the two results differ. The folder's clips are taken more than once where they are fewer.
"""

import argparse
import re
import resource
import tempfile
import time
from pathlib import Path

from benchmarks.project import add_clips, add_corpus, checkout, run, videos
from pipeline.errors import one_line_errors

STAGES = ("landmarks", "alignment", "heatmaps", "action_units", "audio_features", "character_features")


def repro(folder: Path, target: str) -> tuple[float, dict[str, int]]:
    """Seconds that `dvc repro TARGET` takes, and the number of clips that each stage worked on."""
    started = time.perf_counter()
    output = run(folder, "dvc", "repro", target)
    seconds = time.perf_counter() - started
    worked_on = {stage: int(n) for stage, n in re.findall(r"(\w+)(?:/\w+)?: (\d+) clips in ", output)}
    return seconds, {stage: worked_on.get(stage, 0) for stage in STAGES}


def content(folder: Path) -> dict[str, bytes]:
    """All that the stages made, by path."""
    files = [path for stage in STAGES for path in (folder / "data" / stage).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def prepare(folder: Path, clips: list[Path], workers: int | str) -> None:
    """A checkout in which `dvc repro` runs; it needs no git."""
    checkout(folder, clips, workers)
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text("[core]\n    analytics = false\n    no_scm = true\n")


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.incremental", description=__doc__.splitlines()[0])
    add_corpus(parser)
    parser.add_argument("--clips", type=int, default=1000, help="clips of the corpus (default: %(default)s)")
    parser.add_argument("--workers", default="auto", help="processes (default: %(default)s, one per core)")
    parser.add_argument("--up-to", default="preprocessing", help="the last stage that runs (default: %(default)s)")
    args = parser.parse_args()
    clips = videos(args.corpus, args.clips + 1)
    with tempfile.TemporaryDirectory() as temporary:
        folder, again = Path(temporary) / "project", Path(temporary) / "again"
        prepare(folder, clips[:-1], args.workers)
        whole, _ = repro(folder, args.up_to)
        nothing, worked_on = repro(folder, args.up_to)
        print(
            f"from nothing {whole:.0f} s; nothing changed {nothing:.1f} s, clips worked on: {sum(worked_on.values())}"
        )
        add_clips(folder, clips[-1:])
        one, worked_on = repro(folder, args.up_to)
        print("one clip more, clips worked on: " + ", ".join(f"{stage} {n}" for stage, n in worked_on.items()))
        prepare(again, clips, args.workers)
        grown, _ = repro(again, args.up_to)
        a, b = content(folder), content(again)
        differing = sum(a.get(name) != b.get(name) for name in a.keys() | b.keys())
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"largest process {peak:.0f} MiB")
    print(
        f"incremental: ratio {grown / one:.1f} (ours {one:.1f}, alternative {grown:.1f} s; deviation {differing} files)"
    )


if __name__ == "__main__":
    main()
