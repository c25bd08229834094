"""Generate the test clips by one system, from the faces that it sees: `python -m stages.synthesis sinha small`."""

import argparse
from pathlib import Path

from pipeline import parameters
from pipeline.errors import one_line_errors
from pipeline.papers.registry import SYSTEMS
from pipeline.synthesis import HeldOutClips, synthesise
from pipeline.systems.system import load_system
from pipeline.training.trained import reason_skipped

DATA = Path("data")


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("faces", help="of data/alignment")
    name, faces = vars(parser.parse_args()).values()
    folder, out, videos = (DATA / kind / name for kind in ("systems", "synthesis", "videos"))
    p = parameters.load()
    for made in (out, videos):
        made.mkdir(parents=True, exist_ok=True)
    if reason := reason_skipped(folder):
        print(f"{name}: skipped: {reason}")
    else:
        clips = HeldOutClips(DATA, faces, p.audio_features.sample_rate)
        synthesise(load_system(folder), clips, out, videos, p.seed, p.synthesis.visible_mark)


if __name__ == "__main__":
    main()
