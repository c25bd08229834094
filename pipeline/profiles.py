"""`make profile NAME=paper`: write a profile's values into `params.yaml`, comments kept, so that git shows what changed."""

import argparse
import shutil
from pathlib import Path

import yaml
from dvc.utils.serialize import modify_yaml

from pipeline import parameters
from pipeline.errors import UserError, one_line_errors

# Whose keys are names of the user's own: a profile has its own in their place.
NAMED_BY_USERS = {"faces"}


def apply_profile(profile: Path, params: Path) -> None:
    """Overwrite the keys of `params` that `profile` lists. Raises UserError for a key that `params` does not have.

    The file is written as DVC writes it, so that `dvc exp run -S` changes the lines of what it sets, and no others.
    """
    partial = params.with_suffix(".partial")
    shutil.copy(params, partial)
    with modify_yaml(str(partial)) as target:
        _overwrite(target, yaml.safe_load(profile.read_text()), profile, "")
    parameters.load(partial)
    partial.replace(params)


def _overwrite(target: dict, values: dict, profile: Path, prefix: str) -> None:
    for key, value in values.items():
        if key not in target:
            raise UserError(f"{profile}: {prefix}{key} is not a key of params.yaml")
        if isinstance(value, dict) and isinstance(target[key], dict) and f"{prefix}{key}" not in NAMED_BY_USERS:
            _overwrite(target[key], value, profile, f"{prefix}{key}.")
        else:
            target[key] = value


@one_line_errors
def main() -> None:
    known = sorted(path.stem for path in Path("profiles").glob("*.yaml"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=known, help="a file in profiles/, without its suffix")
    apply_profile(Path("profiles") / f"{parser.parse_args().name}.yaml", Path("params.yaml"))


if __name__ == "__main__":
    main()
