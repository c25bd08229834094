import numpy as np
import pytest

from pipeline.features.smoothing import bridge_gaps, ground_truth_landmarks, transform_landmarks


def track(values):
    return np.broadcast_to(np.asarray(values, float)[:, None, None], (len(values), 68, 2))


def test_moving_average_of_an_impulse_is_five_fifths():
    impulse = np.zeros(11)
    impulse[5] = 1
    np.testing.assert_allclose(ground_truth_landmarks(track(impulse))[:, 0, 0], [0, 0, 0, *[0.2] * 5, 0, 0, 0])


def test_the_gaussian_falls_as_its_density_does():
    impulse = np.zeros(11)
    impulse[5] = 1
    smoothed = transform_landmarks(track(impulse))[:, 0, 0]
    assert smoothed.sum() == pytest.approx(1)
    assert smoothed[6] / smoothed[5] == pytest.approx(np.exp(-0.5))
    assert smoothed[8] == 0


def test_ends_are_padded_and_nothing_is_delayed():
    constant = track(np.full(3, 7.0))
    np.testing.assert_allclose(ground_truth_landmarks(constant), constant)
    ramp = track(np.arange(20.0))
    np.testing.assert_allclose(ground_truth_landmarks(ramp)[2:-2], ramp[2:-2])


def test_gaps_are_bridged_in_a_straight_line_and_ends_held():
    landmarks = track(np.array([0, 10.0, 0, 0, 40.0, 0])).copy()
    has_face = np.array([False, True, False, False, True, False])
    np.testing.assert_allclose(bridge_gaps(landmarks, has_face)[:, 5, 1], [10, 10, 20, 30, 40, 40])
