"""Make the references of the test clips, as one of `faces` shows them: `python -m stages.references small`."""

import argparse
from pathlib import Path

from pipeline import parameters
from pipeline.errors import one_line_errors
from pipeline.synthesis import HeldOutClips, make_references

DATA = Path("data")


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faces", help="of data/alignment")
    faces = parser.parse_args().faces
    p = parameters.load()
    out, videos = (DATA / kind / "references" / faces for kind in ("synthesis", "videos"))
    make_references(HeldOutClips(DATA, faces, p.audio_features.sample_rate), out, videos)


if __name__ == "__main__":
    main()
