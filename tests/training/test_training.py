"""Training as a whole: the same run again, resumed or not; what it leaves; what it refuses."""

import pandas as pd
import pytest
import torch

import pipeline.training.loop as loop
from pipeline.errors import UserError
from pipeline.training.kesim_erzin import INPUTS, load, train
from pipeline.training.machine import fabric_for


def best(data, system="speech"):
    return torch.load(data / "end_to_end" / system / "best.pt", weights_only=True)


def last(data, system="speech"):
    return torch.load(data / "end_to_end" / system / "last.pt", weights_only=True)


def assert_equal(a, b):
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_equal(a[key], b[key])
    elif isinstance(a, list):
        for x, y in zip(a, b, strict=True):
            assert_equal(x, y)
    elif torch.is_tensor(a):
        assert torch.equal(a, b)
    else:
        assert a == b


@pytest.fixture
def copy(data, tmp_path_factory):
    import shutil

    def make():
        return shutil.copytree(data, tmp_path_factory.mktemp("copy") / "data")

    return make


@pytest.mark.parametrize("system", INPUTS)
def test_every_system_trains_and_leaves_what_it_says(data, tmp_path, parameters, system):
    train(system, parameters(), data, tmp_path / "losses.csv")
    losses = pd.read_csv(tmp_path / "losses.csv")
    assert list(losses["epoch"]) == [1, 2] and losses.notna().all(axis=None)
    assert ("generator_feature_matching" in losses) == (system != "speech_without_fm")
    _, description = load(data / "end_to_end" / system)
    assert description["system"] == system and description["preprocessing"]["fps"] == 25
    assert len(description["preprocessing"]["template"]) == 68


def test_the_same_seed_is_the_same_run_and_another_is_not(copy, tmp_path, parameters):
    runs = [copy() for _ in range(3)]
    for folder, seed in zip(runs, (0, 0, 1), strict=True):
        p = parameters().model_copy(update={"seed": seed})
        train("speech", p, folder, tmp_path / f"{folder.parent.name}.csv")
    assert_equal(last(runs[0])["networks"], last(runs[1])["networks"])
    assert_equal(best(runs[0]), best(runs[1]))
    name = next(iter(best(runs[0])["generator"]))
    assert not torch.equal(best(runs[0])["generator"][name], best(runs[2])["generator"][name])


def test_a_killed_run_resumes_and_ends_the_same(copy, tmp_path, parameters, monkeypatch, capsys):
    whole, broken = copy(), copy()
    p = parameters(kesim_erzin={"epochs": 3})
    train("speech", p, whole, tmp_path / "whole.csv")

    validate, calls = loop.validation_error, []

    def killed(*args):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt  # in the second epoch, before its checkpoint
        return validate(*args)

    monkeypatch.setattr(loop, "validation_error", killed)
    with pytest.raises(KeyboardInterrupt):
        train("speech", p, broken, tmp_path / "broken.csv")
    assert last(broken)["state"]["epoch"] == 1
    monkeypatch.setattr(loop, "validation_error", validate)
    train("speech", p, broken, tmp_path / "broken.csv")
    assert "resuming after epoch 1" in capsys.readouterr().out
    assert_equal(last(whole), last(broken))
    assert_equal(best(whole), best(broken))
    assert (tmp_path / "whole.csv").read_text() == (tmp_path / "broken.csv").read_text()


def test_more_epochs_go_on_and_other_parameters_begin_anew(data, tmp_path, parameters, capsys):
    train("speech", parameters(), data, tmp_path / "l.csv")
    train("speech", parameters(kesim_erzin={"epochs": 3}), data, tmp_path / "l.csv")
    assert "resuming after epoch 2" in capsys.readouterr().out
    rates = {"generator": 1e-3, "discriminator": 1e-4}
    train("speech", parameters(kesim_erzin={"epochs": 4, "learning_rate": rates}), data, tmp_path / "l.csv")
    assert "resuming" not in capsys.readouterr().out


def test_a_checkpoint_holds_the_least_validation_error(data, tmp_path, parameters):
    train("speech", parameters(kesim_erzin={"epochs": 4}), data, tmp_path / "l.csv")
    losses = pd.read_csv(tmp_path / "l.csv")
    assert best(data)["epoch"] == losses["epoch"][losses["validation_error"].argmin()]


def test_generator_and_discriminators_move_by_their_own_optimisers(data, tmp_path, parameters, monkeypatch):
    """Without the generator's steps its weights stay as they were drawn; the discriminators' change."""
    initial = {}
    make = loop._Trained.__init__

    def remember(self, *args):
        make(self, *args)
        initial.update({name: net.module.state_dict() for name, net in self.networks.items()})
        initial.update({name: {k: v.clone() for k, v in state.items()} for name, state in initial.items()})

    monkeypatch.setattr(loop._Trained, "__init__", remember)
    monkeypatch.setattr(loop._Trained, "update_generator", lambda *_: None)
    train("speech", parameters(), data, tmp_path / "l.csv")
    networks = last(data)["networks"]
    assert_equal(networks["generator"], initial["generator"])
    for name in ("frame_discriminator", "sequence_discriminator"):
        assert any(not torch.equal(value, initial[name][key]) for key, value in networks[name].items())


def test_the_generators_step_leaves_no_gradient_on_the_discriminators(data, tmp_path, parameters, monkeypatch):
    update = loop._Trained.update_generator

    def watch(self, terms, weights):
        self.optimizers["discriminators"].zero_grad()
        update(self, terms, weights)
        judges = [p for name, net in self.networks.items() if name != "generator" for p in net.parameters()]
        assert all(p.grad is None and p.requires_grad for p in judges)
        assert all(p.grad is not None for p in self.networks["generator"].parameters())

    monkeypatch.setattr(loop._Trained, "update_generator", watch)
    train("speech", parameters(), data, tmp_path / "l.csv")


def test_nothing_to_train_for_is_one_line(data, tmp_path, parameters):
    weights = {"weights": {"frame": 0, "sequence": 0, "feature_matching": 0}}
    with pytest.raises(UserError, match=r"end_to_end\.speech\.weights: all are 0"):
        train("speech", parameters(end_to_end={"speech": weights}), data, tmp_path / "l.csv")


def test_a_gpu_that_is_not_there_is_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"training\.device is cuda, but torch sees no GPU"):
        fabric_for("cuda", "auto")


def test_a_checkpoint_that_is_none_is_one_line(tmp_path):
    folder = tmp_path / "speech"
    with pytest.raises(UserError, match="does not exist; train it with `dvc repro end_to_end@speech`"):
        load(folder)
    folder.mkdir()
    (folder / "best.pt").write_bytes(b"PK\x03\x04 truncated")
    with pytest.raises(UserError, match=r"best\.pt is not a checkpoint"):
        load(folder)
    torch.save({"weights": [1, 2]}, folder / "best.pt")
    with pytest.raises(UserError, match=r"best\.pt is not a checkpoint"):
        load(folder)
