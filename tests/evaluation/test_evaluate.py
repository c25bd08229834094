import json

import cv2
import numpy as np
import pandas as pd
import pytest
import skimage.data

from pipeline.evaluation.evaluate import (
    METRICS,
    counts,
    evaluate_clip,
    evaluate_systems,
    intervals,
    signature,
    summarise,
)
from pipeline.evaluation.landmark import detect_landmarks
from pipeline.features.alignment import align_landmarks, crop_faces, template
from pipeline.features.detection import detect_face, predict_landmarks
from pipeline.features.landmarks import MOUTH, inter_ocular_distance


@pytest.fixture(scope="module")
def crops():
    photo = skimage.data.astronaut()
    landmarks = predict_landmarks(photo, detect_face(photo))[None].repeat(6, axis=0)
    transforms, _ = align_landmarks(landmarks, template(landmarks[:1], 64, 0.3, 0.34))
    return crop_faces([photo] * 6, transforms, 64)


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


def test_metrics_are_means_over_the_frames_with_faces():
    """The mouth is 10 % too large where there is a face: LMD is 0.1 of its mean radius, in pixels or eye distances."""
    rng = np.random.default_rng(0)
    frames = np.zeros((12, 16, 16, 3), np.uint8)
    truth = 8 + rng.normal(0, 3, (68, 2)) + rng.normal(0, 0.1, (12, 68, 2))
    generated, mouth = truth.copy(), truth[:, MOUTH]
    mean = mouth.mean(axis=1, keepdims=True)
    generated[:, MOUTH] = mean + 1.1 * (mouth - mean)
    generated[:2], truth[11] = np.nan, np.nan
    metrics = evaluate_clip(frames, frames, truth, generated)
    lmd = 0.1 * np.linalg.norm(mouth - mean, axis=-1)[2:11].mean()
    assert metrics["lmd"] == pytest.approx(lmd)
    assert metrics["lmd_iod"] == pytest.approx(lmd / np.nanmedian(inter_ocular_distance(truth)))
    assert metrics["no_face"] == pytest.approx(2 / 12)


def test_a_still_clip_has_no_correlation(crops):
    """`static` repeats a frame: null in files, not NaN, and not nought."""
    truth = np.stack([np.roll(crops[0], k % 3, axis=0) for k in range(12)])
    metrics = evaluate_clip(truth, truth[:1].repeat(12, axis=0))
    table = pd.DataFrame([{"system": "static", **metrics}])
    assert summarise(table)["static"]["mouth_correlation"] is summarise(table)["static"]["mouth_lag"] is None
    assert counts(table)["static"]["mouth_lag"] == 0 and counts(table)["static"]["lmd"] == 1


def test_landmarks_are_detected_unless_given_and_always_alike(crops):
    blurred = np.stack([cv2.GaussianBlur(crop, (0, 0), 1) for crop in crops])
    once = evaluate_clip(crops, blurred)
    given = evaluate_clip(crops, blurred, detect_landmarks(crops))
    assert list(once) == list(METRICS)
    np.testing.assert_equal(given, once)


def test_means_are_over_clips_and_have_six_digits():
    table = pd.DataFrame([{"system": "a"} | dict.fromkeys(METRICS, value) for value in (1 / 3, 1.0, np.nan)])
    assert summarise(table)["a"]["lmd"] == 0.666667
    assert counts(table)["a"]["lmd"] == 2
    low, high = intervals(table, seed=0)["a"]["lmd"]
    assert (low, high) == (0.333333, 1)


def test_systems_are_resampled_alike():
    values = np.random.default_rng(0).normal(size=20)
    rows = [{"system": s} | dict.fromkeys(METRICS, v + d) for s, d in (("a", 0), ("b", 5)) for v in values]
    result = intervals(pd.DataFrame(rows), seed=0, samples=100)
    assert np.subtract(result["b"]["lmd"], result["a"]["lmd"]) == pytest.approx([5, 5], abs=1e-4)


def test_one_frame_more_is_cut_off_and_two_are_an_error(crops):
    whole = np.stack([np.roll(crops[0], k, axis=0) for k in range(6)])
    for truth, generated in ((whole, whole[:5]), (whole[:5], whole)):
        metrics = evaluate_clip(truth, generated)
        assert metrics["lmd"] == 0 and metrics["psnr"] > 58
    with pytest.raises(ValueError, match="generated"):
        evaluate_clip(whole, whole[:4])


def test_sizes_that_differ_are_an_error(crops):
    with pytest.raises(ValueError, match="generated"):
        evaluate_clip(crops, crops[:, :32, :32])


def test_the_signature_names_what_changes_the_figures():
    text = str(signature(64, 256))
    assert "64 px" in text and "256 px" in text and "dlib" in text
