import numpy as np
from scipy.signal import savgol_filter

from pipeline.features.smoothing import averaged, bridge_gaps, for_transforms, steadied


def track(values):
    return np.broadcast_to(np.asarray(values, float)[:, None, None], (len(values), 68, 2))


def test_moving_average_of_an_impulse_is_five_fifths():
    impulse = np.zeros(11)
    impulse[5] = 1
    np.testing.assert_allclose(averaged(track(impulse))[:, 0, 0], [0, 0, 0, *[0.2] * 5, 0, 0, 0])


def test_transforms_come_from_a_mean_of_five_and_a_gaussian_of_five():
    impulse = np.zeros(15)
    impulse[7] = 1
    gaussian = np.exp([-2, -0.5, 0, -0.5, -2])
    expected = np.convolve(np.ones(5) / 5, gaussian / gaussian.sum())
    np.testing.assert_allclose(for_transforms(track(impulse))[3:12, 0, 0], expected)


def test_networks_learn_a_savitzky_golay_filtered_track():
    noise = np.random.default_rng(0).normal(size=(30, 68, 2))
    np.testing.assert_allclose(steadied(noise), savgol_filter(noise, 7, 4, axis=0, mode="nearest"), atol=1e-6)


def test_syllables_stay_for_the_networks_and_not_for_the_average():
    """A mouth that opens five times a second, at 25 frames a second."""
    t = np.arange(100)
    syllables = track(np.sin(2 * np.pi * 5 * t / 25))
    assert np.ptp(averaged(syllables)[5:-5]) < 1e-9
    assert np.ptp(steadied(syllables)[5:-5]) > 0.9 * np.ptp(syllables)


def test_ends_are_padded_and_nothing_is_delayed():
    constant = track(np.full(3, 7.0))
    np.testing.assert_allclose(averaged(constant), constant)
    ramp = track(np.arange(20.0))
    np.testing.assert_allclose(averaged(ramp)[2:-2], ramp[2:-2])


def test_gaps_are_bridged_in_a_straight_line_and_ends_held():
    landmarks = track(np.array([0, 10.0, 0, 0, 40.0, 0])).copy()
    has_face = np.array([False, True, False, False, True, False])
    np.testing.assert_allclose(bridge_gaps(landmarks, has_face)[:, 5, 1], [10, 10, 20, 30, 40, 40])
