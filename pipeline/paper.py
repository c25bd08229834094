"""A paper's own tables and figures, made here beside the published ones: `make paper NAME=sinha`.

What is missing is run first: the run itself, and those ablations that the paper sets side by side. Everything goes to
data/papers/NAME, a page with its pictures. The same run gives the same bytes.
"""

import argparse
import sys
from pathlib import Path

from pipeline import ablations
from pipeline.errors import UserError, one_line_errors
from pipeline.evaluation.generated import write_text
from pipeline.evidence.page import evidence_of, evidence_page, papers
from pipeline.report.run import read_run


def needed(name: str) -> dict[str, list[str]]:
    """The experiments that a paper sets side by side, each with the command that runs it."""
    known = {}
    for path in sorted(ablations.FOLDER.glob("*.yaml")):
        known |= ablations.commands(path)
    return {experiment: known[experiment] for one in evidence_of(name) for experiment in one.ablations}


@one_line_errors
def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m pipeline.paper", description=__doc__, formatter_class=raw)
    parser.add_argument("name", choices=papers(), help="a paper's folder in pipeline/papers")
    parser.add_argument(
        "--ready", action="store_true", help="run nothing: make what can be made of what is there, and name what is not"
    )
    parser.add_argument(
        "--other",
        nargs="+",
        type=Path,
        default=[],
        metavar="RUN",
        help="the folders of finished runs on another corpus, for what is shown across corpora",
    )
    args = parser.parse_args()
    experiments = needed(args.name)
    if args.ready:
        for experiment in sorted(experiments.keys() - ablations.run_before()):
            print(f"{experiment}: has not been run")
    else:
        if not read_run(Path()).rows:
            ablations.run([sys.executable, "-m", "pipeline.repro"])
        if experiments:
            ablations.run_missing(experiments)
    run = read_run(Path())
    if not run.rows:
        raise UserError("data/evaluation was not made; `make repro` makes it")
    out = Path("data/papers") / args.name
    page = evidence_page(args.name, run, out, [read_run(folder) for folder in args.other])
    write_text(out / "README.md", page)
    print(out / "README.md")


if __name__ == "__main__":
    main()
