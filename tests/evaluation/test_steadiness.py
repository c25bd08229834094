import numpy as np
import pytest

from pipeline.evaluation.steadiness import STILL_SHARE, flicker, successive_deviation

RNG = np.random.default_rng(0)


def still(value=100, n=40):
    return np.full((n, 16, 16, 3), value, np.uint8)


def noisy(frames, sigma):
    return np.rint(frames + RNG.normal(0, sigma, frames.shape)).clip(0, 255).astype(np.uint8)


def test_noise_has_its_standard_deviation():
    """Rounding to whole grey levels adds 1/12 to the variance."""
    assert flicker(still(), noisy(still(), 5)) == pytest.approx(np.sqrt(25 + 1 / 12), rel=0.02)


def test_light_that_goes_up_and_down_from_frame_to_frame():
    """By ±4: differences of 8, and √(8² / 2)."""
    frames = still()
    frames[::2] += 4
    frames[1::2] -= 4
    assert flicker(still(), frames) == pytest.approx(8 / np.sqrt(2))


def test_a_still_photo_has_none_and_a_slow_change_hardly_any():
    assert flicker(noisy(still(), 5), still()) == 0
    drift = still() + np.arange(40, dtype=np.uint8)[:, None, None, None]
    assert flicker(still(), drift) == pytest.approx(1 / np.sqrt(2))


def test_what_moves_in_the_truth_does_not_count():
    """Its left half speaks. Whatever a system does there is not flicker; in the rest it is."""
    truth = still()
    truth[:, :, :8] = RNG.integers(0, 255, (40, 16, 8, 3))
    speaking, trembling = still(), still()
    speaking[:, :, :8] = RNG.integers(0, 255, (40, 16, 8, 3))
    trembling[:, :, 8:] = noisy(trembling[:, :, 8:], 6)
    assert flicker(truth, speaking) == 0
    assert flicker(truth, trembling) == pytest.approx(6, rel=0.05)


def test_of_noise_everywhere_the_stillest_pixels_are_looked_at():
    """A share of them, so that a camera's own noise is no threshold's matter."""
    truth = noisy(still(), 3)
    real = successive_deviation(truth)
    assert flicker(truth, truth) <= np.quantile(real, STILL_SHARE) < 3


def test_one_frame_flickers_not_and_is_not_steady():
    assert np.isnan(flicker(still(n=1), still(n=1)))
