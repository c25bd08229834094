"""Compare generated blinks with the corpus's own: `metrics/blinks.json`, and the blinks themselves."""

from pathlib import Path

from pipeline import parameters
from pipeline.errors import one_line_errors
from pipeline.evaluation.blinks import compare_blinks
from pipeline.evaluation.generated import write_json

DATA = Path("data")


@one_line_errors
def main() -> None:
    figures, found = compare_blinks(parameters.load(), DATA)
    write_json(Path("metrics/blinks.json"), figures)
    write_json(
        DATA / "blinks.json", {name: {k: v.tolist() for k, v in b._asdict().items()} for name, b in found.items()}
    )


if __name__ == "__main__":
    main()
