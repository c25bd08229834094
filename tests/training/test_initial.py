"""Trainings that go on from a trained system: they begin with its network, learn what it was made for, or say why not."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.torch import load_file, save_file

from pipeline.errors import UserError
from pipeline.features.canonical import canonical_displacements, to_mean_face
from pipeline.features.landmarks import inter_ocular_distance
from pipeline.papers.chen_s.networks import Settings
from pipeline.papers.registry import TRAININGS
from pipeline.parameter_types import Training
from pipeline.training.initial import Initial, initial
from pipeline.training.runner import train
from pipeline.training.trained import ABOUT, CARD, CARD_KEYS, FORM, WEIGHTS, read_trained
from tests.training.test_recipe import SHORT, STAGES, corpus, make  # noqa: F401 (fixtures)

KEYS = [f"{paper}_{training}" for paper, training in TRAININGS]
OF = {f"{paper}_{training}": (paper, training) for paper, training in TRAININGS}


@pytest.fixture
def follow(make, tmp_path):  # noqa: F811
    """Train a stage for an epoch; what it left: follow("sinha_blink", still=True, sinha={…}). still: without learning."""

    def run(stage, still=False, **changes):
        def recipe():
            made = make(stage, **changes)
            phases = [
                replace(p, epochs=1, rates=dict.fromkeys(p.rates, 0.0) if still else p.rates) for p in made.phases
            ]
            return replace(made, phases=tuple(phases))

        out = tmp_path / "out" / stage
        chosen = Training(device="cpu", devices=1, precision="32-true")
        train(stage, recipe, "code", chosen, out, tmp_path / "losses.csv", tmp_path / "work")
        return out

    return run


@pytest.fixture
def system(follow, corpus, tmp_path):  # noqa: F811
    """A folder as of a trained system that holds a stage's network: system("sinha_blink"). The corpus is another afterwards."""

    def made(stage):
        paper, training = OF[stage]
        left, folder = follow(stage, seed=1), tmp_path / "systems" / stage
        folder.mkdir(parents=True)
        shutil.copy(left / WEIGHTS, folder / f"{training}.safetensors")
        about = read_trained(left)
        card = dict.fromkeys(CARD_KEYS) | {"form": FORM, "system": paper, "paper": paper, "corpus": {"layout": "grid"}}
        card |= {"preprocessing": about.pop("preprocessing"), "networks": {training: about}}
        (folder / CARD).write_text(yaml.safe_dump(card))
        # Other clips to learn from: other mean faces, other components.
        clips = pd.read_parquet(corpus / "clips" / "clips.parquet")
        clips["split"] = np.where(clips["clip"].isin(["clip4", "clip5"]), "train", "validation")
        clips.to_parquet(corpus / "clips" / "clips.parquet")
        return folder

    return made


def init(stage, folder, **more):
    """The parameters of a stage that goes on from a folder."""
    return {OF[stage][0]: {"init_from": str(folder), **more}}


@pytest.mark.parametrize("stage", KEYS)
def test_a_training_begins_with_the_network_that_it_goes_on_from(stage, system, follow, capsys):
    """Without learning it ends with it: nothing of it is made anew, whatever the new corpus's faces and components are."""
    folder = system(stage)
    before = load_file(folder / f"{OF[stage][1]}.safetensors")
    anew = load_file(follow(stage, still=True) / WEIGHTS)
    left = follow(stage, still=True, **init(stage, folder))
    after = load_file(left / WEIGHTS)
    assert before.keys() == after.keys()
    # Normalisation goes on to learn the new frames' statistics.
    compared = [name for name in before if "running_" not in name and "num_batches" not in name]
    assert compared and all(before[name].equal(after[name]) for name in compared)
    assert any(anew[name].shape != before[name].shape or not anew[name].equal(before[name]) for name in compared)
    key = yaml.safe_load((folder / CARD).read_text())["networks"][OF[stage][1]]["key"]
    assert f"{stage}: goes on from {folder}, {key[:8]}" in capsys.readouterr().out
    about = read_trained(left)
    assert about["initial"] == {"training": OF[stage][1], "key": key, "corpus": {"layout": "grid"}}
    assert str(folder.parent) not in (left / ABOUT).read_text()


def test_landmarks_are_learned_in_the_components_of_the_network_that_knows_them(system, make):  # noqa: F811
    folder = system("atvgnet_audio_to_landmark")
    known = {name: x.numpy() for name, x in load_file(folder / "audio_to_landmark.safetensors").items()}
    batches = make("atvgnet_audio_to_landmark", **init("atvgnet_audio_to_landmark", folder)).batches
    batch, store = next(batches.validation(0)), batches.store
    clip = store.validation[0]
    moved = to_mean_face(store.steadied(clip), store.neutral[clip], known["mean_neutral"])
    np.testing.assert_allclose(batch.landmarks[0], moved, atol=1e-4)
    expected = (moved.reshape(len(moved), -1) - known["mean"]) @ known["basis"].T
    np.testing.assert_allclose(batch.components[0], expected, atol=1e-3)


