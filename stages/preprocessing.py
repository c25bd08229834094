"""Count what became of the clips: `metrics/preprocessing.json`."""

import json
from pathlib import Path

from pipeline.errors import one_line_errors
from pipeline.report.preprocessing import summarise_preprocessing


@one_line_errors
def main() -> None:
    summary = summarise_preprocessing(Path("data"))
    Path("metrics").mkdir(exist_ok=True)
    Path("metrics/preprocessing.json").write_text(json.dumps(summary, indent=2) + "\n")


if __name__ == "__main__":
    main()
