"""Take a trained system away, with its figures on its card: `python -m pipeline.export sinha ~/sinha`.

The folder holds all that `python -m pipeline.generate --system ~/sinha` needs, here or on another machine with this code.
"""

import argparse
import json
import shutil
from pathlib import Path

import yaml

from pipeline import parameters
from pipeline.errors import UserError, one_line_errors
from pipeline.systems.card import find_system
from pipeline.training.trained import CARD, read_card


def export(name: str, data: Path, metrics: Path, split: str, out: Path) -> None:
    """Copy a system's folder to `out`; its card's `metrics` are then those of metrics/evaluation.json, taken on `split`.

    Raises UserError where `out` exists, or there is no such system.
    """
    folder = find_system(name, data)
    card = read_card(folder)
    if out.exists():
        raise UserError(f"{out} exists already; name another folder, or remove it")
    measured = metrics / "evaluation.json"
    figures = json.loads(measured.read_text()).get(card["system"]) if measured.exists() else None
    if figures:
        card["metrics"] = {"split": split} | figures
    shutil.copytree(folder, out)
    (out / CARD).write_text(yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=120))


@one_line_errors
def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m pipeline.export", description=__doc__, formatter_class=raw)
    parser.add_argument("system", help="its name; `python -m pipeline.generate --list` shows those that there are")
    parser.add_argument("output", type=Path, help="the folder to make")
    args = parser.parse_args()
    export(args.system, Path("data"), Path("metrics"), parameters.load().evaluation.split, args.output)
    print(f"{args.output}: {', '.join(sorted(path.name for path in args.output.iterdir()))}")


if __name__ == "__main__":
    main()
