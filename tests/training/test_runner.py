"""The training loop on a toy: a step by hand, what is computed and what moves, rates, phases."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F
from torch.optim import SGD, Adam

from pipeline.errors import UserError
from pipeline.parameter_types import Schedule
from pipeline.training.machine import machine_for
from pipeline.training.recipe import Phase
from pipeline.training.runner import detached, serves
from pipeline.training.trained import WEIGHTS, load_network
from tests.training.toy import (
    RATES,
    TERMS,
    Bench,
    Drawn,
    Generator,
    NumberBatches,
    Objective,
    Settings,
    assert_equal,
    phase,
    recipe,
)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def weights_of(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


class Watched:
    """Makes objectives and optimisers for a recipe, and keeps them."""

    def __init__(self, kind=Objective, optimizer=Adam):
        self.kind, self.optimizer, self.objectives, self.optimizers, self.begun = kind, optimizer, [], [], []

    def objective(self, weights):
        self.objectives.append(self.kind(Settings()))
        return self.objectives[-1]

    def make_optimizer(self, groups):
        # Made when all networks are as training finds them; the generator's comes first.
        if len(self.optimizers) == 2 * len(self.begun):
            networks = self.objectives[-1].named_children()
            self.begun.append({name: weights_of(network) for name, network in networks})
        self.optimizers.append(self.optimizer(groups))
        return self.optimizers[-1]

    def recipe(self, *phases, **changes):
        return recipe(*phases, objective=self.objective, optimizer=self.make_optimizer, **changes)


def test_steps_of_judges_and_generator_by_hand(bench):
    """Two batches, plain gradient descent: the judges on what the generator drew, then the generator on what they say now."""
    made = recipe(
        phase(epochs=1, rates={"generator": 0.2, "discriminators": 0.5}),
        settings=Settings(dropout=0.0),
        batches=NumberBatches(2),
        optimizer=SGD,
    )
    bench.train(made)
    torch.manual_seed(made.seed)
    hand = Objective(made.settings)
    generator, critic, taster, eye = hand.generator, hand.critic, hand.taster, hand.eye.eval()
    judges, losses = [*critic.parameters(), *taster.parameters()], []
    for k in range(2):
        x, y = made.batches.batch(np.random.default_rng([made.seed, 0, k]))
        fake = generator(x).y
        unsure = F.softplus(critic(fake)).mean() + F.softplus(-critic(y)).mean()
        tasted = F.softplus(taster(fake)).mean() + F.softplus(-taster(y)).mean()
        penalty = (critic(fake) + taster(fake)).square().mean()
        descend(unsure + tasted + penalty, judges, 0.5)
        fooled, good = F.softplus(-critic(fake)).mean(), F.softplus(-taster(fake)).mean()
        pixel, seen = F.l1_loss(fake, y), F.mse_loss(eye(fake), eye(y))
        descend(pixel + 0.5 * fooled + 0.25 * good + 2 * seen, list(generator.parameters()), 0.2)
        losses.append([value.item() for value in (unsure, tasted, penalty, pixel, fooled, good, seen)])

    (state,) = bench.states.values()
    for name, network in (("generator", generator), ("critic", critic), ("taster", taster)):
        torch.testing.assert_close(state["networks"][name], network.state_dict())
    row = bench.losses.iloc[0]
    # As they were when they were computed: the judges' before their step, the generator's after it, unweighted.
    names = [f"discriminator_{name}" for name in ("adversarial", "taste", "penalty")]
    names += [f"generator_{name}" for name in TERMS]
    np.testing.assert_allclose(row[names].astype(float), np.mean(losses, axis=0), rtol=1e-5)
    judged = next(made.batches.validation(made.seed))
    assert row["validation_error"] == pytest.approx((generator(judged.x).y - judged.y).abs().mean().item(), rel=1e-5)


def descend(loss, parameters, rate):
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True)
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= rate * gradient


def test_a_loss_is_the_mean_of_an_epochs_batches(bench):
    class Counting(Objective):
        def generator_terms(self, batch, fake):
            self.count = getattr(self, "count", 0) + 1
            return {"pixel": lambda: 0 * fake.y.sum() + self.count**2}

    bench.train(
        recipe(
            phase(epochs=2, weights={"pixel": 1.0, "adversarial": 0.0, "taste": 0.0}),
            objective=lambda weights: Counting(Settings()),
        )
    )
    np.testing.assert_allclose(bench.losses["generator_pixel"], [(1 + 4 + 9) / 3, (16 + 25 + 36) / 3], rtol=1e-5)


@pytest.mark.parametrize("absent", TERMS)
def test_a_term_without_weight_is_never_computed(bench, absent):
    """Nor is the judges' term of that name."""

    def never():
        raise AssertionError(f"{absent} was computed")

    class Spoilt(Objective):
        def discriminator_terms(self, batch, fake):
            terms = super().discriminator_terms(batch, fake)
            return terms | ({absent: never} if absent in terms else {})

        def generator_terms(self, batch, fake):
            return super().generator_terms(batch, fake) | {absent: never}

    spoilt = {"objective": lambda weights: Spoilt(Settings())}
    bench.train(recipe(phase(epochs=1, weights=TERMS | {absent: 0.0}), **spoilt))
    assert not [column for column in bench.losses if column.endswith(f"_{absent}")]
    with pytest.raises(AssertionError, match="was computed"):
        bench.train(recipe(phase(epochs=1), **spoilt))


