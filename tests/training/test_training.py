"""Trainings as a whole: the same run again, interrupted or not; what is trained anew and what is not; what ends them."""

import errno
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from pipeline.errors import UserError
from pipeline.papers.sinha.texture_net import Settings as TextureSettings
from pipeline.papers.sinha.texture_net import TextureGenerator
from pipeline.training import runner
from pipeline.training.recipe import NothingToLearn
from pipeline.training.trained import WEIGHTS, load_network, read_trained
from stages import training as stage
from tests.training.test_data import rewrite
from tests.training.toy import (
    RATES,
    TERMS,
    Bench,
    Generator,
    NumberBatches,
    Objective,
    Settings,
    Store,
    assert_equal,
    phase,
    recipe,
)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path / "one")


@pytest.fixture
def another(tmp_path):
    return Bench(tmp_path / "another")


def two_phases(**changes):
    """Two phases of three epochs, with judges in the second."""
    return recipe(phase(3, TERMS | {"adversarial": 0.0, "taste": 0.0}), phase(3, start="last"), **changes)


def broken_at(*epochs):
    """Batches that are broken off in each of the epochs, (seed, number), the first time that it comes."""
    left = set(epochs)

    def breaks(seed, number):
        if (seed, number) in left:
            left.remove((seed, number))
            raise KeyboardInterrupt

    return NumberBatches(breaks=breaks)


FIRST, SECOND = 7, 8  # seeds of the phases


@pytest.mark.parametrize(
    "make, interrupted",
    [
        (recipe, [(FIRST, 0)]),
        (recipe, [(FIRST, 1)]),
        (recipe, [(FIRST, 1), (FIRST, 2)]),
        (two_phases, [(FIRST, 1)]),
        (two_phases, [(SECOND, 0)]),
        (two_phases, [(SECOND, 2)]),
        (two_phases, [(FIRST, 2), (SECOND, 1)]),
    ],
)
@pytest.mark.parametrize("changes", [{}, {"half_rate": 5}, {"averaging": 0.9}, {"averaging": 0.9, "keep": "last"}])
def test_a_broken_run_ends_as_an_unbroken_one(bench, another, make, interrupted, changes):
    """To the last digit, wherever the generator of random numbers stands: what is left, and all that would go on from it."""
    whole = bench.train(make(**changes))
    made = make(**changes, batches=broken_at(*interrupted))
    taken = []
    for _ in interrupted:
        with pytest.raises(KeyboardInterrupt):
            another.train(made)
        assert not another.has_network
        taken += made.batches.trained
        torch.rand(3)
    taken += another.train(made)
    # No epoch twice, but for those that were broken off.
    assert sorted(taken) == sorted([*whole, *interrupted])
    assert another.left == bench.left
    assert_equal(another.states, bench.states)


