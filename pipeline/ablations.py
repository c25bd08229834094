"""A paper's ablations, one experiment after the other: `make ablations NAME=chen_s`.

Each trains anew what depends on its parameters, as `dvc exp run` does; those that this commit has already are left out. The
workspace is then as it was before. `dvc exp show` sets the experiments' metrics side by side; `dvc exp apply` brings one back.
"""

import argparse
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from pipeline.errors import UserError, one_line_errors

FOLDER = Path("profiles/ablations")


def commands(ablations: Path) -> dict[str, list[str]]:
    """What runs each experiment of the file, {name: {parameter: value}}: by name."""
    experiments = yaml.safe_load(ablations.read_text())
    return {
        name: ["dvc", "exp", "run", "--name", name]
        + [argument for key, value in parameters.items() for argument in ("--set-param", f"{key}={yaml_value(value)}")]
        for name, parameters in experiments.items()
    }


def run_missing(experiments: dict[str, list[str]]) -> None:
    """Run those experiments, as of `commands`, that this commit does not have. Raises UserError where one fails."""
    if not Path("dvc.lock").exists():
        raise UserError(
            "dvc.lock does not exist; reproduce the systems with `make repro`, to have what ablations differ from"
        )
    done = run_before()
    for name in sorted(done & experiments.keys()):
        print(f"{name}: has been run; `dvc exp remove {name}` has it run again")
    for command in (command for name, command in experiments.items() if name not in done):
        metrics = [path for path in Path("metrics").rglob("*") if path.is_file()]
        with restored(Path("params.yaml"), Path("dvc.lock"), *metrics):
            run(command)


def run_before() -> set[str]:
    """The names of this commit's experiments."""
    listed = subprocess.run(["dvc", "exp", "list", "--name-only"], capture_output=True, text=True, check=False)
    return set(listed.stdout.split())


def yaml_value(value: bool | float) -> str:
    """As `--set-param` reads it."""
    return yaml.safe_dump(value, default_flow_style=True).splitlines()[0]


@contextmanager
def restored(*files: Path) -> Iterator[None]:
    """Files as they are now, whatever is written to them meanwhile; and the outputs that dvc.lock names, from DVC's cache."""
    before = {path: path.read_bytes() for path in files}
    try:
        yield
    finally:
        for path, content in before.items():
            path.write_bytes(content)
        run(["dvc", "checkout", "--quiet", "--force"])


def run(command: list[str]) -> None:
    """Raises UserError where it fails; its own message stands above."""
    if subprocess.run(command, check=False).returncode:
        raise UserError(f"`{' '.join(command)}` failed; its own message is above")


@one_line_errors
def main() -> None:
    known = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    parser = argparse.ArgumentParser("python -m pipeline.ablations", description=__doc__)
    parser.add_argument("name", choices=known, help=f"a file in {FOLDER}/, without its suffix")
    run_missing(commands(FOLDER / f"{parser.parse_args().name}.yaml"))


if __name__ == "__main__":
    main()
