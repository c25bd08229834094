"""A drawn face whose parts are moved by known amounts."""

import numpy as np
import pytest

from pipeline.demo.motion import blink_track
from pipeline.features.action_units.geometry import MODELS, departures, landmark_action_units
from pipeline.features.action_units.units import AUS

FPS = 25.0
UNITS = {au: k for k, au in enumerate(AUS)}


def drawn_face():
    """68 points of a symmetrical face in eye distances, eyes' centres at (±0.5, 0), y downwards; the mouth is shut."""
    face = np.zeros((68, 2))
    angles = np.linspace(np.pi, 0, 17)
    face[:17] = np.stack([np.cos(angles), 1.7 * np.sin(angles)], axis=1)
    face[17:27, 0], face[17:27, 1] = np.r_[np.linspace(-0.8, -0.2, 5), np.linspace(0.2, 0.8, 5)], -0.3
    face[27:31, 1] = np.linspace(0, 0.5, 4)
    face[31:36] = np.stack([np.linspace(-0.2, 0.2, 5), np.full(5, 0.6)], axis=1)
    eye = np.array([[-0.15, 0], [-0.05, -0.06], [0.05, -0.06], [0.15, 0], [0.05, 0.06], [-0.05, 0.06]])
    face[36:42], face[42:48] = eye - np.array([0.5, 0]), eye + np.array([0.5, 0])
    face[48:55] = np.stack([np.linspace(-0.4, 0.4, 7), 1.0 - 0.08 * np.array([0, 0.6, 1, 0.9, 1, 0.6, 0])], axis=1)
    face[55:60] = np.stack([np.linspace(0.27, -0.27, 5), 1.0 + 0.1 * np.array([0.6, 1, 1, 1, 0.6])], axis=1)
    face[60:65, 0], face[60:65, 1] = np.linspace(-0.35, 0.35, 5), 1.0
    face[65:68, 0], face[65:68, 1] = [0.175, 0, -0.175], 1.0
    return face


def still(n_frames=60):
    return np.repeat(drawn_face()[None], n_frames, axis=0)


UPPER, LOWER, CHIN = [49, 50, 51, 52, 53, 61, 62, 63], [55, 56, 57, 58, 59, 65, 66, 67], range(4, 13)
NOW = slice(20, 30)  # when something moves
WHILE = slice(22, 28)  # when it does so after smoothing


def with_move(*moves):
    """A still clip but for NOW: each move is (points, axis, by)."""
    clip = still()
    for points, axis, by in moves:
        clip[NOW, list(points), axis] += by
    return clip


def blink(clip):
    for first in (36, 42):
        for upper, lower in ((first + 1, first + 5), (first + 2, first + 4)):
            clip[NOW, [upper, lower], 1] = clip[NOW, [upper, lower], 1].mean()
    return clip


MOVES = {
    10: [(UPPER, 1, -0.08)],
    20: [([48, 60], 0, -0.08), ([54, 64], 0, 0.08)],
    25: [(LOWER, 1, 0.12)],
    26: [(CHIN, 1, 0.15)],
}


def test_a_still_face_has_no_action():
    units = landmark_action_units(still(), FPS)
    assert units.intensity.shape == (60, 6) and not units.intensity.any() and not units.presence.any()
    assert (units.confidence == 1).all()


@pytest.mark.parametrize("au", MOVES)
def test_each_movement_raises_its_own_unit_while_it_lasts(au):
    units = landmark_action_units(with_move(*MOVES[au]), FPS)
    k = UNITS[au]
    assert units.presence[WHILE, k].all()
    assert not units.presence[:18, k].any() and not units.presence[32:, k].any()
    assert units.intensity[WHILE, UNITS[45]] == pytest.approx(0, abs=0.02)


def test_a_blink_raises_the_blink_only():
    units = landmark_action_units(blink(still()), FPS)
    assert units.presence[WHILE, UNITS[45]].all() and not units.presence[:, :5].any()
    closed = departures(blink(still()), FPS)["eye_closure"]
    assert closed[WHILE] == pytest.approx(1, abs=0.02)