@pytest.mark.parametrize(
    "weights, computed",
    [
        ({"adversarial": 0.0, "taste": 0.0}, set()),
        ({"adversarial": 1.0, "taste": 0.0}, {"adversarial", "penalty"}),
        ({"adversarial": 0.0, "taste": 1.0}, {"taste", "penalty"}),
        ({"adversarial": 1.0, "taste": 1.0}, {"adversarial", "taste", "penalty"}),
    ],
)
def test_judges_learn_for_what_the_generator_is_judged_by(bench, weights, computed):
    """The toy's penalty serves both judges: it is wanted where either is."""
    bench.train(recipe(phase(epochs=1, weights=TERMS | weights)))
    assert {name.removeprefix("discriminator_") for name in bench.losses if "discriminator" in name} == computed


def test_judges_that_are_not_asked_stay_as_they_are(bench):
    watched = Watched()
    bench.train(watched.recipe(phase(epochs=1, weights=TERMS | {"adversarial": 0.0, "taste": 0.0})))
    (begun,), (state,) = watched.begun, bench.states.values()
    assert_equal(state["networks"]["critic"], begun["critic"])
    assert not torch.equal(state["networks"]["generator"]["head.bias"], begun["generator"]["head.bias"])


def test_frozen_networks_stay_as_they_are(bench):
    """Running statistics, too: those of a network in training mode would move."""
    watched = Watched()
    bench.train(watched.recipe())
    (begun,), (objective,) = watched.begun, watched.objectives
    assert_equal(objective.eye.module.state_dict(), begun["eye"])
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in objective.eye.parameters())
    (state,) = bench.states.values()
    assert state["networks"].keys() == {"generator", "critic", "taster"}


def test_a_frozen_part_of_a_judge_stays_frozen(bench):
    class Half(Objective):
        def __init__(self, s):
            super().__init__(s)
            self.critic.bias.requires_grad_(False)

    watched = Watched(Half)
    bench.train(watched.recipe())
    (begun,), (objective,) = watched.begun, watched.objectives
    critic = objective.critic.module
    assert not critic.bias.requires_grad and torch.equal(critic.bias, begun["critic"]["bias"])
    assert critic.weight.requires_grad and not torch.equal(critic.weight, begun["critic"]["weight"])


