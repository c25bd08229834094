"""Ablations against the parameters that they change, and Chen S.'s against Table 2."""

from pathlib import Path

import pytest
import yaml

from pipeline.ablations import commands
from pipeline.parameters import Parameters

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "profiles" / "ablations").glob("*.yaml"))


def changed(parameters):
    """The parameters as committed, with an experiment's."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for key, value in parameters.items():
        *groups, last = key.split(".")
        group = params
        for name in groups:
            group = group[name]
        assert last in group and group[last] != value, f"{key} is as committed"
        group[last] = value
    return Parameters.model_validate(params)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_experiment_changes_parameters_that_there_are(path):
    for parameters in yaml.safe_load(path.read_text()).values():
        changed(parameters)


def test_chen_s_rows_add_a_term_each():
    """Table 2: reconstruction, + perceptual, + identity, + adversarial, + AU loss; the whole adds the Audio-to-AU module."""
    rows = yaml.safe_load((ROOT / "profiles/ablations/chen_s.yaml").read_text()).values()
    systems = [changed(parameters).audio_au for parameters in rows]
    terms = [{name for name, weight in system.weights if weight} for system in systems]
    added = [after - before for before, after in zip([set(), *terms], terms, strict=False)]
    assert added == [{"reconstruction"}, {"perceptual"}, {"identity"}, {"adversarial"}, {"au"}]
    assert not any(system.au_features for system in systems) and changed({}).audio_au.au_features


def test_commands_name_the_experiment_and_its_parameters(tmp_path):
    (tmp_path / "x.yaml").write_text("one:\n  a.b: 0\n  a.c: false\ntwo:\n  a.b: 0.5\n")
    one, two = commands(tmp_path / "x.yaml")
    assert one[:5] == ["dvc", "exp", "run", "--name", "one"]
    assert one[-6:] == ["--name", "one", "--set-param", "a.b=0", "--set-param", "a.c=false"]
    assert two[-3:] == ["two", "--set-param", "a.b=0.5"]