def test_a_blink_of_five_frames_survives_the_smoothing():
    clip = still()
    clip[22:27] = blink(still())[NOW][:5]
    assert landmark_action_units(clip, FPS).presence[23:26, UNITS[45]].all()


def test_the_blinks_of_the_demo_corpus_are_found_through_a_detectors_rounding():
    """Whole pixels of a face with eyes 60 px apart, as dlib gives them."""
    rng = np.random.default_rng(0)
    found, true = [], []
    for _ in range(10):
        closed, _ = blink_track(75, rng)
        clip = still(75)
        for first in (36, 42):
            for upper, lower in ((first + 1, first + 5), (first + 2, first + 4)):
                clip[:, upper, 1] += closed * (clip[:, lower, 1] - clip[:, upper, 1])
        tremor = rng.normal(0, 0.5, clip.shape)
        found.append(landmark_action_units(np.rint(60 * clip + tremor + 150), FPS).presence[:, UNITS[45]])
        true.append(closed > 0)  # the threshold lies at a seventh of the way
    found, true = np.concatenate(found), np.concatenate(true)
    assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.8


def test_amounts_of_departure_are_eye_distances():
    moved = departures(with_move(*MOVES[25]), FPS)
    assert moved["lips_gap"][WHILE] == pytest.approx(0.12, abs=1e-6)
    moved = departures(with_move(*MOVES[26]), FPS)
    assert moved["jaw_drop"][WHILE] == pytest.approx(0.15, abs=1e-6)
    moved = departures(with_move(*MOVES[20]), FPS)
    assert moved["widening"][WHILE] == pytest.approx(0.16, abs=1e-6)


def test_intensities_grow_with_the_movement_up_to_five():
    peaks = [
        landmark_action_units(with_move((LOWER, 1, by)), FPS).intensity[25, UNITS[25]] for by in (0.05, 0.1, 0.2, 9.0)
    ]
    assert peaks[1] == pytest.approx(2 * peaks[0], rel=1e-3) and peaks[0] < peaks[2] < peaks[3] == 5


def test_head_motion_and_size_are_not_expressions():
    clip = blink(with_move(*(move for moves in MOVES.values() for move in moves)))
    expected = landmark_action_units(clip, FPS)
    time = np.arange(60)
    turn = 0.2 * np.sin(time / 9)
    rotation = np.stack([np.cos(turn), -np.sin(turn), np.sin(turn), np.cos(turn)], axis=1).reshape(60, 2, 2)
    scale = 80 * (1 + 0.1 * np.cos(time / 7))
    moved = scale[:, None, None] * (clip @ rotation.transpose(0, 2, 1)) + np.stack([time, 200 - time], axis=1)[:, None]
    units = landmark_action_units(moved, FPS)
    np.testing.assert_allclose(units.intensity, expected.intensity, atol=0.02)
    assert landmark_action_units(1000 * clip, FPS).intensity == pytest.approx(expected.intensity, abs=1e-4)


def test_another_neutral_face_is_neutral_too():
    """A mouth that hangs open throughout, and narrow eyes, are that person's rest."""
    clip = with_move(*MOVES[25])
    clip[:, LOWER, 1] += 0.1
    clip[:, [37, 38, 43, 44], 1] += 0.06
    units = landmark_action_units(clip, FPS)
    assert units.presence[WHILE, UNITS[25]].all() and not units.presence[:18].any()


def test_frames_without_a_face_are_missing_and_disturb_no_others():
    clip = with_move(*MOVES[25])
    gap = clip.copy()
    gap[40:45] = np.nan
    units = landmark_action_units(gap, FPS)
    assert np.flatnonzero(units.missing).tolist() == [40, 41, 42, 43, 44]
    assert not units.presence[40:45].any() and units.confidence[39:46].tolist() == [1, 0, 0, 0, 0, 0, 1]
    whole = landmark_action_units(clip, FPS)
    np.testing.assert_allclose(units.intensity[:40], whole.intensity[:40], atol=0.01)
    assert landmark_action_units(np.full((5, 68, 2), np.nan), FPS).missing.all()


def test_a_clip_of_one_frame():
    assert not landmark_action_units(still(1), FPS).intensity.any()


def test_every_unit_has_a_model():
    assert tuple(MODELS) == AUS
