"""Systems whose papers redraw the face, composing instead: from the training's settings through the card to the whole photo."""

from importlib import import_module

import cv2
import numpy as np
import pytest
import torch
import yaml

from pipeline.corpus.about import write_about
from pipeline.papers.interface import Driving
from pipeline.papers.registry import PAPER_OF, module
from pipeline.synthesis import save_maps
from pipeline.systems.card import make_system
from pipeline.systems.system import load_system
from pipeline.training.trained import CARD, fields_of, save_network
from pipeline.whole_photo import composed
from tests.training.test_recipe import SHORT, corpus  # noqa: F401 (a fixture)

# System → its training, and where in its paper's parameters `compose` stands.
SYSTEMS = {
    "chen_s": ("end_to_end", ("end_to_end", "compose")),
    "kesim_erzin_speech_landmark": ("speech_landmark", ("compose",)),
    "maity": ("end_to_end", ("compose",)),
}
SIZE, N = 64, 7


@pytest.fixture
def exported(corpus, parameters, tmp_path):  # noqa: F811
    """The folder of an untrained system, as the stages make it: exported("maity", compose=True)."""

    def made(name, compose):
        paper, (training, path) = PAPER_OF[name], SYSTEMS[name]
        change = compose
        for key in reversed((paper, *path)):
            change = {key: change}
        told = {"training": training} if paper == "kesim_erzin" else {}
        make = import_module(module(paper, training)).recipe
        recipe = make(parameters(**{"chen_s": SHORT["chen_s"]} | change), corpus, **told)
        torch.manual_seed(0)
        generator = recipe.objective(recipe.phases[-1].weights).generator
        about = {"settings": fields_of(recipe.settings), "preprocessing": recipe.store.preprocessing, "key": "0123"}
        write_about(corpus / "clips", layout="folder")
        save_network(corpus / "trained" / paper / training, generator.state_dict(), about)
        make_system(name, corpus, tmp_path / "system")
        return tmp_path / "system"

    return made


@pytest.fixture
def drawn():
    """What a system draws of a photo at random, from all that could drive it: photo, landmarks, frames."""
    rng = np.random.default_rng(0)
    photo, landmarks = rng.integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8), rng.uniform(16, 48, (N, 68, 2))
    mel, mfcc = (rng.normal(0, 0.3, (k * N, n)).astype(np.float32) for k, n in ((3, 60), (4, 12)))
    speech = rng.integers(-9000, 9000, N * 320).astype(np.int16)
    driving = Driving(N, landmarks[0], mel=mel, mfcc=mfcc, waveform_8000=speech, emotion="HAP", landmarks=landmarks)
    return lambda system: (photo, landmarks[0], list(system.frames(photo, driving, 0)))


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_composing_system_comes_back_composing(name, exported, drawn, tmp_path):
    """Frames are what their maps say; in a whole photo nothing else moves; and the maps can be looked at."""
    photo, landmarks, frames = drawn(load_system(exported(name, compose=True)))
    assert len(frames) == N
    for frame in frames:
        change = frame.change[..., None] / 255
        np.testing.assert_allclose(frame.image, change * frame.colour + (1 - change) * photo, atol=2)
    whole = np.pad(photo, ((20, 20), (20, 20), (0, 0)))
    there = np.array([[1.0, 0, -20], [0, 1, -20]])
    for image in composed(whole, there, photo, landmarks, frames, whole_face=True):
        outside = np.ones(whole.shape[:2], bool)
        outside[20:-20, 20:-20] = False
        assert np.array_equal(image[outside], whole[outside])
    save_maps(tmp_path / "maps.png", frames)
    assert cv2.imread(str(tmp_path / "maps.png")).shape == (3 * SIZE, 2 * SIZE, 3)


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_card_from_before_there_was_composition_still_loads(name, exported, drawn):
    folder = exported(name, compose=False)
    *_, frames = drawn(load_system(folder))
    card = yaml.safe_load((folder / CARD).read_text())
    (about,) = card["networks"].values()
    assert about["settings"].pop("compose") is False
    (folder / CARD).write_text(yaml.safe_dump(card))
    *_, again = drawn(load_system(folder))
    for frame, other in zip(frames, again, strict=True):
        assert frame.change is frame.colour is None
        np.testing.assert_array_equal(frame.image, other.image)
