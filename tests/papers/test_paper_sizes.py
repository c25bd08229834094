"""Every network as its paper has it, by `make profile NAME=paper`: its own crops, its own widths; one training step of each."""

import numpy as np
import pytest
import torch

from benchmarks.paper_sizes import NAMES, at_paper_size, begin, write_corpus
from pipeline import parameters
from pipeline.training import runner

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


# Of the six made-up clips.
LENGTHS = range(14, 20)


@pytest.fixture
def p(tmp_path):
    """As the profile leaves params.yaml, but for FEW."""
    return parameters.load(at_paper_size(tmp_path, FEW))


def test_each_paper_has_its_own_size_and_transform(p):
    chosen = {paper: p.faces[getattr(p, paper).faces] for paper in SIZES}
    assert {paper: faces.image_size for paper, faces in chosen.items()} == SIZES
    assert {paper: faces.transform for paper, faces in chosen.items()} == TRANSFORMS
    assert {getattr(p, paper).width for paper in SIZES} == {1}


@pytest.mark.parametrize("name", NAMES)
def test_a_step_is_taken(name, p, tmp_path):
    """The whole objective: every term is finite, and the generator moves."""
    write_corpus(tmp_path, p, LENGTHS)
    recipe, phase, objective, networks = begin(name, p, tmp_path, "cpu", "32-true")
    assert recipe.store.preprocessing.get("image_size", SIZES[NAMES[name][0]]) == SIZES[NAMES[name][0]]
    before = networks.weights("generator")
    terms, _ = runner.learn(objective, networks, phase, [next(recipe.batches.epoch(recipe.seed, 0))])
    assert terms and all(values.isfinite().all() for values in terms.values())
    moved = [not torch.equal(before[name], weights) for name, weights in networks.weights("generator").items()]
    assert np.mean(moved) > 0.5
