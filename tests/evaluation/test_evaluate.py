import json

import cv2
import numpy as np
import pandas as pd
import pytest
import skimage.data

from pipeline.errors import UserError
from pipeline.evaluation.evaluate import (
    METRICS,
    POOLED,
    UNDEFINED,
    Clip,
    action_unit_details,
    check,
    compare,
    counts,
    evaluate_clip,
    intervals,
    measure,
    pooled_intervals,
    pooled_metrics,
    set_metrics,
    signature,
    summarise,
    summarise_split,
)
from pipeline.evaluation.landmark import detect_landmarks
from pipeline.features.alignment import align_landmarks, crop_faces, template
from pipeline.features.detection import detect_face, predict_landmarks
from pipeline.features.landmarks import MOUTH, inter_ocular_distance
from tests.features.test_jitter import face_with_eyes

# One face, whose eyes' aspect ratio alone differs.
OPEN_EYES, SHUT_EYES = face_with_eyes([0.3, 0.05])
TEMPLATE = np.random.default_rng(3).normal(32, 10, (68, 2))


@pytest.fixture(scope="module")
def crops():
    photo = skimage.data.astronaut()
    landmarks = predict_landmarks(photo, detect_face(photo))[None].repeat(6, axis=0)
    transforms, _ = align_landmarks(landmarks, template(landmarks[:1], 64, 0.3, 0.34))
    return crop_faces([photo] * 6, transforms, 64)


def evaluated(generated):
    clips = {system: Clip(frames, detect_landmarks(frames)) for system, frames in generated.items()}
    return {system: compare(clips["ground_truth"], clip, TEMPLATE, fps=25) for system, clip in clips.items()}


def test_the_truth_has_the_best_score_and_a_shifted_clip_a_worse_one(crops):
    noisy = np.clip(crops + np.random.default_rng(0).normal(0, 8, crops.shape), 0, 255).astype(np.uint8)
    measured = evaluated({"ground_truth": crops, "noisy": noisy})
    best, worse = (measured[system].metrics for system in ("ground_truth", "noisy"))
    assert best["psnr"] > 58 and best["ssim"] == pytest.approx(1) and best["lmd"] == 0 and best["no_face"] == 0
    assert worse["psnr"] < 32 and worse["ssim"] < best["ssim"] and worse["lmd"] > 0
    assert best["nlmd"] == 0 < worse["nlmd"]
    # Noise of 8 grey levels, seen in pixels that are still in the truth, and rounded.
    assert best["flicker"] == 0 and worse["flicker"] == pytest.approx(8, rel=0.1)
    assert best["jitter"] == 0 < worse["jitter"]
    assert measured["noisy"].opening.shape == (6,)
    assert all((table[np.arange(6) != 5] >= 0).all() for table in measured["noisy"].action_units)


def test_no_face_gives_none_and_is_counted(crops):
    grey = np.full_like(crops, 127)
    measured = evaluated({"ground_truth": crops, "grey": grey})["grey"]
    assert measured.metrics["no_face"] == 1 and np.isnan(measured.metrics["lmd"])
    assert pooled_metrics([measured], fps=25) == dict.fromkeys(POOLED)
    table = pd.DataFrame([{"system": "grey"} | measured.metrics])
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
    metrics = evaluate_clip(frames, frames, TEMPLATE, truth, generated)
    lmd = 0.1 * np.linalg.norm(mouth - mean, axis=-1)[2:11].mean()
    assert metrics["lmd"] == pytest.approx(lmd)
    assert metrics["lmd_iod"] == pytest.approx(lmd / np.nanmedian(inter_ocular_distance(truth)))
    assert metrics["no_face"] == pytest.approx(2 / 12)


def test_a_still_clip_has_no_correlation(crops):
    """`static` repeats a frame: null in files, not NaN, and not nought."""
    truth = np.stack([np.roll(crops[0], k % 3, axis=0) for k in range(12)])
    metrics = evaluate_clip(truth, truth[:1].repeat(12, axis=0), TEMPLATE)
    table = pd.DataFrame([{"system": "static", **metrics}])
    assert summarise(table)["static"]["mouth_correlation"] is summarise(table)["static"]["mouth_lag"] is None
    assert counts(table)["static"]["mouth_lag"] == 0 and counts(table)["static"]["lmd"] == 1


def test_landmarks_are_detected_unless_given_and_always_alike(crops):
    blurred = np.stack([cv2.GaussianBlur(crop, (0, 0), 1) for crop in crops])
    once = evaluate_clip(crops, blurred, TEMPLATE)
    given = evaluate_clip(crops, blurred, TEMPLATE, detect_landmarks(crops))
    assert list(once) == list(METRICS)
    np.testing.assert_equal(given, once)


def made_up(n=12, moving=True):
    """Landmarks (n, 68, 2) in 16 px whose mouth opens and shuts, and black frames that they are of."""
    track = 8 + np.random.default_rng(4).normal(0, 3, (68, 2)) + np.random.default_rng(5).normal(0, 0.1, (n, 68, 2))
    if not moving:
        track[:] = track[0]
    return Clip(np.zeros((n, 16, 16, 3), np.uint8), track)


