"""Ablations against the parameters that they change, and Chen S.'s against Table 2."""

from pathlib import Path

import pytest
import yaml

from pipeline import ablations
from pipeline.ablations import commands, restored
from pipeline.blocks.composition import terms_with
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
    rows = list(yaml.safe_load((ROOT / "profiles/ablations/chen_s.yaml").read_text()).values())[:5]
    systems = [changed(parameters).chen_s.end_to_end for parameters in rows]
    terms = [
        {name for name, weight in terms_with(system.compose, dict(system.weights)).items() if weight}
        for system in systems
    ]
    added = [after - before for before, after in zip([set(), *terms], terms, strict=False)]
    assert added == [{"reconstruction"}, {"perceptual"}, {"identity"}, {"adversarial"}, {"au"}]
    assert not any(system.au_features for system in systems) and changed({}).chen_s.end_to_end.au_features


def test_commands_name_the_experiment_and_its_parameters(tmp_path):
    (tmp_path / "x.yaml").write_text("one:\n  a.b: 0\n  a.c: false\ntwo:\n  a.b: 0.5\n")
    by_name = commands(tmp_path / "x.yaml")
    assert [*by_name] == ["one", "two"]
    one, two = by_name.values()
    assert one[:5] == ["dvc", "exp", "run", "--name", "one"]
    assert one[-6:] == ["--name", "one", "--set-param", "a.b=0", "--set-param", "a.c=false"]
    assert two[-3:] == ["two", "--set-param", "a.b=0.5"]


def test_files_and_outputs_are_as_before_whatever_happens(tmp_path, monkeypatch):
    params, called = tmp_path / "params.yaml", []
    params.write_bytes(b"seed: 0\n")
    monkeypatch.setattr(ablations, "run", lambda command: called.append((command, params.read_bytes())))
    with pytest.raises(KeyboardInterrupt), restored(params):
        params.write_bytes(b"seed: 1\n")
        raise KeyboardInterrupt
    # DVC's outputs are checked out by the lock file, which therefore has to be restored first.
    assert called == [(["dvc", "checkout", "--quiet", "--force"], b"seed: 0\n")]


def test_what_this_commit_has_is_not_run_again(tmp_path, monkeypatch, capsys):
    """A chain of experiments that was interrupted goes on with the one that was under way."""
    (tmp_path / "profiles/ablations").mkdir(parents=True)
    (tmp_path / "profiles/ablations/x.yaml").write_text("one: {a: 0}\ntwo: {a: 1}\n")
    for name in ("params.yaml", "dvc.lock"):
        (tmp_path / name).touch()
    called = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ablations, "run_before", lambda: {"one", "another"})
    monkeypatch.setattr(ablations, "run", called.append)
    monkeypatch.setattr("sys.argv", ["ablations", "x"])
    ablations.main()
    assert [command[:5] for command in called if "exp" in command] == [["dvc", "exp", "run", "--name", "two"]]
    assert "one: has been run" in capsys.readouterr().out
