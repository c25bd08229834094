import json

import numpy as np
import pandas as pd
import pytest
import skimage.data

from pipeline.evaluation.evaluate import METRICS, evaluate_clip, evaluate_systems, intervals, signature, summarise
from pipeline.features.alignment import align_clip, template
from pipeline.features.landmarks import detect_face, predict_landmarks


@pytest.fixture(scope="module")
def crops():
    photo = skimage.data.astronaut()
    landmarks = predict_landmarks(photo, detect_face(photo))[None].repeat(6, axis=0)
    return align_clip(photo[None].repeat(6, axis=0), landmarks, template(landmarks[:1], 64, 0.3, 0.34), 64)[0]


def test_the_truth_has_the_best_score_and_a_shifted_clip_a_worse_one(crops):
    noisy = np.clip(crops + np.random.default_rng(0).normal(0, 8, crops.shape), 0, 255).astype(np.uint8)
    rows, openings = evaluate_systems(crops, {"ground_truth": crops, "noisy": noisy}, detection_size=256)
    best, worse = rows
    assert best["psnr"] > 58 and best["ssim"] == pytest.approx(1) and best["lmd"] == 0 and best["no_face"] == 0
    assert worse["psnr"] < 32 and worse["ssim"] < best["ssim"] and worse["lmd"] > 0
    assert openings["noisy"].shape == (6,)


def test_no_face_gives_none_and_is_counted(crops):
    grey = np.full_like(crops, 127)
    rows, _ = evaluate_systems(crops, {"grey": grey}, detection_size=256)
    assert rows[0]["no_face"] == 1 and np.isnan(rows[0]["lmd"])
    table = pd.DataFrame(rows)
    assert summarise(table)["grey"]["lmd"] is None
    json.dumps([summarise(table), intervals(table, 0, 100)], allow_nan=False)


def test_means_are_over_clips_and_have_six_digits():
    table = pd.DataFrame([{"system": "a"} | dict.fromkeys(METRICS, value) for value in (1 / 3, 1.0, np.nan)])
    assert summarise(table)["a"]["lmd"] == 0.666667


def test_lengths_that_differ_are_an_error(crops):
    landmarks = np.zeros((6, 68, 2))
    with pytest.raises(ValueError, match="generated"):
        evaluate_clip(crops, crops[:5], landmarks, landmarks[:5])


def test_the_signature_names_what_changes_the_figures():
    text = str(signature(64, 256))
    assert "64 px" in text and "256 px" in text and "dlib" in text
