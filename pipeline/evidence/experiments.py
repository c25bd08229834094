"""Experiments as finished runs: what each left stands in its commit and lies in DVC's cache, and none has to be applied."""

import shutil
from pathlib import Path

from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from dvc.repo import Repo

from pipeline.errors import UserError
from pipeline.report.run import Run, read_run

# What a run's figures are read from.
FIGURES = ("params.yaml", "data/evaluation")


def finished(folder: Path) -> dict[str, str]:
    """The experiments of a project's commit: their revisions, by name. None where the folder is no repository."""
    try:
        with Repo(str(folder)) as repo:
            return {name: str(revision) for of_commit in repo.experiments.ls().values() for name, revision in of_commit}
    except DvcException:
        return {}


def experiment(run: Run, name: str, *also: str) -> Run | None:
    """What an experiment of the run's commit left, in a folder of its own; None where it has not been run.

    also: what else is brought there, such as data/synthesis/sinha. Raises UserError where DVC's cache does not have it.
    """
    revision = finished(run.folder).get(name)
    if revision is None:
        return None
    folder = run.folder / "data" / ".work" / "experiments" / name
    shutil.rmtree(folder, ignore_errors=True)
    files = DVCFileSystem(str(run.folder.resolve()), rev=revision)
    for path in (*FIGURES, *also):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        try:
            files.get(path, str(folder / path), recursive=True)
        except (DvcException, OSError) as error:
            raise UserError(
                f"{path} of the experiment {name} is not in DVC's cache ({type(error).__name__}); "
                f"`dvc exp remove {name}`, then `make ablations` makes it anew"
            ) from error
    return read_run(folder)
