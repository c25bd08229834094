"""Say what became of the clips: `metrics/preprocessing.json`, and a page to look at."""

import json
from pathlib import Path

from pipeline import parameters
from pipeline.errors import one_line_errors
from pipeline.report.preprocessing import make_page, summarise_preprocessing

DATA, OUT = Path("data"), Path("data/preprocessing")


@one_line_errors
def main() -> None:
    p = parameters.load()
    summary = summarise_preprocessing(DATA, p.corpus.fps, p.action_units.backend)
    Path("metrics").mkdir(exist_ok=True)
    Path("metrics/preprocessing.json").write_text(json.dumps(summary, indent=2) + "\n")
    make_page(DATA, OUT, summary)
    print(f"preprocessing: {OUT}/index.html")


if __name__ == "__main__":
    main()
