"""Measure how well Chen S.'s two pre-trained networks recognise action units in real clips: `metrics/recognition.json`."""

from pathlib import Path

from pipeline import parameters
from pipeline.errors import one_line_errors
from pipeline.evaluation.au_recognition import recognition_scores
from pipeline.evaluation.generated import write_json


@one_line_errors
def main() -> None:
    p = parameters.load()
    write_json(Path("metrics/recognition.json"), recognition_scores(Path("data"), p.chen_s.faces))


if __name__ == "__main__":
    main()