def test_a_run_that_breaks_between_its_file_and_its_table_ends_the_same(bench, another, monkeypatch):
    bench.train(recipe())

    def broken(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(runner, "write_losses", broken)
        another.train(recipe())
    assert another.train(recipe()) == [(FIRST, 1), (FIRST, 2)]
    assert another.left == bench.left


def test_a_file_that_is_not_whole_is_none(bench, another, monkeypatch):
    """A run that breaks while it writes goes on from the epoch before."""
    bench.train(recipe())
    save, calls = torch.save, []

    def broken(state, file):
        calls.append(file)
        if len(calls) == 2:
            file.write(b"half")
            raise KeyboardInterrupt
        save(state, file)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(torch, "save", broken)
        another.train(recipe())
    assert another.train(recipe()) == [(FIRST, 1), (FIRST, 2)]
    assert another.left == bench.left


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is always full")
@pytest.mark.parametrize("full", ["state", "network"])
def test_a_full_disk_is_told_as_one_and_the_epochs_before_it_stay(bench, another, monkeypatch, full):
    bench.train(recipe())
    replaced, disk = os.replace, Path("/dev/full")

    def fill(where, to):
        replaced(where, to)
        if full == "state" and to.suffix == ".pt":
            where.symlink_to(disk)

    def write(path, stored):
        with disk.open("wb") as file:
            file.write(stored)

    monkeypatch.setattr(os, "replace", fill)
    if full == "network":
        monkeypatch.setattr(Path, "write_bytes", write)
    with pytest.raises(OSError) as error:
        another.train(recipe())
    assert error.value.errno == errno.ENOSPC  # which commands end with in one line
    assert not another.has_network
    assert not list((another.folder / "work").glob("*.partial"))
    monkeypatch.undo()
    assert another.train(recipe()) == ([(FIRST, 1), (FIRST, 2)] if full == "state" else [])
    assert another.left == bench.left


@pytest.mark.parametrize("changed", ["generator", "optimizers"])
def test_a_state_of_another_version_is_one_line(bench, changed):
    bench.train(recipe(phase(2)))
    ((name, state),) = bench.states.items()
    path = bench.folder / "work" / name
    if changed == "generator":
        state["networks"]["generator"]["body.9.weight"] = torch.zeros(1)
    else:
        state["optimizers"]["generator"]["param_groups"] = []
    torch.save(state, path)
    with pytest.raises(UserError, match=r"^[^\n]* is of another version \([^\n]*\); remove it and run again$"):
        bench.train(recipe(phase(3)))


def test_a_file_that_holds_no_state_is_trained_again(bench, another):
    bench.train(recipe())
    another.train(recipe())
    (path,) = (another.folder / "work").glob("*.pt")
    torch.save({"version": 2}, path)
    assert len(another.train(recipe())) == 3
    assert another.left == bench.left


def test_a_file_that_cannot_be_read_is_said_and_trained_again(bench, another, capsys):
    bench.train(recipe())
    another.train(recipe())
    (path,) = (another.folder / "work").glob("*.pt")
    path.write_bytes(path.read_bytes()[:1000])
    assert len(another.train(recipe())) == 3
    assert f"{path} cannot be read" in capsys.readouterr().out
    assert another.left == bench.left


def test_the_same_seed_is_the_same_run_and_another_is_not(bench, another):
    bench.train(recipe())
    torch.rand(3)
    another.train(recipe())
    assert another.left == bench.left
    another.train(recipe(seed=1))
    assert another.left[WEIGHTS] != bench.left[WEIGHTS]


@pytest.mark.parametrize("make", [recipe, two_phases])
def test_a_finished_training_does_not_train(bench, make):
    made, objectives = make(), []

    def objective(weights):
        objectives.append(weights)
        return Objective(Settings())

    counted = replace(made, objective=objective)
    assert len(bench.train(counted)) == 3 * len(made.phases)
    before, count = bench.left, len(objectives)
    assert bench.train(counted) == []
    assert len(objectives) == count == len(made.phases)
    assert bench.left == before


def test_a_finished_training_gives_back_what_was_removed(bench):
    """DVC takes the outputs of a stage away before it starts it again."""
    bench.train(two_phases())
    before = bench.left
    for path in (*bench.out.iterdir(), bench.folder / "losses.csv"):
        path.unlink()
    assert bench.train(two_phases()) == []
    assert bench.left == before


def test_more_epochs_go_on_and_fewer_train_anew(bench, another):
    another.train(recipe(phase(5)))
    bench.train(recipe(phase(2)))
    assert bench.train(recipe(phase(5))) == [(FIRST, 2), (FIRST, 3), (FIRST, 4)]
    assert bench.left == another.left
    fewer = Bench(bench.folder.parent / "fewer")
    fewer.train(recipe(phase(2)))
    assert bench.train(recipe(phase(2))) == [(FIRST, 0), (FIRST, 1)]
    assert bench.left == fewer.left


CHANGES = {
    "seed": {"seed": 3},
    "a knob": {"knobs": {"betas": [0.5, 0.999]}},
    "a weight": {"phases": (phase(weights=TERMS | {"seen": 1.0}),)},
    "a rate": {"phases": (phase(rates=RATES | {"generator": 2e-2}),)},
    "a setting": {"settings": Settings(dropout=0.25)},
    "what it says of itself": {"about": {"features": "of other weights"}},
    "how the data were made": {"store": Store({"fps": 30})},
    "a file of the data": {"store": Store(files="3210")},
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_the_result_depends_on_trains_anew(bench, change):
    bench.train(recipe())
    assert len(bench.train(replace(recipe(), **CHANGES[change]))) == 3
    # And what was there before is not lost by it.
    assert bench.train(recipe()) == []


def test_changed_code_and_arithmetic_train_anew(bench):
    bench.train(recipe())
    assert len(bench.train(recipe(), code="other code")) == 3
    assert len(bench.train(recipe(), precision="bf16-mixed")) == 3
    assert len(bench.train(recipe(precision="64-true", batches=DoubleBatches()))) == 3


class DoubleBatches(NumberBatches):
    def batch(self, rng):
        return type(batch := super().batch(rng))(*(x.double() for x in batch))


SECOND_PHASES = {
    "weight": {"weights": TERMS | {"taste": 1.0}},
    "rate": {"rates": RATES | {"discriminators": 1e-3}},
    "start": {"start": "best"},
}


@pytest.mark.parametrize("change", SECOND_PHASES)
def test_a_changed_second_phase_leaves_the_first_as_it_is(bench, change):
    made = two_phases()
    bench.train(made)
    first, second = made.phases
    changed = replace(made, phases=(first, replace(second, **SECOND_PHASES[change])))
    assert bench.train(changed) == [(SECOND, 0), (SECOND, 1), (SECOND, 2)]


def test_more_epochs_of_the_second_phase_go_on_and_of_the_first_train_the_second_anew(bench, another):
    """The second has as many epochs as before, and began with another network."""
    first, second = two_phases().phases
    bench.train(two_phases())
    longer = recipe(replace(first, epochs=4), second)
    assert bench.train(longer) == [(FIRST, 3), (SECOND, 0), (SECOND, 1), (SECOND, 2)]
    another.train(longer)
    assert bench.left == another.left
    longest = recipe(replace(first, epochs=4), replace(second, epochs=4))
    assert bench.train(longest) == [(SECOND, 3)]
    fresh = Bench(another.folder.parent / "fresh")
    fresh.train(longest)
    assert bench.left == fresh.left


def test_a_first_phase_that_is_used_is_kept(bench):
    """However many second phases come after it: what is let go is what was not used for longest."""
    first, second = (replace(one, epochs=1) for one in two_phases().phases)
    bench.train(recipe(first, second))
    for k in range(runner.KEPT + 1):
        for path in (bench.folder / "work").iterdir():
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 10))
        changed = replace(second, weights=TERMS | {"taste": 1.0 + k})
        assert {seed for seed, _ in bench.train(recipe(first, changed))} == {SECOND}
        assert len(bench.states) <= runner.KEPT


