"""Measure how well Chen S.'s two pre-trained networks recognise action units in real clips: `metrics/recognition.json`."""

from pathlib import Path

from pipeline.errors import one_line_errors
from pipeline.evaluation.au_recognition import recognition_scores
from pipeline.evaluation.generated import write_json


@one_line_errors
def main() -> None:
    write_json(Path("metrics/recognition.json"), recognition_scores(Path("data")))


if __name__ == "__main__":
    main()
