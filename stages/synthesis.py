"""Generate the test clips by one system, from the faces that it sees: `python -m stages.synthesis sinha small`."""

import argparse
from functools import cache, partial
from pathlib import Path

import numpy as np

from pipeline import parameters
from pipeline.corpus.about import write_about
from pipeline.corpus.shards import in_shards
from pipeline.corpus.tables import write_landmarks
from pipeline.corpus.workers import each
from pipeline.errors import ClipRejected, UserError, one_line_errors
from pipeline.papers.registry import SYSTEMS
from pipeline.synthesis import HeldOutClips, synthesise
from pipeline.systems.system import load_system
from pipeline.training.trained import reason_skipped

DATA = Path("data")
held_out, trained = cache(HeldOutClips), cache(load_system)  # read once per process


def generate(
    shard: list[str], name: str, faces: str, sample_rate: int, seed: int, visible_mark: bool
) -> dict[str, np.ndarray]:
    """The clips of a shard by a system; see `synthesise`."""
    clips, system = held_out(DATA, faces, sample_rate), trained(DATA / "systems" / name)
    return synthesise(system, clips, shard, DATA / "synthesis" / name, DATA / "videos" / name, seed, visible_mark)


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("faces", help="of data/alignment")
    name, faces = vars(parser.parse_args()).values()
    out = DATA / "synthesis" / name
    p = parameters.load()
    for made in (out, DATA / "videos" / name):
        made.mkdir(parents=True, exist_ok=True)
    if reason := reason_skipped(DATA / "systems" / name):
        print(f"{name}: skipped: {reason}")
        return
    rate = p.audio_features.sample_rate
    shards = held_out(DATA, faces, rate).shards()
    work = partial(
        generate, name=name, faces=faces, sample_rate=rate, seed=p.seed, visible_mark=p.synthesis.visible_mark
    )
    predicted = {}
    for shard, of_shard in each(
        work, shards, f"synthesis of {name}", p.compute.workers, p.compute.scheduler, unit="shard"
    ):
        if isinstance(of_shard, ClipRejected):
            raise UserError(f"{out}: {', '.join(shard)}: {of_shard}; `dvc repro` tries again")
        predicted |= of_shard
    if predicted:
        write_landmarks(out / "landmarks.parquet", {clip: predicted[clip] for clip in in_shards(predicted)})
    write_about(out, faces=faces)


if __name__ == "__main__":
    main()
