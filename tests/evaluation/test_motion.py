import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.evaluation.motion import evaluate_motion, known, summarise_motion, velocity_error
from pipeline.features.landmarks import MOUTH


@pytest.fixture
def face():
    """Twenty frames of a face at random, 20 px between the eyes, whose mouth opens and closes."""
    rng = np.random.default_rng(0)
    still = rng.normal(32, 8, (68, 2))
    still[36:42] += np.array([22, 24]) - still[36:42].mean(axis=0)
    still[42:48] += np.array([42, 24]) - still[42:48].mean(axis=0)
    points = np.repeat(still[None], 20, axis=0)
    points[:, 65:68, 1] += 3 + 3 * np.sin(np.arange(20))[:, None]
    return points


def test_velocity_of_a_shifted_face_is_right_and_of_a_still_one_is_the_real_ones(face):
    assert velocity_error(face, face + np.array([5, -3])) == pytest.approx(0)
    still = np.repeat(face[:1], 20, axis=0)
    # Of the mouth's 20 points 3 move, by 3 |Δ sin|.
    assert velocity_error(face, still) == pytest.approx(3 * 3 / 20 * np.abs(np.diff(np.sin(np.arange(20)))).mean())
    assert np.isnan(velocity_error(face[:1], face[:1]))


def test_a_constant_offset_of_one_mouth_point_costs_distance_and_no_velocity(face):
    moved = face.copy()
    moved[:, MOUTH.start, 0] += 5
    figures = evaluate_motion(face, moved)
    assert figures["lmd"] == pytest.approx(0.475) and figures["lmd_iod"] == pytest.approx(0.475 / 20)
    assert figures["velocity_iod"] == pytest.approx(0) and figures["mouth_correlation"] == pytest.approx(1)


def test_the_truth_is_perfect_and_a_still_face_has_no_correlation(face):
    tracks = {"ground_truth": face, "static": face[:1].repeat(20, axis=0), "late": np.roll(face, 2, axis=0)}
    summary = {name: summarise_motion({"a": face}, {"a": track}, fps=25) for name, track in tracks.items()}
    assert summary["ground_truth"]["lmd"] == 0 and summary["ground_truth"]["mouth_correlation"] == 1
    assert summary["static"]["mouth_correlation"] is None and summary["static"]["blink_rate"] == 0
    assert summary["late"]["velocity_iod"] > summary["static"]["velocity_iod"] > 0


def test_predicted_landmarks_that_are_no_numbers_are_an_error(face):
    """A mean over clips would leave the clip out."""
    np.testing.assert_array_equal(known(face, "a clip", "a system"), face)
    face[7, 40, 1] = np.nan
    with pytest.raises(UserError, match="a clip by a system: a landmark of frame 7 is no number"):
        known(face, "a clip", "a system")