class Diverging(Objective):
    """A term is `value` in the last batch of the second epoch."""

    side, term, value, calls = "generator", "seen", float("nan"), 0

    def generator_terms(self, batch, fake):
        self.calls += 1
        return self.spoilt("generator", super().generator_terms(batch, fake))

    def discriminator_terms(self, batch, fake):
        return self.spoilt("discriminator", super().discriminator_terms(batch, fake))

    def spoilt(self, side, terms):
        compute = terms.get(self.term)
        if side == self.side and self.calls in (5, 6) and compute:
            return terms | {self.term: lambda: compute() * self.value}
        return terms

    def validation_error(self, batch, fake):
        error = super().validation_error(batch, fake)
        return error * self.value if self.side == "validation" and self.calls > 3 else error


@pytest.mark.parametrize("value", ["nan", "inf"])
@pytest.mark.parametrize(
    "side, term, line",
    [
        ("generator", "seen", r"generator_seen is {0} in epoch 2: .*learning rate or the weight of seen in .*, toy$"),
        ("discriminator", "taste", r"discriminator_taste is {0} in epoch 2: .*lower the learning rate in .*, toy$"),
        ("validation", "", r"validation_error is {0} in epoch 2: .*lower the learning rate in .*, toy$"),
    ],
    ids=["generator", "discriminator", "validation"],
)
def test_what_is_not_finite_ends_a_training_without_a_network(bench, side, term, line, value):
    bench.train(recipe())
    assert bench.has_network

    def objective(weights):
        made = Diverging(Settings())
        made.side, made.term, made.value = side, term, float(value)
        return made

    with pytest.raises(UserError, match=line.format(value)) as error:
        bench.train(recipe(objective=objective, seed=1))
    assert "\n" not in str(error.value)
    assert not bench.out.exists()
    # The epochs before are on the table.
    assert list(bench.losses["epoch"]) == [1]
    # It does not go on from what is not finite.
    with pytest.raises(UserError):
        bench.train(recipe(objective=objective, seed=1))
    assert all(
        torch.isfinite(x).all() for state in bench.states.values() for x in state["networks"]["generator"].values()
    )


def too_large_for_any_memory():
    torch.zeros(1 << 50)


def too_large_for_numpy():
    np.zeros(1 << 50, np.int8)


