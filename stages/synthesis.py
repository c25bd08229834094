"""Generate the test clips by one system, or make a reference of them: `python -m stages.synthesis sinha`."""

import argparse
from pathlib import Path

from pipeline import parameters
from pipeline.corpus.about import read_about
from pipeline.errors import one_line_errors
from pipeline.papers.registry import SYSTEMS
from pipeline.references import REFERENCES
from pipeline.synthesis import HeldOutClips, make_reference, synthesise
from pipeline.systems.system import load_system
from pipeline.training.trained import reason_skipped

DATA = Path("data")


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", choices=[*REFERENCES, *SYSTEMS])
    name = parser.parse_args().system
    folder, out, videos = (DATA / kind / name for kind in ("systems", "synthesis", "videos"))
    p = parameters.load()
    clips = HeldOutClips(DATA, p.audio_features.sample_rate)
    for made in (out, videos):
        made.mkdir(parents=True, exist_ok=True)
    if name in REFERENCES:
        make_reference(name, clips, out, videos, read_about(DATA / "alignment")["fps"])
    elif reason := reason_skipped(folder):
        print(f"{name}: skipped: {reason}")
    else:
        synthesise(load_system(folder), clips, out, videos, p.seed, p.synthesis.visible_mark)


if __name__ == "__main__":
    main()