def test_each_step_leaves_the_other_side_alone(bench):
    """No gradient reaches the other's weights, which is all that an optimiser could move them by."""

    class Cleared(Objective):
        def discriminator_terms(self, batch, fake):
            self.generator.zero_grad()
            return super().discriminator_terms(batch, fake)

        def generator_terms(self, batch, fake):
            for judge in (self.critic, self.taster):
                judge.zero_grad()
            return super().generator_terms(batch, fake)

    watched, steps = Watched(Cleared), []

    def watch(optimizer, *_):
        objective, which = watched.objectives[-1], watched.optimizers.index(optimizer)
        judges = [*objective.critic.parameters(), *objective.taster.parameters()]
        own, others = (list(objective.generator.parameters()), judges)[:: -1 if which else 1]
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in own)
        assert all(p.grad is None for p in others)
        assert all(p.requires_grad for p in own)
        steps.append(which)

    def optimizer(groups):
        made = watched.make_optimizer(groups)
        made.register_step_pre_hook(watch)
        return made

    bench.train(recipe(phase(epochs=2), objective=watched.objective, optimizer=optimizer))
    assert steps == [1, 0] * 3 * 2  # judges first, three batches, two epochs


@pytest.mark.parametrize(("steps", "epochs"), [(8, 3), (9, 3), (2, 1)])
def test_a_phase_of_so_many_steps_ends_with_them(bench, steps, epochs):
    """An epoch has three batches here: the last one ends where the steps do, and is judged as any."""
    lasting = phase_of(epochs=None, steps=steps)
    assert lasting.epochs == epochs
    bench.train(recipe(lasting))
    (path,) = (bench.folder / "work").glob("*.pt")
    state = torch.load(path, weights_only=True)
    taken = state["optimizers"]["generator"]["state"].values()
    assert {int(of_one["step"]) for of_one in taken} == {steps} and len(bench.losses) == epochs
    # They are the steps of whole epochs, as far as they go.
    path.unlink()
    bench.train(recipe(phase_of(epochs=3, steps=None)))
    (path,) = (bench.folder / "work").glob("*.pt")
    whole = torch.load(path, weights_only=True)["networks"]["generator"]
    same = [torch.equal(weights, state["networks"]["generator"][name]) for name, weights in whole.items()]
    assert all(same) if steps == 9 else not any(same)


def phase_of(**lasting):
    return Phase.of(Schedule(**lasting), NumberBatches(3), dict(TERMS), dict(RATES))


def test_a_schedule_is_of_epochs_or_of_steps():
    for wrong in ({"epochs": 3, "steps": 9}, {"epochs": None, "steps": None}):
        with pytest.raises(ValueError, match="either epochs or steps is needed"):
            Schedule(**wrong)


def test_the_fake_that_judges_see_has_no_history():
    x = torch.ones(2, requires_grad=True) * 2
    assert detached(x).grad_fn is None and x.grad_fn is not None
    drawn = detached(Drawn(x, x + 1))
    assert isinstance(drawn, Drawn) and all(part.grad_fn is None for part in drawn)
    assert torch.equal(drawn.hidden, x + 1)


def test_the_network_that_is_left_has_the_least_validation_error(bench):
    """Not the last: errors are made to fall, and rise again."""
    watched = Watched(errors(3.0, 1.0, 2.0, 1.0))
    bench.train(watched.recipe(phase(epochs=4)))
    network, about = load_network(bench.out, Generator, Settings)
    assert about["epoch"] == 2 and list(bench.losses["validation_error"]) == [3, 1, 2, 1]
    assert_equal(network.state_dict(), watched.objectives[0].seen[1]["generator"])
    assert not network.training


@pytest.mark.parametrize(("keep", "given"), [("best", (3.0, 2.0, 1.0)), ("last", (1.0, 2.0, 3.0))])
def test_the_running_mean_of_the_weights_is_validated_and_left(bench, tmp_path, keep, given):
    """Of one step an epoch the mean keeps three quarters of itself; the steps are those of a training without it. What batch
    normalisation has seen is averaged with the weights."""
    plain, watched = Watched(normalised(*given)), Watched(normalised(*given))
    Bench(tmp_path / "plain").train(plain.recipe(phase(epochs=3), batches=NumberBatches(1)))
    bench.train(watched.recipe(phase(epochs=3), batches=NumberBatches(1), averaging=0.75, keep=keep))
    steps, means = ([floats(seen["generator"]) for seen in of.objectives[0].seen] for of in (plain, watched))
    assert "body.3.running_var" in steps[0]
    mean = steps[0]
    for step, validated in zip(steps, means, strict=True):
        mean = {name: 0.75 * mean[name] + 0.25 * step[name] for name in mean}
        for name in mean:
            torch.testing.assert_close(validated[name], mean[name])
    assert_equal(floats(load_file(bench.out / WEIGHTS)), means[-1])


