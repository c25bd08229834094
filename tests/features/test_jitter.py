import numpy as np
import pytest

from pipeline.features.jitter import blink_amplitude_kept, jitter
from pipeline.features.landmarks import inter_ocular_distance
from pipeline.features.smoothing import averaged
from tests.features.test_alignment import symmetrical_face

RNG = np.random.default_rng(0)


def face_with_eyes(opening):
    """Landmarks (T, 68, 2) whose eyes' aspect ratio is `opening` (T,): six points about two centres 60 px apart."""
    face = np.repeat((symmetrical_face() * 20)[None], len(opening), axis=0)
    for eye, x in ((slice(36, 42), -30), (slice(42, 48), 30)):
        across = np.array([-10, -4, 4, 10, 4, -4])
        up = np.array([0, -1, -1, 0, 1, 1])
        face[:, eye, 0] = x + across
        face[:, eye, 1] = np.asarray(opening)[:, None] * 10 * up
    return face


def test_trembling_is_measured_and_motion_is_not():
    t = np.arange(200)[:, None, None]
    steady = face_with_eyes(np.full(200, 0.3)) + 0.7 * t * [1.0, -0.4]
    assert jitter(steady) == pytest.approx(0, abs=1e-12)
    trembling = steady + RNG.normal(0, 0.5, steady.shape)
    # The second difference of white noise has 1 + 4 + 1 times its variance; the length of two such is a Rayleigh's.
    expected = 0.5 * np.sqrt(6) * np.sqrt(np.pi / 2) / inter_ocular_distance(steady).mean()
    assert jitter(trembling) == pytest.approx(expected, rel=0.03)
    assert np.isnan(jitter(steady[:2]))


def test_frames_without_a_face_are_left_out():
    """A frame is missing, and with it the three accelerations that it takes part in: what is left trembles as before."""
    trembling = face_with_eyes(np.full(400, 0.3)) + RNG.normal(0, 0.5, (400, 68, 2))
    broken = trembling.copy()
    broken[::10] = np.nan
    assert jitter(broken) == pytest.approx(jitter(trembling), rel=0.05)
    assert np.isnan(jitter(np.full((10, 68, 2), np.nan)))


def test_smoothing_takes_the_trembling_away():
    noise = face_with_eyes(np.full(200, 0.3)) + RNG.normal(0, 0.5, (200, 68, 2))
    # A mean of five then second differences: (x[t+3] − x[t+2] − x[t−2] + x[t−3]) / 5, of variance 4/25 instead of 6.
    ratio = jitter(averaged(noise)[5:-5]) / jitter(noise)
    assert ratio == pytest.approx(np.sqrt(4 / 25 / 6), rel=0.05)


def test_a_blink_of_five_frames_loses_what_a_mean_of_five_takes():
    opening = np.full(60, 0.3)
    opening[20:25] = [0.2, 0.1, 0.0, 0.1, 0.2]
    raw = face_with_eyes(opening)
    # The deepest of the means of five is 0.12: 0.18 of a depth of 0.3 is left.
    assert blink_amplitude_kept(raw, averaged(raw), 25) == pytest.approx(0.6)
    assert np.isnan(blink_amplitude_kept(face_with_eyes(np.full(60, 0.3)), raw, 25))
