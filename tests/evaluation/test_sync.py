import numpy as np
import pytest

from pipeline.evaluation.sync import LEAST_PAIRS, mouth_correlation, mouth_lag

OPENING = np.convolve(np.random.default_rng(0).random(90), np.ones(5) / 5, mode="valid")


@pytest.mark.parametrize("shift", [-6, 0, 3])
def test_a_shift_is_found_with_its_sign(shift):
    """Positive: the generated mouth is late."""
    truth, generated = OPENING[10:70], OPENING[10 - shift : 70 - shift]
    assert mouth_lag(truth, generated) == shift
    assert mouth_correlation(truth, generated, lag=shift) == pytest.approx(1)


def test_correlation_is_pearsons_and_knows_no_scale():
    a, b = OPENING[:50], OPENING[20:70]
    expected = ((a - a.mean()) * (b - b.mean())).mean() / (a.std() * b.std())
    assert mouth_correlation(a, 3 * b + 1) == pytest.approx(expected)
    assert mouth_correlation(a, -a) == pytest.approx(-1)


def test_a_still_mouth_has_no_correlation_and_no_lag():
    assert np.isnan(mouth_correlation(OPENING, np.full_like(OPENING, 0.2)))
    assert np.isnan(mouth_lag(OPENING, np.full_like(OPENING, 0.2)))


def test_a_lag_beyond_reach_is_not_found():
    assert abs(mouth_lag(OPENING[20:80], OPENING[:60], reach=15)) <= 15
    assert mouth_lag(OPENING[20:80], OPENING[:60], reach=20) == 20


def test_few_faces_are_not_compared():
    """Any two points lie on a line: chance must not pass for sync."""
    few = np.full_like(OPENING, np.nan)
    few[: LEAST_PAIRS - 1] = OPENING[: LEAST_PAIRS - 1]
    assert np.isnan(mouth_correlation(OPENING, few))
    few[LEAST_PAIRS - 1] = OPENING[LEAST_PAIRS - 1]
    assert mouth_correlation(OPENING, few) == pytest.approx(1)
    assert np.isnan(mouth_lag(OPENING, few))


def test_a_lag_is_found_where_faces_are_missing():
    truth, generated = OPENING[10:70].copy(), OPENING[7:67].copy()
    truth[::9], generated[4::9] = np.nan, np.nan
    assert mouth_lag(truth, generated) == 3


def test_frames_without_a_face_are_left_out():
    broken = OPENING.copy()
    broken[::7] = np.nan
    assert mouth_correlation(OPENING, broken) == pytest.approx(1)
    assert np.isnan(mouth_correlation(OPENING, np.full_like(OPENING, np.nan)))
