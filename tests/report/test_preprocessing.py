import numpy as np
import pytest

from pipeline.report.preprocessing import sync_check

RNG = np.random.default_rng(0)


def clips(lag, n_clips=12, n_frames=60, noise=0.3):
    """Mouths that follow the sound by `lag` frames, more or less."""
    for _ in range(n_clips):
        loudness = np.convolve(RNG.normal(size=n_frames + 40), np.ones(4) / 4, "same")
        mouth = np.roll(loudness, lag) + noise * RNG.normal(size=len(loudness))
        yield mouth[20 : 20 + n_frames], loudness[20 : 20 + n_frames + 3]


@pytest.mark.parametrize("lag", [-6, -1, 0, 3, 8])
def test_a_planted_lag_is_found(lag):
    result = sync_check(clips(lag))
    assert result["lag"] == lag and result["correlation"] > 0.7 and result["clips"] == 12


def test_mouths_that_do_not_follow_the_sound_do_not_correlate():
    unrelated = ((RNG.normal(size=60), RNG.normal(size=60)) for _ in range(40))
    assert sync_check(unrelated)["correlation"] < 0.2


def test_still_mouths_and_short_clips_are_left_out():
    still = (np.zeros(60), RNG.normal(size=60))
    short = (RNG.normal(size=9), RNG.normal(size=9))
    assert sync_check([still, short]) == {"clips": 0, "correlation": None, "lag": None}
    assert sync_check([still, *clips(2, n_clips=3)])["clips"] == 3
