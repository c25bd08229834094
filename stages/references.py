"""Make the references of the test clips, as one of `faces` shows them: `python -m stages.references small`."""

import argparse
from functools import cache, partial
from pathlib import Path

from pipeline import parameters
from pipeline.corpus.workers import each
from pipeline.errors import ClipRejected, UserError, one_line_errors
from pipeline.synthesis import HeldOutClips, describe_references, make_references

DATA = Path("data")
held_out = cache(HeldOutClips)  # read once per process


def make(shard: list[str], faces: str, sample_rate: int) -> None:
    """The references of a shard's clips; see `make_references`."""
    out, videos = (DATA / kind / "references" / faces for kind in ("synthesis", "videos"))
    make_references(held_out(DATA, faces, sample_rate), shard, out, videos)


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faces", help="of data/alignment")
    faces = parser.parse_args().faces
    p = parameters.load()
    clips, out = held_out(DATA, faces, p.audio_features.sample_rate), DATA / "synthesis" / "references" / faces
    work = partial(make, faces=faces, sample_rate=p.audio_features.sample_rate)
    for shard, problem in each(
        work, clips.shards(), f"references of {faces}", p.compute.workers, p.compute.scheduler, unit="shard"
    ):
        if isinstance(problem, ClipRejected):
            raise UserError(f"{out}: {', '.join(shard)}: {problem}; `dvc repro` tries again")
    describe_references(clips, out)


if __name__ == "__main__":
    main()
