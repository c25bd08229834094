"""Trials on a small run: what nothing was changed about has the run's own figures."""

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.evaluation.evaluate import METRICS
from pipeline.evidence.trials import only, tried
from pipeline.report.comparison import row_figures
from pipeline.synthesis import drawn_frames


def as_it_is(system, clips, clip, seed):
    return drawn_frames(system, clips.crops[clip][0], clips.driving(clip, system), seed)


def still(system, clips, clip, seed):
    return np.repeat(clips.crops[clip][:1], len(clips.crops[clip]), axis=0)


def broken(system, clips, clip, seed):
    raise ValueError("no such clip")


CLIPS = ["one_a", "two_b"]


def test_what_nothing_was_changed_about_has_the_runs_own_figures(run):
    again, own = tried(run, ["sinha"], CLIPS, as_it_is, "as_it_is"), only(run, ["static", "sinha"], CLIPS)
    for clip in CLIPS:
        now, before = (of.metrics.loc[("sinha", clip), list(METRICS)].astype(float) for of in (again, own))
        np.testing.assert_allclose(now, before, atol=1e-6)
        for name in ("opening", "eyes", "true_eyes"):
            np.testing.assert_array_equal(*(getattr(of.measured["sinha"][clip], name) for of in (again, own)))
        counts = [np.stack(of.measured["sinha"][clip].action_units) for of in (again, own)]
        np.testing.assert_array_equal(*counts)
    assert [row.of for row in again.rows] == [row.of for row in run.rows] and list(again.clips.index) == CLIPS


def test_a_system_that_draws_the_photo_has_the_still_photos_figures(run):
    found = tried(run, ["sinha"], CLIPS, still, "still")
    figures = {row.of: row_figures(found, row, CLIPS) for row in found.rows}
    assert figures["sinha"]["lmd_share"].value == pytest.approx(100, abs=1e-3)
    assert figures["sinha"]["psnr"].value == pytest.approx(figures["static"]["psnr"].value, abs=1e-5)


def test_what_was_tried_is_not_made_again_and_another_way_to_draw_is(run, capfd):
    for draw, made in ((as_it_is, True), (as_it_is, False), (still, True)):
        capfd.readouterr()
        tried(run, ["sinha"], CLIPS, draw, "kept")
        assert ("2 clips in" in capfd.readouterr().out) == made


def test_a_clip_that_cannot_be_drawn_ends_in_one_line(run):
    with pytest.raises(UserError, match="failed"):
        tried(run, ["sinha"], CLIPS, broken, "broken")