def test_displacements_are_learned_on_the_mean_face_of_the_network_that_has_one(system, make):  # noqa: F811
    folder = system("sinha_audio_to_landmark")
    mean = load_file(folder / "audio_to_landmark.safetensors")["mean_neutral"].numpy()
    batches = make("sinha_audio_to_landmark", **init("sinha_audio_to_landmark", folder)).batches
    batch, store = next(batches.validation(0)), batches.store
    clip = store.validation[0]
    moved = canonical_displacements(store.steadied(clip), store.neutral[clip], mean) / inter_ocular_distance(mean)
    np.testing.assert_allclose(batch.displacements, moved, atol=1e-5)


def test_other_weights_are_another_training_and_another_place_is_not(system, follow, tmp_path):
    stage = "sinha_landmark_to_texture"
    folder = system(stage)
    key = read_trained(follow(stage, **init(stage, folder)))["key"]
    moved = folder.rename(tmp_path / "elsewhere")
    assert read_trained(follow(stage, **init(stage, moved)))["key"] == key
    weights = load_file(moved / "landmark_to_texture.safetensors")
    name = next(iter(weights))
    save_file(weights | {name: weights[name] + 1}, moved / "landmark_to_texture.safetensors")
    assert read_trained(follow(stage, **init(stage, moved)))["key"] != key != read_trained(follow(stage))["key"]


def test_a_network_that_is_not_in_the_folder_begins_anew(system, follow, capsys):
    folder = system("sinha_blink")
    left = follow("sinha_landmark_to_texture", **init("sinha_landmark_to_texture", folder))
    assert f"begins anew: {folder} holds no landmark_to_texture" in capsys.readouterr().out
    assert "initial" not in read_trained(left)


def changed(folder, change):
    """The card, changed."""
    card = yaml.safe_load((folder / CARD).read_text())
    change(card)
    (folder / CARD).write_text(yaml.safe_dump(card))


def had(**preprocessing):
    """The system was trained on data that were prepared so."""
    return lambda folder: changed(folder, lambda card: card["preprocessing"].update(preprocessing))


def cut(name, size):
    def broken_off(folder):
        path = folder / name
        path.write_bytes(path.read_bytes()[:size])

    return broken_off


def of_another_version(folder):
    path = folder / "audio_to_landmark.safetensors"
    weights = load_file(path)
    save_file({name.replace("encoder", "hearing"): x for name, x in weights.items()}, path)


REFUSED = {
    "width": (
        {"sinha": {"width": 0.125}},
        None,
        r"params\.yaml: sinha: width is 0\.125, and that of audio_to_landmark in sinha\.init_from: \S+ is 0\.0625$",
    ),
    "size": ({}, had(image_size=128), r"faces\.small\.image_size is 64, and sinha\.init_from: \S+ was .* with 128$"),
    "transform": ({}, had(transform="box"), r"faces\.small\.transform is per_frame, and .* with box$"),
    "clock": ({}, had(fps=30.0), r"corpus\.fps is 25\.0, and .* with 30\.0$"),
    "template": ({}, had(template=[[1.0, 2.0]] * 68), r"faces\.small\.template has to be \S+, as .*another mean face$"),
    "symbols": (
        {},
        had(characters={"backend": "phones", "symbols": ["a"] * 42}),
        r"character_features\.backend is ctc \(29 symbols\), and .* with phones \(42 symbols\)$",
    ),
    "paper": ({}, lambda folder: changed(folder, lambda card: card.update(paper="maity")), "holds a system of maity"),
    "form": ({}, lambda folder: changed(folder, lambda card: card.update(form=99)), "is of form 99"),
    "version": ({}, of_another_version, r"does not fit this version \(Error.* load"),
    "no card": ({}, lambda folder: (folder / CARD).unlink(), r"holds no trained system: card\.yaml is missing"),
    "no weights": ({}, cut("audio_to_landmark.safetensors", 0), r"safetensors cannot be read \(Safetensor"),
    "half of the weights": ({}, cut("audio_to_landmark.safetensors", 5000), r"safetensors cannot be read \(Safetensor"),
    "half of the card": ({}, cut(CARD, 400), "is not whole|is not the card"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_does_not_fit_is_refused_in_one_line(fault, system, follow):
    changes, spoil, line = REFUSED[fault]
    stage = "sinha_audio_to_landmark"
    folder = system(stage)
    if spoil:
        spoil(folder)
    with pytest.raises(UserError, match=line) as refused:
        follow(stage, **init(stage, folder, **changes.get("sinha", {})))
    assert "\n" not in str(refused.value)


def test_a_card_that_was_broken_off_anywhere_is_refused(system):
    """However much of it is left, but for its last line's end."""
    folder = system("sinha_blink")
    whole = (folder / CARD).read_text()
    for size in range(0, len(whole.rstrip()) - 5, 397):
        (folder / CARD).write_text(whole[:size])
        with pytest.raises(UserError):
            initial(str(folder), "sinha", "blink")


def test_what_a_card_does_not_know_of_was_as_by_default():
    """Cards of systems from before frames could be composed say nothing of it: they were redrawn."""
    about = {"settings": {"image_size": 64, "width": 0.25, "audio_to_au": None}}
    before, now = Initial("chen_s", "end_to_end", Path("old"), about, {}, {}, {}, ""), Settings(64, 0.25, None)
    before.check(now, {}, "small")
    with pytest.raises(UserError, match=r"chen_s: compose is True, and that of end_to_end in .*old is False$"):
        before.check(replace(now, compose=True), {}, "small")