def too_large_for_a_gpu():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.mark.parametrize("where", ["generator_terms", "discriminator_terms", "validation_error"])
@pytest.mark.parametrize("asks", [too_large_for_any_memory, too_large_for_numpy, too_large_for_a_gpu])
def test_too_little_memory_is_one_line_that_says_what_to_lower(bench, where, asks):
    class Large(Objective):
        calls = 0

    def counted(self, batch, fake):
        self.calls += 1
        if self.calls > (1 if where == "validation_error" else 3):
            asks()
        return getattr(Objective, where)(self, batch, fake)

    setattr(Large, where, counted)
    made = recipe(objective=lambda weights: Large(Settings()), knobs={"batch": 4, "excerpt_frames": None, "frames": 1})
    said = "out of memory in epoch 2: lower batch or excerpt_frames or units in params.yaml, toy, or free memory"
    with pytest.raises(UserError, match=rf"^{said} and run again; the epochs before are kept$"):
        bench.train(made)
    assert list(bench.losses["epoch"]) == [1]
    assert not bench.has_network


def test_another_error_of_torch_is_not_taken_for_too_little_memory(bench):
    class Mistaken(Objective):
        def validation_error(self, batch, fake):
            return torch.zeros(2, 3) @ torch.zeros(2, 3)

    with pytest.raises(RuntimeError, match="shapes"):
        bench.train(recipe(objective=lambda weights: Mistaken(Settings())))


def test_a_corpus_with_nothing_to_learn_leaves_the_reason(bench, capsys):
    bench.train(recipe())

    def nothing():
        raise NothingToLearn("no clip shows what is wanted")

    bench.train(nothing)
    assert "toy: skipped: no clip shows what is wanted" in capsys.readouterr().out
    assert not bench.has_network
    assert len(bench.losses) == 0 and "validation_error" in bench.losses
    with pytest.raises(UserError, match="could not be trained on this corpus: no clip shows what is wanted"):
        load_network(bench.out, Generator, Settings)
    # And where there is something again, the reason goes.
    assert bench.train(recipe()) == []
    assert bench.has_network and read_trained(bench.out)["training"] == "toy"


def test_nothing_to_train_for_is_one_line(bench):
    nought = dict.fromkeys(TERMS, 0.0)
    with pytest.raises(UserError, match=r"^params\.yaml: toy\.weights: .* nothing to begin with$"):
        bench.train(recipe(phase(weights=nought)))
    assert not bench.out.exists()


def test_a_training_that_cannot_begin_leaves_nothing_older(bench):
    bench.train(recipe())

    def mistaken():
        raise UserError("params.yaml: toy.steps: no clip is so long")

    with pytest.raises(UserError, match="no clip is so long"):
        bench.train(mistaken)
    assert not bench.out.exists() and not (bench.folder / "losses.csv").exists()


def test_what_is_left_says_how_it_was_made(bench):
    bench.train(two_phases(about={"features": "of VGG-19"}))
    about = read_trained(bench.out)
    assert about["training"] == "toy" and about["settings"] == {"units": 4, "dropout": 0.3}
    assert about["preprocessing"] == {"fps": 25} and about["features"] == "of VGG-19"
    made_with = {"betas": [0.9, 0.999], "weights": TERMS, "rates": RATES, "epochs": 3, "steps": None}
    assert about["parameters"] == made_with


# The same, of a paper: through the stage, on clips.

SMALL = {
    "audio_to_landmark": {"epochs": 2},
    "landmark_to_texture": {"epochs": 2, "excerpt_frames": 3, "predicted": 0.0},
    "blink": {"epochs": 1, "units": 16, "steps": 4, "batch": 8, "steps_per_epoch": 2},
}


@pytest.fixture
def small(train_on, parameters):
    """One of Sinha's trainings with changes: small("blink", epochs=2)."""

    def run(training, seed=0, **changes):
        made = parameters(seed=seed, sinha={training: SMALL[training] | changes}, training={"device": "cpu"})
        return train_on("sinha", training, made)

    return run


