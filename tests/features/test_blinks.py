import numpy as np
import pytest

from pipeline.features.blinks import blink_events, blink_statistics, find_blinks

OPEN, SHUT = 0.30, 0.10


def trace(n: int, *spans: tuple[int, int]) -> np.ndarray:
    """The aspect ratio of eyes that are open but for the spans (first frame, first frame after)."""
    ratio = np.full(n, OPEN)
    for start, stop in spans:
        ratio[start:stop] = SHUT
    return ratio


def test_statistics_of_a_trace_counted_by_hand():
    """4 s with blinks of 5 and 7 frames that begin 40 frames apart."""
    ratio = trace(100, (20, 25), (60, 67))
    assert blink_events(ratio, 25) == [(20, 25), (60, 67)]
    assert blink_statistics([ratio], 25) == pytest.approx(
        {"rate": 0.5, "duration": 0.24, "interval": 1.6, "n": 2, "n_intervals": 1}
    )


def test_the_frame_rate_does_not_matter():
    ratio = trace(100, (20, 25), (60, 67))
    assert blink_statistics([ratio.repeat(2)], 50) == pytest.approx(blink_statistics([ratio], 25))


def test_nor_does_how_wide_the_eyes_are():
    ratio = trace(100, (20, 25), (60, 67))
    assert blink_events(0.6 * ratio, 25) == blink_events(ratio, 25)


@pytest.mark.parametrize(
    ("frames", "blink"), [(1, False), (2, True), (12, True), (13, False)], ids=["40ms", "80ms", "480ms", "520ms"]
)
def test_a_blink_lasts_80_ms_to_half_a_second(frames, blink):
    assert bool(blink_events(trace(100, (40, 40 + frames)), 25)) == blink


def test_threshold_is_three_quarters_of_the_median():
    ratio = trace(50)
    ratio[10:14], ratio[30:34] = 0.76 * OPEN, 0.74 * OPEN
    assert blink_events(ratio, 25) == [(30, 34)]


def test_one_open_frame_does_not_split_a_blink_and_two_do():
    assert blink_events(trace(100, (40, 42), (43, 46)), 25) == [(40, 46)]
    assert blink_events(trace(100, (40, 42), (44, 47)), 25) == [(40, 42), (44, 47)]


def test_a_blink_cut_by_an_end_counts_but_has_no_duration():
    blinks = find_blinks([trace(50, (0, 3), (20, 24), (47, 50))], 25)
    assert blinks.counts.tolist() == [3]
    assert blinks.durations == pytest.approx([4 / 25])
    # From the second to the third; when the first began is not known.
    assert blinks.intervals == pytest.approx([27 / 25])


def test_the_rate_is_over_all_seconds_and_not_a_mean_of_clips():
    short, long = trace(25, (10, 14)), trace(75)
    assert blink_statistics([short, long], 25)["rate"] == pytest.approx(1 / 4)


def test_eyes_that_never_shut():
    statistics = blink_statistics([trace(50)], 25)
    assert statistics["rate"] == 0 and statistics["n"] == statistics["n_intervals"] == 0
    assert np.isnan(statistics["duration"]) and np.isnan(statistics["interval"])
