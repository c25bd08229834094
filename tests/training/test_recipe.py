"""What every recipe of the project promises the runner."""

from dataclasses import fields
from functools import cache, partial
from importlib import import_module

import pytest
import torch

from benchmarks.made_up import add_pretrained, add_the_rest
from pipeline.corpus import shards, tables
from pipeline.corpus.tables import read_index
from pipeline.papers.kesim_erzin.end_to_end import INPUTS
from pipeline.papers.registry import TRAININGS, module
from pipeline.parameters import Parameters
from pipeline.training import augmentation, runner
from pipeline.training.machine import machine_for
from pipeline.training.trained import fields_of, read_trained, save_network
from tests.made_up_corpus import LENGTHS, merged

# Stage → the module of its recipe, what the recipe is told, and the parameters that the stage reads.
STAGES = {
    f"{paper}_{training}": (
        module(paper, training),
        {"training": training} if declared.module else {},
        declared.params,
    )
    for (paper, training), declared in TRAININGS.items()
} | {
    "emotion_classifier": (
        "pipeline.evaluation.emotion_classifier.training",
        {"faces": "small"},
        ("emotion_classifier",),
    ),
    "sync": ("pipeline.evaluation.lip_sync.training", {"faces": "small"}, ("sync",)),
}
# Clips are shorter here than the windows of params.yaml.
SHORT = {"sinha": {"blink": {"steps": 8}}, "sync": {"excerpt_frames": 10}, "chen_s": {"width": 0.0625}}
# The other way than as committed: with a term of its own.
COMPOSED = {
    "chen_s_end_to_end": {"chen_s": {"end_to_end": {"compose": True}}},
    **{f"kesim_erzin_{row}": {"kesim_erzin": {"compose": True}} for row in INPUTS},
    "maity_end_to_end": {"maity": {"compose": True}},
}


@pytest.fixture
def corpus(data, parameters):
    """The made-up clips with all that any training asks for: emotions, action units, speech at 8 kHz, networks of trainings
    before it, which have not learnt."""
    add_the_rest(data, LENGTHS)
    add_pretrained(data, image_size=64, width=0.0625)
    for paper in ("atvgnet", "sinha"):
        first_half = import_module(f"pipeline.papers.{paper}.audio_to_landmark").recipe(parameters(), data)
        weights = first_half.objective({}).generator.state_dict()
        about = {"settings": fields_of(first_half.settings), "key": paper}
        save_network(data / "trained" / paper / "audio_to_landmark", weights, about)
    return data


@pytest.fixture
def make(corpus, parameters):
    """The recipe of a stage, with changes of the parameters: make("sinha_blink", seed=3)."""

    values = parameters(**SHORT).model_dump()

    def recipe(stage, composed=False, **changes):
        (where, told, _), before = STAGES[stage], merged(values, COMPOSED.get(stage, {}) if composed else {})
        return import_module(where).recipe(Parameters.model_validate(merged(before, changes)), corpus, **told)

    return recipe


@pytest.mark.parametrize(
    ("stage", "composed"), [*((stage, False) for stage in STAGES), *((stage, True) for stage in COMPOSED)]
)
def test_a_recipe_is_whole(stage, composed, make):
    """Settings survive their way through a file. In each phase, every term has its weight (without one it would never be
    computed), every weight its term, every network its rate, and what judges is there where it is asked."""
    recipe = make(stage, composed)
    again = type(recipe.settings)(**fields_of(recipe.settings))
    assert again == recipe.settings
    for field in fields(again):
        assert type(getattr(again, field.name)) is type(getattr(recipe.settings, field.name)), field.name
    assert len(recipe.batches) > 0
    batch = next(recipe.batches.epoch(recipe.seed, 0))
    assert batch.n_frames > 0
    for phase in recipe.phases:
        torch.manual_seed(recipe.seed)
        objective = recipe.objective(phase.weights)
        fake = objective.generate(batch)
        terms = objective.generator_terms(batch, fake)
        assert terms.keys() == phase.weights.keys()
        wanted = runner.computed(terms, phase.weights.get)
        assert wanted and all(value.shape == () and value.isfinite() for value in wanted.values())
        judged = objective.discriminator_terms(batch, runner.detached(fake))
        assert objective.judged_for.keys() <= judged.keys()
        for term in judged:
            assert set(objective.judged_for.get(term, (term,))) <= phase.weights.keys()
        asked = runner.computed(judged, partial(runner.serves, objective, phase))
        assert all(value.shape == () and value.isfinite() for value in asked.values())
        # Raises where a parameter that is trained has no rate.
        optimizers = runner.Networks(machine_for("cpu", "32-true"), objective, recipe, phase).optimizers
        assert optimizers.keys() == {"generator", *(["discriminators"] if asked else [])}