def floats(weights):
    """But for the count of batches, which nothing reads."""
    return {name: x for name, x in weights.items() if x.is_floating_point()}


def normalised(*values):
    """As `errors`, of a generator with batch normalisation."""

    class Normalised(errors(*values)):
        def __init__(self, s):
            super().__init__(s)
            self.generator.body.append(nn.BatchNorm1d(s.units))

    return Normalised


def errors(*values):
    """An objective with these validation errors, which keeps its networks as they were at each."""

    class Given(Objective):
        left = list(values)

        def __init__(self, s):
            super().__init__(s)
            self.seen = []

        def validation_error(self, batch, fake):
            assert not self.training and not fake.y.requires_grad
            self.seen.append({name: weights_of(network.module) for name, network in self.named_children()})
            return torch.tensor(self.left.pop(0))

    return Given


@pytest.mark.parametrize("averaging", [0, 0.9])
@pytest.mark.parametrize("start", ["best", "last"])
def test_a_second_phase_goes_on_from_the_first(bench, start, averaging):
    """best: the generator of the least error, and new judges; last: all as they ended. Either way the generator as it was
    validated: its mean, where one is taken."""
    watched = Watched(errors(2.0, 1.0, 3.0, 5.0))
    bench.train(watched.recipe(phase(epochs=3), phase(epochs=1, start=start), averaging=averaging))
    first, (_, begun) = watched.objectives[0].seen, watched.begun
    expected = first[1] if start == "best" else first[2]
    assert_equal(begun["generator"], expected["generator"])
    assert not torch.equal(first[1]["generator"]["head.bias"], first[2]["generator"]["head.bias"])
    for judge in ("critic", "taster"):
        assert torch.equal(begun[judge]["weight"], first[2][judge]["weight"]) == (start == "last")
    # The least error of the second phase counts, however low the first's were: its objective is another.
    network, about = load_network(bench.out, Generator, Settings)
    assert about["epoch"] == 1
    assert_equal(network.state_dict(), watched.objectives[1].seen[0]["generator"])


def test_losses_of_both_phases_are_one_table(bench):
    """Epochs are counted on; a term has no value in a phase without it."""
    bench.train(recipe(phase(epochs=2, weights=TERMS | {"adversarial": 0.0, "taste": 0.0}), phase(epochs=3)))
    losses = bench.losses
    assert list(losses["phase"]) == [1, 1, 2, 2, 2] and list(losses["epoch"]) == [1, 2, 3, 4, 5]
    judged = [name for name in losses if name.endswith(("adversarial", "taste", "penalty"))]
    assert len(judged) == 5
    assert losses.loc[:1, judged].isna().all(axis=None) and losses.loc[2:, judged].notna().all(axis=None)
    assert losses[["generator_pixel", "generator_seen", "validation_error"]].notna().all(axis=None)


def test_a_parameter_has_the_rate_of_the_longest_name(bench):
    watched = Watched()
    # "generator.he" names no part, however the names begin.
    rates = {"generator": 1e-3, "generator.body": 2e-3, "generator.body.0": 3e-3, "generator.he": 9e-3}
    bench.train(watched.recipe(phase(epochs=1, rates=rates | {"taster": 4e-3, "discriminators": 5e-3})))
    names = {id(parameter): name for name, parameter in watched.objectives[0].named_parameters()}
    found = [
        {names[id(p)].replace(".module", "").replace("._forward_module", ""): group["lr"] for p in group["params"]}
        for optimizer in watched.optimizers
        for group in optimizer.param_groups
    ]
    assert {name: rate for group in found for name, rate in group.items()} == {
        "generator.body.0.weight": 3e-3,
        "generator.body.0.bias": 3e-3,
        "generator.head.weight": 1e-3,
        "generator.head.bias": 1e-3,
        "critic.weight": 5e-3,
        "critic.bias": 5e-3,
        "taster.weight": 4e-3,
        "taster.bias": 4e-3,
    }


