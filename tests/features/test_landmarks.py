import numpy as np
import pytest

from pipeline.features.landmarks import MIRRORED, lip_gap, mouth_opening


def test_opening_of_a_drawn_mouth():
    face = np.zeros((68, 2))
    face[36:42], face[42:48] = [0, 0], [10, 0]
    face[[61, 62, 63], 1], face[[67, 66, 65], 1] = -1, 2
    assert mouth_opening(face) == pytest.approx(0.3)
    assert mouth_opening(np.stack([face, 7 * face]))[1] == pytest.approx(0.3)


def test_the_gap_of_lips_has_a_sign_and_turns_with_the_face():
    face = np.zeros((68, 2))
    face[36:42], face[42:48] = [0, 0], [10, 0]
    face[[61, 62, 63], 1], face[[67, 66, 65], 1] = -1, 2
    crossed = face.copy()
    crossed[[61, 62, 63], 1], crossed[[67, 66, 65], 1] = 2, -1
    turned = face @ np.array([[0, 1], [-1, 0]])  # by a right angle
    assert [lip_gap(f) for f in (face, crossed, turned, 3 * face + 5)] == pytest.approx([0.3, -0.3, 0.3, 0.3])


def test_mirroring_twice_changes_nothing():
    assert np.array_equal(np.array(MIRRORED)[MIRRORED], np.arange(68))
