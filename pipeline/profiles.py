"""`make profile NAME=paper`: write a profile's values into `params.yaml`, comments kept, so that git shows what changed."""

import argparse
from pathlib import Path

from ruamel.yaml import YAML

from pipeline import parameters
from pipeline.errors import UserError, one_line_errors


def apply_profile(profile: Path, params: Path) -> None:
    """Overwrite the keys of `params` that `profile` lists. Raises UserError for a key that `params` does not have."""
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 4096
    target = yaml.load(params.read_text())
    _overwrite(target, yaml.load(profile.read_text()), profile, "")
    partial = params.with_suffix(".partial")
    with partial.open("w") as file:
        yaml.dump(target, file)
    parameters.load(partial)
    partial.replace(params)


def _overwrite(target: dict, values: dict, profile: Path, prefix: str) -> None:
    for key, value in values.items():
        if key not in target:
            raise UserError(f"{profile}: {prefix}{key} is not a key of params.yaml")
        if isinstance(value, dict) and isinstance(target[key], dict):
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