def test_the_rate_falls_with_the_steps(bench):
    """r / (1 + n/h) after n steps: half after h = 4, a third after 8; of every group, and over an interruption."""
    used = []

    def optimizer(groups):
        made = Adam(groups)
        made.register_step_pre_hook(lambda made, *_: used.append([group["lr"] for group in made.param_groups]))
        return made

    rates = {"generator": 0.08, "generator.head": 0.02}
    weights = {"pixel": 1.0, "adversarial": 0.0, "taste": 0.0, "seen": 0.0}
    for epochs in (1, 3):  # of three batches each
        bench.train(recipe(phase(epochs, weights, rates | {"discriminators": 1.0}), optimizer=optimizer, half_rate=4))
    expected = [[rate / (1 + n / 4) for rate in rates.values()] for n in range(9)]
    np.testing.assert_allclose(used, expected)
    assert used[4][0] == pytest.approx(0.04) and used[8][1] == pytest.approx(0.02 / 3)


def test_without_it_the_rate_stays(bench):
    watched = Watched()
    bench.train(watched.recipe())
    assert [group["lr"] for made in watched.optimizers for group in made.param_groups] == list(RATES.values())


def test_what_nothing_judges_has_one_optimiser(bench):
    class Alone(Objective):
        def __init__(self, s):
            super().__init__(s)
            del self.critic, self.taster

    weights = {"pixel": 1.0, "seen": 1.0, "adversarial": 0.0, "taste": 0.0}
    bench.train(recipe(phase(weights=weights, rates={"generator": 1e-2}), objective=lambda weights: Alone(Settings())))
    (state,) = bench.states.values()
    assert state["optimizers"].keys() == state["networks"].keys() == {"generator"}


def test_an_objective_is_told_its_phases_weights(bench):
    told = []

    def objective(weights):
        told.append(weights)
        return Objective(Settings())

    first, second = TERMS | {"taste": 0.0}, TERMS | {"seen": 0.0}
    bench.train(recipe(phase(1, first), phase(1, second), objective=objective))
    assert told == [first, second]


def test_what_a_batch_lacks_stays_absent(bench):
    """Of inputs that a system does not have, a batch holds None."""

    class Batches(NumberBatches):
        def batch(self, rng):
            return super().batch(rng)._replace(y=None)

    class Blind(Objective):
        def generator_terms(self, batch, fake):
            assert batch.y is None
            return {"pixel": lambda: fake.y.abs().mean()}

        def validation_error(self, batch, fake):
            return fake.y.abs().mean()

    weights = {"pixel": 1.0, "adversarial": 0.0, "taste": 0.0}
    bench.train(recipe(phase(1, weights), batches=Batches(), objective=lambda weights: Blind(Settings())))
    assert len(bench.losses) == 1


def test_bfloat16_is_computed_in_and_weights_stay_float32(bench):
    bench.train(recipe(phase(1)), precision="bf16-mixed")
    (state,) = bench.states.values()
    assert {value.dtype for value in state["networks"]["generator"].values()} == {torch.float32}
    rounded = bench.losses
    bench.train(recipe(phase(1)))
    assert not rounded.equals(bench.losses)
    np.testing.assert_allclose(rounded, bench.losses, rtol=0.05)


def test_a_term_serves_those_that_it_is_there_for():
    objective = Objective(Settings())
    weights = {"adversarial": 0.0, "taste": 2.0}
    found = {term: serves(objective, Phase(1, weights, {}), term) for term in ("adversarial", "taste", "penalty")}
    assert found == {"adversarial": False, "taste": True, "penalty": True}


def test_a_gpu_that_is_not_there_is_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"training\.device is cuda, but torch sees no GPU"):
        machine_for("cuda", "auto")
