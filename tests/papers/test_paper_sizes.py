"""Every network as its paper has it, by `make profile NAME=paper`: its own crops, its own widths; one training step of each."""

import shutil
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from pipeline.corpus.about import read_about, write_about
from pipeline.corpus.shards import in_shards, write_shards
from pipeline.papers.chen_s.action_units import AUClassifier, AUClassifierSettings, AudioToAU, AudioToAUSettings
from pipeline.papers.registry import TRAININGS, module
from pipeline.parameters import Loader, Parameters
from pipeline.profiles import apply_profile
from pipeline.training import runner
from pipeline.training.machine import machine_for
from pipeline.training.trained import fields_of, save_network
from tests.made_up_corpus import ROOT, merged
from tests.training.test_recipe import corpus  # noqa: F401 (a fixture)

pytestmark = pytest.mark.slow

# What the papers say (docs/papers.md); Sinha's is not stated.
SIZES = {"kesim_erzin": 64, "atvgnet": 128, "sinha": 128, "chen_s": 112, "maity": 128}
TRANSFORMS = {
    "kesim_erzin": "per_frame",
    "atvgnet": "per_frame",
    "sinha": "per_frame",
    "chen_s": "box",
    "maity": "first_frame",
}
# A step of a few frames: clips are short here, and so is patience.
FEW = {
    "kesim_erzin": {"excerpt_frames": 5},
    "atvgnet": {
        "audio_to_landmark": {"excerpt_frames": 4, "batch": 2},
        "landmark_to_texture": {"excerpt_frames": 3, "batch": 2},
    },
    "sinha": {"blink": {"steps": 8, "batch": 16}, "landmark_to_texture": {"excerpt_frames": 3}},
    "chen_s": {
        "audio_to_au": {"excerpt_frames": 4, "batch": 2},
        "au_classifier": {"frames": 3, "batch": 2},
        "end_to_end": {"excerpt_frames": 3, "batch": 2},
    },
    "maity": {"excerpt_frames": 3, "batch": 1},
}


@pytest.fixture
def p(tmp_path_factory):
    """As the profile leaves params.yaml, but for FEW."""
    params = tmp_path_factory.mktemp("profile") / "params.yaml"
    shutil.copy(ROOT / "params.yaml", params)
    apply_profile(ROOT / "profiles" / "paper.yaml", params)
    return Parameters.model_validate(merged(yaml.load(params.read_text(), Loader), FEW))


@pytest.fixture
def at_paper_size(corpus, p):  # noqa: F811
    """The made-up clips in the crops of the profile, and Chen S.'s pre-trained networks at their full width."""
    clips = pd.read_parquet(corpus / "clips" / "clips.parquet")["clip"]
    small = corpus / "alignment" / "small"
    for name, faces in p.faces.items():
        folder, size, rng = corpus / "alignment" / name, faces.image_size, np.random.default_rng(0)
        shutil.copytree(small, folder)
        shutil.rmtree(folder / "crops")
        crops = {c: rng.integers(0, 255, (14 + k, size, size, 3), np.uint8) for k, c in enumerate(clips)}
        write_shards(folder / "crops", ((clip, crops[clip]) for clip in in_shards(crops)))
        write_about(folder, **read_about(small) | dict(faces))
    kinds = {
        "audio_to_au": (AudioToAU, AudioToAUSettings(1.0)),
        "au_classifier": (AUClassifier, AUClassifierSettings(112, 1.0)),
    }
    for name, (kind, settings) in kinds.items():
        about = {"settings": fields_of(settings), "occurrence": [0.5] * 5}
        save_network(corpus / "trained" / "chen_s" / name, kind(settings).state_dict(), about)
    return corpus


def test_each_paper_has_its_own_size_and_transform(p):
    chosen = {paper: p.faces[getattr(p, paper).faces] for paper in SIZES}
    assert {paper: faces.image_size for paper, faces in chosen.items()} == SIZES
    assert {paper: faces.transform for paper, faces in chosen.items()} == TRANSFORMS
    assert {getattr(p, paper).width for paper in SIZES} == {1}


@pytest.mark.parametrize(("paper", "training"), TRAININGS)
def test_a_step_is_taken(paper, training, at_paper_size, p):
    """The whole objective: every term is finite, and the generator moves."""
    told = {"training": training} if TRAININGS[paper, training].module else {}
    recipe = import_module(module(paper, training)).recipe(p, at_paper_size, **told)
    assert recipe.store.preprocessing.get("image_size", SIZES[paper]) == SIZES[paper]
    phase = recipe.phases[-1]
    objective = recipe.objective(phase.weights)
    networks = runner.Networks(machine_for("cpu", "32-true"), objective, recipe, phase)
    before = networks.weights("generator")
    terms, _ = runner.learn(objective, networks, phase, [next(recipe.batches.epoch(recipe.seed, 0))])
    assert terms and all(values.isfinite().all() for values in terms.values())
    moved = [not torch.equal(before[name], weights) for name, weights in networks.weights("generator").items()]
    assert np.mean(moved) > 0.5
