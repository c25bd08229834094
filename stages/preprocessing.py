"""Say what became of the clips: `metrics/preprocessing.json`, a page to look at, and which of them go on."""

import json
from pathlib import Path

from pipeline import parameters
from pipeline.corpus.tables import write_table
from pipeline.errors import one_line_errors
from pipeline.report.by_clip import sync_by_clip
from pipeline.report.preprocessing import make_page, summarise_preprocessing, usable_clips

DATA, OUT = Path("data"), Path("data/preprocessing")


@one_line_errors
def main() -> None:
    p = parameters.load()
    faces = list(p.faces)
    write_table(usable_clips(DATA, faces), DATA / "usable_clips.parquet")
    sync = sync_by_clip(DATA, faces[0])
    summary = summarise_preprocessing(DATA, faces, p.corpus.fps, p.action_units.backend, sync)
    Path("metrics").mkdir(exist_ok=True)
    Path("metrics/preprocessing.json").write_text(json.dumps(summary, indent=2) + "\n")
    make_page(DATA, faces, OUT, summary, sync, p.corpus.fps)
    print(f"preprocessing: {OUT}/index.html")


if __name__ == "__main__":
    main()