def test_a_papers_training_is_resumed_and_ends_the_same(small, monkeypatch, data):
    """Of a GAN, with the optimiser that most papers take."""
    validate, calls = runner.validation_error, []

    def killed(*args):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt  # in the second epoch, before its file
        return validate(*args)

    monkeypatch.setattr(runner, "validation_error", killed)
    with pytest.raises(KeyboardInterrupt):
        small("landmark_to_texture")
    resumed = small("landmark_to_texture")
    assert len(calls) == 3
    left = (resumed.folder / WEIGHTS).read_bytes()
    for path in (data / ".work" / "training" / "sinha_landmark_to_texture").iterdir():
        path.unlink()
    whole = small("landmark_to_texture")
    assert len(calls) == 5
    assert (whole.folder / WEIGHTS).read_bytes() == left
    assert whole.about == resumed.about and whole.losses.equals(resumed.losses)
    network, about = load_network(whole.folder, TextureGenerator, TextureSettings)
    assert about["training"] == "sinha_landmark_to_texture" and not network.training
    assert list(whole.losses["epoch"]) == [1, 2] and whole.losses.notna().all(axis=None)


def test_a_papers_training_starts_again_for_its_own_reasons_only(small, data, monkeypatch):
    epochs, learn = [], runner.learn

    def counted(*args):
        epochs.append(1)
        return learn(*args)

    def trains(**changes):
        epochs.clear()
        small("audio_to_landmark", epochs=1, **changes)
        return bool(epochs)

    monkeypatch.setattr(runner, "learn", counted)
    assert trains() and not trains()
    assert trains(seed=1) and trains(learning_rate=1e-2) and trains(excerpt_frames=4)
    # Pictures are nothing to this network.
    rewrite(data / "alignment" / "small" / "crops", "clip0")
    assert not trains()
    monkeypatch.setattr(stage, "fingerprint", lambda *modules: "code that does another thing")
    assert trains() and not trains()
    rewrite(data / "character_features" / "windows", "clip0")
    assert trains()


@pytest.mark.parametrize("training", ["landmark_to_texture", "blink"])
def test_a_papers_training_that_diverges_is_one_line(small, data, training):
    small(training, epochs=1)
    with pytest.raises(UserError, match=rf"is (nan|inf) in epoch \d: .* params\.yaml, sinha\.{training}$") as error:
        small(training, learning_rate=1e30)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=f"holds no trained network; make it with `dvc repro sinha_{training}`"):
        load_network(data / "trained" / "sinha" / training, TextureGenerator, TextureSettings)


@pytest.fixture
def command(data, parameters, monkeypatch, tmp_path_factory):
    """The stage as a command, where its folders are: command("blink", epochs=2)."""
    project = tmp_path_factory.mktemp("project")
    (project / "data").symlink_to(data)
    monkeypatch.chdir(project)

    def run(training, **changes):
        made = parameters(sinha={training: SMALL[training] | changes}, training={"device": "cpu"})
        (project / "params.yaml").write_text(yaml.safe_dump(made.model_dump()))
        monkeypatch.setattr(sys, "argv", ["stages.training", "sinha", training])
        stage.main()

    return run


def test_a_command_that_is_interrupted_is_one_line_and_goes_on(command, data, monkeypatch, capsys):
    """Ctrl-C in the second epoch: status 130, as of any program; what the line promises is kept."""
    learn, epochs = runner.learn, []

    def interrupted(*args):
        epochs.append(1)
        if len(epochs) == 2:
            raise KeyboardInterrupt
        return learn(*args)

    monkeypatch.setattr(runner, "learn", interrupted)
    with pytest.raises(SystemExit) as end:
        command("audio_to_landmark")
    assert end.value.code == 130
    assert capsys.readouterr().err == "interrupted; what is finished is kept, and nothing half made is left\n"
    assert not (data / "trained" / "sinha" / "audio_to_landmark").exists()
    command("audio_to_landmark")
    assert len(epochs) == 3
    assert (data / "trained" / "sinha" / "audio_to_landmark" / WEIGHTS).exists()


def test_a_command_that_comes_to_nothing_is_one_line(command, capsys):
    """A string as SystemExit's code is what Python prints to stderr, with status 1."""
    with pytest.raises(SystemExit, match=r"^error: generator_\w+ is (nan|inf) in epoch 1: .*blink$") as end:
        command("blink", learning_rate=1e30)
    assert "\n" not in end.value.code and capsys.readouterr().err == ""


@pytest.mark.parametrize("module", ["stages.training", "pipeline.adapt"])
def test_threads_sleep_while_they_wait(module):
    """By what OpenMP says of itself as torch loads it; spinning, they would take the cores from each other."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    code = f"import {module}, torch; torch.zeros(10**6).add(1)"
    shown = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"OMP_DISPLAY_ENV": "TRUE"},
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    if "OMP_WAIT_POLICY" not in shown:
        pytest.skip("this torch has another library of threads")
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in shown
