import numpy as np
import pytest

from pipeline.evaluation.sync import LEAST_PAIRS, mouth_correlation, mouth_lag

OPENING = np.convolve(np.random.default_rng(0).random(90), np.ones(5) / 5, mode="valid")


@pytest.mark.parametrize("shift", [-6, 0, 3])
def test_a_shift_is_found_with_its_sign(shift):
    """Positive: the generated mouth is late."""
    truth, generated = OPENING[10:70], OPENING[10 - shift : 70 - shift]
    assert mouth_lag(truth, generated) == shift
    assert (mouth_correlation(truth, generated) == pytest.approx(1)) == (shift == 0)


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


def test_a_breath_before_the_sentence_is_no_lag():
    """The real mouth opens for 0.4 s before it speaks, the generated one does not: but for noise they are in time.

    By Pearson's correlation of the pairs that are left at each lag, clips are best without these frames, and more go astray.
    """

    def by_pearson(a, b):
        n = len(a)
        lags = range(-15, 16)
        return max(lags, key=lambda k: np.corrcoef(a[max(0, -k) : n - max(0, k)], b[max(0, k) : n - max(0, -k)])[0, 1])

    rng, ours, pearson = np.random.default_rng(4), [], []
    for _ in range(60):
        speech = np.convolve(rng.random(75), np.hanning(9) / 4, mode="same")
        speech[:12] = speech[-12:] = 0
        generated = speech + np.convolve(rng.normal(0, 0.3, 75), np.hanning(7) / 3, mode="same")
        truth = speech + 0.7 * (np.arange(75) < 10)
        ours.append(mouth_lag(truth, generated))
        pearson.append(by_pearson(truth, generated))
    in_time, in_time_by_pearson = (np.mean(np.abs(lags) <= 1) for lags in (ours, pearson))
    assert in_time > 0.9 > in_time_by_pearson and np.median(ours) == 0


def test_frames_without_a_face_are_left_out():
    broken = OPENING.copy()
    broken[::7] = np.nan
    assert mouth_correlation(OPENING, broken) == pytest.approx(1)
    assert np.isnan(mouth_correlation(OPENING, np.full_like(OPENING, np.nan)))