def planted(metric, truth, generated):
    """Check what is measured of a clip with NaN in the place of a metric."""
    metrics = evaluate_clip(truth.frames, generated.frames, TEMPLATE, *(clip.landmarks for clip in (truth, generated)))
    measured = measure(metrics | {metric: np.nan}, truth.landmarks, generated.landmarks, 25)
    return check(measured, truth, generated, "a clip", "a system")


@pytest.fixture
def no_embedding(monkeypatch):
    """Black frames have none."""
    monkeypatch.setattr("pipeline.evaluation.evaluate.identity", lambda *args: 1.0)


@pytest.mark.parametrize("metric", METRICS)
def test_nan_where_a_metric_is_defined_is_an_error_that_names_clip_and_metric(metric, no_embedding):
    with pytest.raises(UserError, match=f"a clip by a system: {metric} is nan"):
        planted(metric, made_up(), made_up())


def without_faces(clip, frames):
    landmarks = clip.landmarks.copy()
    landmarks[frames] = np.nan
    return clip._replace(landmarks=landmarks)


@pytest.mark.parametrize(
    ("truth", "generated", "undefined"),
    [
        (made_up(), without_faces(made_up(), slice(None)), set(UNDEFINED) - {"flicker"}),
        # No three frames in a row; eight of twelve with a face, of ten that a correlation needs.
        (made_up(), without_faces(made_up(), slice(2, None, 3)), {"jitter", "mouth_correlation", "mouth_lag"}),
        # Eleven faces are enough for a correlation, and are less than half.
        (made_up(24), without_faces(made_up(24), slice(0, 13)), {"mouth_lag"}),
        (made_up(), made_up(moving=False), {"mouth_correlation", "mouth_lag"}),
        (without_faces(made_up(), 0), made_up(), {"identity"}),
        (made_up(1), made_up(1), {"flicker", "jitter", "mouth_correlation", "mouth_lag"}),
    ],
)
def test_a_metric_may_be_undefined_for_its_own_reasons_only(truth, generated, undefined, no_embedding):
    for metric in METRICS:
        try:
            planted(metric, truth, generated)
            passed = True
        except UserError as error:
            passed = f" {metric} is nan" not in str(error)
        assert passed == (metric in undefined), metric


def test_a_face_with_a_landmark_that_is_no_number_is_an_error(no_embedding):
    """The frame would be left out of means without a word."""
    truth, generated = made_up(), made_up()
    generated.landmarks[3, 40, 0] = np.nan
    with pytest.raises(UserError, match="a landmark of generated frame 3 is no number"):
        check(compare(truth, generated, TEMPLATE, 25), truth, generated, "a clip", "a system")


def test_what_is_infinite_is_an_error_too(no_embedding):
    truth = made_up()
    measured = compare(truth, truth, TEMPLATE, 25)
    with pytest.raises(UserError, match="jitter is inf"):
        check(measured._replace(metrics=measured.metrics | {"jitter": np.inf}), truth, truth, "a clip", "a system")


def test_sets_are_compared_over_all_clips_and_their_number_stands_beside():
    """Features of two clips: the generated ones lie 3 to one side. One clip alone has too few."""
    rng = np.random.default_rng(0)
    still = speaking(0)
    sides = [rng.normal(size=(n, 2)) for n in (1, 30)]
    clips = [
        measure({}, still, still, 25)._replace(features={"fid": (real, real + np.array([3, 0]))}) for real in sides
    ]
    assert set_metrics(clips) == {"fid": (pytest.approx(9, rel=1e-5), 31)}
    assert set_metrics(clips[:1]) == {"fid": (None, 1)}
    table = pd.DataFrame(
        {"clip": clip, "system": "a", "subject": "s", "emotion": "NEU", "sentence": "t", "lpips": 0.5}
        | dict.fromkeys(METRICS, 1.0)
        for clip in "bc"
    )
    figures = summarise_split(table, {"a": clips}, 25, 0, 20, "crop", 256, {"fid": "by a file"})
    assert figures["means"]["a"]["fid"] == pytest.approx(9, rel=1e-5) and figures["n"]["a"]["fid"] == 31
    assert figures["means"]["a"]["lpips"] == 0.5 and figures["n"]["a"]["lpips"] == 2
    assert figures["intervals"]["a"]["fid"] is None and figures["signature"]["fid"] == "by a file"
    without = summarise_split(
        table.drop(columns="lpips"), {"a": [measure({}, still, still, 25)] * 2}, 25, 0, 20, "", 256, {}
    )
    assert not {"lpips", "fid", "fvd"} & {*without["means"]["a"], *without["n"]["a"], *without["signature"]}


