"""ATVGnet's Fig. 4: noise between the halves of a cascade, and examples by the angle of the head."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pipeline.evidence.frames import held_out, rows_of_frames, shown_clips
from pipeline.features.landmarks import inter_ocular_distance
from pipeline.papers import cascade
from pipeline.papers.atvgnet import evidence
from pipeline.papers.atvgnet.evidence import angle, at_rest, examples, posed, with_noise
from pipeline.papers.interface import Drawn
from pipeline.synthesis import drawn_frames, seed_of
from pipeline.systems.system import load_system
from tests.made_up_corpus import ROOT


@pytest.fixture(scope="session")
def shipped():
    """A cascade, as ATVGnet is one."""
    return load_system(ROOT / "pretrained" / "sinha")


def test_without_noise_a_clip_is_what_the_system_draws(run, shipped):
    clips = held_out(run, "sinha")
    seed = seed_of("one_a", 0)
    own = drawn_frames(shipped, clips.crops["one_a"][0], clips.driving("one_a", shipped), seed)
    np.testing.assert_array_equal(with_noise(shipped, clips, "one_a", seed, sigma=0.0), own)
    np.testing.assert_array_equal(posed(shipped, clips, "one_a", seed, {"one_a": ("one_a", 0)}), own)


@pytest.mark.parametrize("sigma", [0.01, 0.08])
def test_the_noise_has_the_deviation_that_was_asked_for(run, shipped, sigma):
    """Of the landmarks that reach the second half, about those that the first half made; the same noise every time."""
    clips, reached = held_out(run, "sinha"), []

    def draw(photo, photo_landmarks, landmarks):
        reached.append(landmarks)
        yield Drawn(photo)

    listening = replace(shipped, frames=partial(cascade.frames, shipped.landmarks, draw))
    for _ in range(2):
        with_noise(listening, clips, "two_a", 5, sigma=sigma)
    spoken = shipped.landmarks(clips.driving("two_a", shipped), 5)
    noise = (reached[0] - spoken) / inter_ocular_distance(clips.landmarks("two_a")[0])
    assert noise.std() == pytest.approx(sigma, rel=0.05) and abs(noise.mean()) < sigma / 20
    np.testing.assert_array_equal(*reached)


def head(degrees, mouth=0.1, eyes=0.1):
    """Landmarks of a head turned by so much, seen from afar; its nose is half a jaw's width in front."""
    space = np.zeros((68, 3))
    space[[0, 16], 0] = -1, 1
    space[30, 2] = 1
    for first, x in ((36, -0.5), (42, 0.5)):
        space[first : first + 6, 0] = x + 0.1 * np.array([-1, -0.3, 0.3, 1, 0.3, -0.3])
        space[first : first + 6, 1] = eyes * np.array([0, -1, -1, 0, 1, 1])
    space[[61, 62, 63], 1], space[[65, 66, 67], 1] = 1 - mouth, 1 + mouth
    turn = np.radians(degrees)
    return 30 * np.stack([space[:, 0] * np.cos(turn) + space[:, 2] * np.sin(turn), space[:, 1]], axis=1) + 32


@pytest.mark.parametrize("degrees", [-40, 0, 3, 25])
def test_the_angle_of_a_head_that_was_turned(degrees):
    assert angle(head(degrees)) == pytest.approx(degrees, abs=1e-6)


def turned(**clips):
    """Test clips of people who turn so, frame by frame; then once more with open mouths."""
    table = pd.DataFrame({"subject": {clip: clip[0] for clip in clips}})
    landmarks = {
        clip: np.stack([head(degrees) for degrees in turns] + [head(degrees, mouth=0.4) for degrees in turns])
        for clip, turns in clips.items()
    }
    return SimpleNamespace(table=table, landmarks=landmarks.__getitem__)


def test_examples_go_from_one_side_to_the_other_through_the_persons_other_clips():
    clips = turned(a1=[0, 1, 2], a2=[-20, 5], a3=[10, -4, 30], b1=[-60, 60])
    found = [examples(clips, ["a1"], pose)["a1"] for pose in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert found == [("a2", 0), ("a3", 1), ("a2", 1), ("a3", 0), ("a3", 2)]
    # Who has no other clip is his own example.
    assert examples(clips, ["b1"], 1.0) == {"b1": ("b1", 1)}


def test_examples_have_open_eyes_and_no_open_mouth():
    frames = [head(0), head(0, eyes=0.01), head(0, mouth=0.4), head(0), head(0)]
    assert at_rest(np.stack(frames)) == [0, 3, 4]


def test_rows_of_frames_are_the_truth_and_the_systems(run):
    """Clips of two people, below each other: each a row of the truth and one of the system, of 96 px, with a gap."""
    clips = shown_clips(run)
    assert [run.clips.loc[clip, "subject"] for clip in clips] == ["one", "two"]
    sheet = rows_of_frames(run, ["sinha"], clips, step=10, n_frames=2)
    assert sheet.shape[0] == 2 * (2 * 96 + 12)
    # But for the first, the photo, the small run's real frames are the system's own.
    np.testing.assert_array_equal(sheet[:96, -96:], sheet[96:192, -96:])


@pytest.mark.slow
def test_figure_4_of_a_cascade(run, tmp_path, monkeypatch):
    """Noise costs quality; a head's own photo does not: the run's real clips are what the system draws of it."""
    for name, value in {"SYSTEM": "sinha", "SIGMAS": (0.04,), "POSES": (0.5,)}.items():
        monkeypatch.setattr(evidence, name, value)
    noisy = evidence.noise_on_landmarks(run, tmp_path)
    ((title, rows),) = noisy.tables.items()
    assert title == "Unseen sentences of one (2 clips)" and [row["system"] for row in rows] == ["0 %", "4 %"]
    clean, moved = (float(row["PSNR (dB) ↑"].split()[0]) for row in rows)
    assert clean > moved + 3
    other = evidence.pose_of_the_example(run, tmp_path)
    assert {path.name for path in tmp_path.glob("*.png")} == {*noisy.pictures, *other.pictures}
    ((_, (row,)),) = other.tables.items()
    assert row["system"].startswith("50 % (") and row["system"].endswith("°)")
