import math

import numpy as np
import pytest

from pipeline.evaluation.action_units import Counts, bootstrap_scores, count, pooled, score
from pipeline.features.action_units.units import AUS, ActionUnits


def units(missing=(), **by_unit):
    """ActionUnits with presences such as au25="11001000"; the others are absent."""
    n = len(next(iter(by_unit.values())))
    presence = np.zeros((n, 6), bool)
    for name, bits in by_unit.items():
        presence[:, AUS.index(int(name[2:]))] = [bit == "1" for bit in bits]
    intensity = np.zeros((n, 6), np.float32)
    intensity[list(missing)] = np.nan
    return ActionUnits(intensity, presence, np.ones(n, np.float32))


def scores(*pairs):
    return score(pooled([count(truth, generated) for truth, generated in pairs]))


def test_by_hand():
    """TP 2, FP 1, FN 1, TN 4: F1 4/6, accuracy 6/8."""
    found = scores((units(au25="11001000"), units(au25="10011000")))
    assert found.f1[25] == pytest.approx(2 / 3) and found.accuracy[25] == 0.75
    assert found.mean_f1 == pytest.approx(2 / 3) and found.n_frames == 8
    assert found.absent == (10, 14, 20, 26, 45)
    assert math.isnan(found.f1[10]) and math.isnan(found.accuracy[10])


def test_equal_sides_score_one_and_opposite_ones_nought():
    truth = units(au10="0101", au26="1100")
    assert scores((truth, truth)).mean_f1 == scores((truth, truth)).mean_accuracy == 1
    opposite = units(au10="1010", au26="0011")
    assert scores((truth, opposite)).mean_f1 == scores((truth, opposite)).mean_accuracy == 0


def test_clips_are_pooled_before_f1():
    """One clip perfect with 8 of 10 present, one whose only present frame is missed: 16/17, not the mean of 1 and 0."""
    pairs = [(units(au25="1111111100"), units(au25="1111111100")), (units(au25="0000000001"), units(au25="0000000000"))]
    assert scores(*pairs).f1[25] == pytest.approx(0.9412, abs=5e-5)


def test_frames_missing_on_either_side_do_not_count():
    truth, generated = units(au25="1100"), units(au25="1010")
    expected = scores((units(au25="11"), units(au25="10")))
    for pair in (
        (units(missing=[2, 3], au25="1100"), generated),
        (truth, units(missing=[2, 3], au25="1010")),
        (units(missing=[2], au25="1100"), units(missing=[3], au25="1010")),
    ):
        found = scores(pair)
        assert (found.f1[25], found.accuracy[25], found.n_frames) == (expected.f1[25], expected.accuracy[25], 2)


def test_the_blink_is_scored_but_not_in_the_mean():
    found = scores((units(au25="1100", au45="1100"), units(au25="1100", au45="0011")))
    assert found.f1[45] == 0 and found.mean_f1 == 1


def test_only_invented_units_have_no_f1():
    found = scores((units(au14="0000"), units(au14="0110")))
    assert math.isnan(found.f1[14]) and math.isnan(found.mean_f1) and math.isnan(found.mean_accuracy)


def test_no_clips_at_all():
    found = score(pooled([]))
    assert found.n_frames == 0 and found.absent == AUS and math.isnan(found.mean_f1)


def test_one_frame_more_is_cut_off_and_two_are_an_error():
    assert scores((units(au25="110"), units(au25="11"))).n_frames == 2
    with pytest.raises(ValueError, match=r"4 frames.* 2"):
        count(units(au25="1100"), units(au25="11"))


def test_counts_add_up_to_the_frames():
    rng = np.random.default_rng(0)
    truth, generated = (
        ActionUnits(np.zeros((50, 6), np.float32), rng.random((50, 6)) < 0.3, np.ones(50, np.float32)) for _ in range(2)
    )
    counts = count(truth, generated)
    assert isinstance(counts, Counts) and (sum(counts) == 50).all()
    assert (counts.true_positives + counts.false_negatives == truth.presence.sum(axis=0)).all()


def test_intervals_of_equal_clips_are_points_and_of_unequal_ones_hold_the_pooled_score():
    clip = count(units(au25="11001000"), units(au25="10011000"))
    for low, high in bootstrap_scores([clip] * 5, samples=50, seed=0).values():
        assert low == high == pytest.approx(2 / 3) or low == high == 0.75
    perfect = count(units(au25="1100"), units(au25="1100"))
    low, high = bootstrap_scores([clip, perfect] * 10, samples=500, seed=0)["mean_f1"]
    assert low < score(pooled([clip, perfect])).mean_f1 < high <= 1


def test_where_no_unit_occurs_there_is_no_interval():
    clip = count(units(au25="0000"), units(au25="0110"))
    assert np.isnan(list(bootstrap_scores([clip] * 4, samples=20, seed=0).values())).all()
    assert np.isnan(list(bootstrap_scores([clip], samples=20, seed=0).values())).all()
