"""A paper's ablations, one experiment after the other: `make ablations NAME=chen_s`.

Each runs what depends on its parameters, from the workspace as it is, in a folder of its own. `dvc exp show` sets their metrics
side by side, and `dvc exp apply` brings one into the workspace.
"""

import argparse
import subprocess
from pathlib import Path

import yaml

from pipeline.errors import UserError, one_line_errors

FOLDER = Path("profiles/ablations")


def commands(ablations: Path) -> list[list[str]]:
    """What queues each experiment of the file: {name: {parameter: value}}."""
    experiments = yaml.safe_load(ablations.read_text())
    return [
        ["dvc", "exp", "run", "--queue", "--force", "--name", name]
        + [argument for key, value in parameters.items() for argument in ("--set-param", f"{key}={yaml_value(value)}")]
        for name, parameters in experiments.items()
    ]


def yaml_value(value: bool | float) -> str:
    """As `--set-param` reads it."""
    return yaml.safe_dump(value, default_flow_style=True).splitlines()[0]


@one_line_errors
def main() -> None:
    known = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    parser = argparse.ArgumentParser("python -m pipeline.ablations", description=__doc__)
    parser.add_argument("name", choices=known, help=f"a file in {FOLDER}/, without its suffix")
    queued = commands(FOLDER / f"{parser.parse_args().name}.yaml")
    for command in [*queued, ["dvc", "exp", "run", "--run-all", "--jobs", "1"]]:
        if subprocess.run(command, check=False).returncode:
            raise UserError(f"`{' '.join(command)}` failed; its own message is above")


if __name__ == "__main__":
    main()