def speaking(opening, shut_eyes=slice(0, 0)):
    """Two seconds whose lower lip and jaw fall twice by `opening` px, of eyes 60 px apart that are shut in some frames."""
    landmarks = np.repeat(OPEN_EYES[None], 50, axis=0)
    landmarks[shut_eyes] = SHUT_EYES
    down = np.repeat([0, 1, 0, 1, 0], 10)[:, None] * opening
    landmarks[:, [*range(3, 14), *range(55, 60), *range(65, 68)], 1] += down
    return landmarks


def test_action_units_and_blinks_are_pooled_over_clips():
    """Two of three clips speak as the truth does, one is still; the truth blinks once in six seconds, for 0.2 s."""
    truth = [speaking(20, slice(20, 25)), speaking(20), speaking(20)]
    generated = [truth[0], truth[1], speaking(0)]
    same = pooled_metrics([measure({}, t, t, 25) for t in truth], 25)
    assert same["au_f1"] == same["au_accuracy"] == 1
    assert same["blink_rate"] == pytest.approx(1 / 6, rel=1e-5) and same["blink_duration"] == 0.2
    clips = [measure({}, t, g, 25) for t, g in zip(truth, generated, strict=True)]
    found = pooled_metrics(clips, 25)
    # Of the frames in which lips part, two thirds are found and none is invented: F1 = 2 · 2 / (2 · 2 + 1).
    assert action_unit_details(clips)["f1"]["AU25"] == pytest.approx(0.8)
    assert 0.5 < found["au_f1"] < 1
    low, high = pooled_intervals(clips, seed=0, samples=200)["au_f1"]
    assert low < found["au_f1"] <= high == 1
    assert pooled_intervals(clips, seed=0, samples=200)["blink_rate"] is None


def test_blinks_are_compared_with_the_truth_as_distributions():
    """The truth shuts its eyes for 5 frames, twice, 20 frames apart; the generated clip for 3, with as much between them."""
    truth, generated = (speaking(20), speaking(20))
    truth[[*range(10, 15), *range(30, 35)]] = SHUT_EYES
    generated[[*range(10, 13), *range(30, 33)]] = SHUT_EYES
    found = pooled_metrics([measure({}, truth, generated, 25)], 25)
    assert found["blink_distance"] == pytest.approx(2 / 25) and found["blink_interval"] == pytest.approx(20 / 25)
    assert pooled_metrics([measure({}, truth, truth, 25)], 25)["blink_distance"] == 0
    assert pooled_metrics([measure({}, truth, speaking(20), 25)], 25)["blink_distance"] is None
    # A frame more on either side is cut off.
    assert pooled_metrics([measure({}, truth, generated[:-1], 25)], 25)["blink_distance"] == found["blink_distance"]


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
        metrics = evaluate_clip(truth, generated, TEMPLATE)
        assert metrics["lmd"] == 0 and metrics["psnr"] > 58
    with pytest.raises(ValueError, match="generated"):
        evaluate_clip(whole, whole[:4], TEMPLATE)


def test_sizes_that_differ_are_an_error(crops):
    with pytest.raises(ValueError, match="generated"):
        evaluate_clip(crops, crops[:, :32, :32], TEMPLATE)


def test_at_its_own_size_a_clip_is_what_it_is(crops):
    """With one size for all, the table at a common size is that of the systems' own."""
    clip = Clip(crops, detect_landmarks(crops))
    assert clip.at(64) is clip


@pytest.mark.parametrize("size", [32, 128])
def test_at_another_size_distances_are_so_much_smaller_or_larger_and_shares_are_the_same(crops, size):
    truth = Clip(crops, detect_landmarks(crops))
    landmarks = truth.landmarks.copy()
    landmarks[:, 60] += [3, 0]
    generated = Clip(np.clip(crops.astype(int) + 20, 0, 255).astype(np.uint8), landmarks)
    own = compare(truth, generated, TEMPLATE, 25).metrics
    other = compare(truth.at(size), generated.at(size), TEMPLATE, 25).metrics
    assert other["lmd"] == pytest.approx(own["lmd"] * size / 64) and own["lmd"] > 0.1
    for metric in ("lmd_iod", "nlmd", "no_face", "mouth_correlation", "mouth_lag"):
        np.testing.assert_allclose(other[metric], own[metric], rtol=1e-9)


def test_landmarks_stay_on_what_they_mark_at_any_size():
    """A bright dot, whose place is the landmark: pixel centres lie at whole numbers."""
    for size in (32, 128, 160):
        frames = np.zeros((1, 64, 64, 3), np.uint8)
        frames[0, 22:27, 40:45] = 250
        clip = Clip(frames, np.full((1, 68, 2), [42.0, 24.0])).at(size)
        weights = clip.frames[0, ..., 0].astype(float)
        rows, columns = np.mgrid[:size, :size]
        centre = [(weights * columns).sum() / weights.sum(), (weights * rows).sum() / weights.sum()]
        np.testing.assert_allclose(clip.landmarks[0, 0], centre, atol=0.1)
        assert clip.frames.shape == (1, size, size, 3)


def test_the_signature_names_what_changes_the_figures():
    text = str(signature("small: 64 px, per_frame", 256))
    assert "64 px" in text and "256 px" in text and "dlib" in text
