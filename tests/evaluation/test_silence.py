import math

import numpy as np
import pandas as pd
import pytest

from pipeline.evaluation.silence import METRICS, compare_silence, distance_from_photo, mouth_motion, summarise_silence
from tests.features.test_jitter import face_with_eyes

N = 8
FACE = face_with_eyes([0.3])[0]


def faces(gaps):
    """Faces with eyes 60 px apart whose three pairs of inner lips lie `gaps` px apart, the lower lip moving alone."""
    landmarks = np.repeat(FACE[None], len(gaps), axis=0)
    landmarks[:, 61:64] = [[-5, 50], [0, 50], [5, 50]]
    landmarks[:, [67, 66, 65]] = landmarks[:, 61:64]
    landmarks[:, 65:68, 1] += np.asarray(gaps, float)[:, None]
    return landmarks


def test_a_mouth_that_opens_and_shuts_deviates_by_half_its_way():
    """0 and 6 px in turn: a deviation of 3 px, of eyes 60 px apart."""
    assert mouth_motion(faces([0, 6] * N)) == pytest.approx(3 / 60)
    assert mouth_motion(faces([4] * N)) == pytest.approx(0, abs=1e-12)


def test_a_mouth_that_is_shut_at_once_is_still_but_not_the_photos():
    """Three of 20 points 6 px higher: moved to the same mean, 17 points are off by 0.9 px and 3 by 5.1."""
    open_photo = faces([6])[0]
    shut = faces([0] * N)
    assert mouth_motion(shut) == pytest.approx(0, abs=1e-12)
    assert distance_from_photo(shut, open_photo) == pytest.approx((17 * 0.9 + 3 * 5.1) / 20)
    assert distance_from_photo(faces([6] * N), open_photo) == pytest.approx(0, abs=1e-9)


def test_frames_without_a_face_are_left_out():
    landmarks = faces([0, 6, 0, 6])
    with_gaps = np.concatenate([landmarks, np.full((3, 68, 2), np.nan)])
    assert mouth_motion(with_gaps) == mouth_motion(landmarks)
    assert distance_from_photo(with_gaps, landmarks[0]) == distance_from_photo(landmarks, landmarks[0])
    nothing = np.full((3, 68, 2), np.nan)
    assert math.isnan(mouth_motion(nothing)) and math.isnan(distance_from_photo(nothing, landmarks[0]))
    assert math.isnan(distance_from_photo(landmarks, nothing[0]))


def test_silence_stands_beside_speech():
    found = compare_silence(faces([0])[0], faces([0, 2]), faces([0, 6]))
    assert found["silence_motion"] == pytest.approx(found["speech_motion"] / 3)
    assert found["silence_lmd"] == pytest.approx(found["speech_lmd"] / 3)
    without = compare_silence(faces([0])[0], None, faces([0, 6]))
    assert math.isnan(without["silence_lmd"]) and without["speech_lmd"] == found["speech_lmd"]


def test_means_are_over_photos():
    rows = [{"system": "a"} | dict.fromkeys(METRICS, value) for value in (1 / 3, 1.0)]
    rows.append({"system": "ground_truth"} | dict.fromkeys(METRICS, np.nan))
    summary = summarise_silence(pd.DataFrame(rows))
    assert summary["a"] == dict.fromkeys(METRICS, 0.666667)
    assert summary["ground_truth"]["silence_motion"] is None
