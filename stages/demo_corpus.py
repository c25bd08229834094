"""Render the demo corpus."""

from pathlib import Path

from pipeline import parameters
from pipeline.corpus import workers
from pipeline.demo.corpus import make_corpus
from pipeline.errors import one_line_errors


@one_line_errors
def main() -> None:
    p = parameters.load()
    n_workers = workers.count(p.compute.workers)
    make_corpus(Path("data/demo_corpus"), **dict(p.demo_corpus), seed=p.seed, workers=n_workers)


if __name__ == "__main__":
    main()