@pytest.mark.parametrize("stage", STAGES)
def test_whatever_a_stage_reads_is_in_its_key(stage, make, corpus, parameters, monkeypatch, tmp_path):
    """A parameter that is changed must not find the training of another: for each that the stage declares."""
    done = {"epoch": 1, "losses": [], "best": {"epoch": 1, "generator": {}}, "networks": {"generator": {}}}
    monkeypatch.setattr(runner, "fit", lambda *_: done)
    # The clips stay as they are: to find them once is enough.
    for where in (shards, tables):
        monkeypatch.setattr(where, "read_index", cache(read_index))
    values = parameters(**SHORT, training={"device": "cpu"})
    read_from = merged(values.model_dump(), COMPOSED.get(stage, {}))
    out, losses, work = (tmp_path / name for name in ("out", "losses.csv", "work"))
    work.mkdir()

    def key(**changes):
        made = partial(make, stage, composed=True, **changes)
        runner.train(stage, made, "code", values.training, out, losses, work)
        return read_trained(out)["key"]

    before, idle = key(), []
    assert key() == before
    # Which faces are seen is no matter, but what there is to see of them: it is in the key with the clips.
    read = (leaf for group in STAGES[stage][2] for leaf in leaves(read_from, group))
    for path in ["seed", *(leaf for leaf in read if not leaf.endswith(".faces"))]:
        changes = value = changed(look_up(read_from, path))
        for name in reversed(path.split(".")):
            changes = {name: changes}
        if value is not None and key(**changes) == before:
            idle.append(path)
    assert idle == []


# Stage → where its parameters stand, and which fields of a batch are images.
COLOURED = {
    "atvgnet_landmark_to_texture": (("atvgnet", "landmark_to_texture"), {"photo", "frames"}),
    "chen_s_end_to_end": (("chen_s", "end_to_end"), {"photo", "frames"}),
    "kesim_erzin_speech_landmark": (("kesim_erzin",), {"reference", "frames"}),
    "maity_end_to_end": (("maity",), {"photo", "frames"}),
    "sinha_landmark_to_texture": (("sinha", "landmark_to_texture"), {"photo", "frames"}),
}


@pytest.mark.parametrize("stage", COLOURED)
def test_colours_are_changed_for_all_images_of_an_excerpt_alike_and_for_nothing_else(stage, make, monkeypatch):
    """In training only; by a change that a test can undo."""
    monkeypatch.setattr(augmentation, "augment", lambda images, rng: -images)
    path, images = COLOURED[stage]

    def batches(share):
        changes = {"augmentation": share}
        for name in reversed(path):
            changes = {name: changes}
        return make(stage, **changes).batches

    # A share so small is never drawn, and draws as many lots.
    always, never = batches(1.0), batches(1e-9)
    for sign, drawn in ((-1, lambda of: of.epoch(0, 0)), (1, lambda of: of.validation(0))):
        changed, own = (next(drawn(of)) for of in (always, never))
        for name, value in own._asdict().items():
            expected = sign * value if name in images else value
            assert value is None or torch.equal(getattr(changed, name), expected), name


def look_up(values, path):
    for name in path.split("."):
        values = values[name]
    return values


def leaves(values, path):
    """The keys below a group, to the end."""
    value = look_up(values, path)
    return [leaf for name in value for leaf in leaves(values, f"{path}.{name}")] if isinstance(value, dict) else [path]


def changed(value):
    """Another value of the kind; None where there is nothing to change."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, list):
        return [changed(value[0]), *value[1:]]
    if isinstance(value, int):
        return value + 1
    return value if value is None else 0.9 * value or 0.5
