"""An experiment's figures, brought out of its commit and DVC's cache, in a small repository with real experiments."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from pipeline.errors import UserError
from pipeline.evidence.experiments import experiment, finished
from pipeline.report.run import read_run
from tests.report.test_results import make_run  # noqa: F401 (a fixture)

# Its stage scales the mouths' distances by a parameter, as an ablation would.
STAGE = """
import pandas as pd, yaml, shutil
factor = yaml.safe_load(open("params.yaml"))["factor"]
shutil.copytree("measured", "data/evaluation", dirs_exist_ok=True)
table = pd.read_parquet("data/evaluation/clips.parquet")
table["lmd"] *= factor
table.to_parquet("data/evaluation/clips.parquet")
"""


def run(folder, *command):
    environment = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "DVC_NO_ANALYTICS": "1"}
    environment |= {f"GIT_{who}_{what}": "test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def repository(make_run):  # noqa: F811
    """A made-up run, in git and DVC, with its evaluation as a stage's output, and an experiment."""
    folder = make_run()
    (folder / "data" / "evaluation").rename(folder / "measured")
    params = yaml.safe_load((folder / "params.yaml").read_text()) | {"factor": 1}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    (folder / "stage.py").write_text(STAGE)
    stage = {"cmd": "python stage.py", "deps": ["stage.py"], "params": ["factor"], "outs": ["data/evaluation"]}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"evaluation": stage}}))
    (folder / ".gitignore").write_text("/data\n")
    for command in ("git init -q", "dvc init -q", "dvc repro -q", "git add .", "git commit -qm run"):
        run(folder, *command.split())
    run(folder, *["dvc", "exp", "run", "-q", "--name", "threefold", "--set-param", "factor=3"])
    run(folder, *["git", "checkout", "-q", "."])
    run(folder, *["dvc", "checkout", "-q", "--force"])
    return folder


@pytest.mark.slow
def test_an_experiment_is_read_beside_the_run_that_it_differs_from(repository):
    """Its mouths are three times as far off as the run's; the run stays as it was."""
    whole, before = read_run(repository), (repository / "params.yaml").read_bytes()
    assert list(finished(repository)) == ["threefold"]
    found = experiment(whole, "threefold", "data/evaluation/clips.parquet")
    assert found.value("factor") == 3 and whole.value("factor") == 1
    pd.testing.assert_series_equal(found.metrics["lmd"], 3 * whole.metrics["lmd"])
    pd.testing.assert_series_equal(read_run(repository).metrics["lmd"], whole.metrics["lmd"])
    assert (repository / "params.yaml").read_bytes() == before
    assert experiment(whole, "another") is None
    with pytest.raises(UserError, match="data/synthesis of the experiment threefold is not in DVC's cache"):
        experiment(whole, "threefold", "data/synthesis")


def test_a_folder_that_is_no_repository_has_no_experiments(make_run):  # noqa: F811
    folder = make_run()
    assert finished(folder) == {} and experiment(read_run(folder), "one") is None
