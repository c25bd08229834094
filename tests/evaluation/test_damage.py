"""What is planted is what it is said to be; what the picture is drawn from says who notices it."""

import cv2
import numpy as np
import pandas as pd
import pytest

from pipeline.evaluation.damage import (
    COLUMNS,
    DAMAGES,
    FLOOR,
    Real,
    blinking_longer,
    delayed,
    draw,
    flickering,
    hidden,
    mouth_frozen,
    never_blinking,
    shaking,
    somebody_else,
    tinted,
    unmoved,
)
from pipeline.evaluation.evaluate import METRICS, POOLED
from pipeline.features.landmarks import MOUTH
from tests.features.test_jitter import face_with_eyes

RNG = np.random.default_rng(0)
# Shut in frames 10 to 14, most in 12.
OPENING = np.full(40, 0.3)
OPENING[10:15] = [0.12, 0.08, 0.02, 0.08, 0.12]


@pytest.fixture(scope="module")
def real():
    """A made-up clip whose frames are told apart by their grey: frame t is 50 + 3t everywhere."""
    landmarks = face_with_eyes(OPENING) * 0.6 + [64, 40]
    angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    landmarks[:, MOUTH] = np.stack([64 + 12 * np.cos(angles), 95 + 5 * np.sin(angles)], axis=1)
    landmarks[:, 4:13] = np.stack([np.linspace(45, 83, 9), np.full(9, 112)], axis=1)
    grey = (50 + 3 * np.arange(40)).astype(np.uint8)
    crops = np.broadcast_to(grey[:, None, None, None], (40, 128, 128, 3)).copy()
    return Real(crops, landmarks.astype(np.float32), np.full((7, 128, 128, 3), 9, np.uint8))


def shown(frames, places):
    """Which frame is seen at places (T, 2), x and y."""
    x, y = np.rint(places).astype(int).T
    return (frames[np.arange(len(frames)), y, x, 0].astype(int) - 50) / 3


def test_the_frozen_mouth_is_the_first_frames_and_the_eyes_go_on(real):
    frames = mouth_frozen(real)
    assert shown(frames, real.landmarks[:, MOUTH].mean(axis=1)) == pytest.approx(np.zeros(40), abs=0.5)
    assert shown(frames, real.landmarks[:, 36:42].mean(axis=1)) == pytest.approx(np.arange(40))


def test_eyes_that_never_blink_are_the_first_frames_and_the_mouth_goes_on(real):
    frames = never_blinking(real)
    assert shown(frames, real.landmarks[:, 36:42].mean(axis=1)) == pytest.approx(np.zeros(40), abs=0.5)
    assert shown(frames, real.landmarks[:, MOUTH].mean(axis=1)) == pytest.approx(np.arange(40))


def test_a_longer_blink_rests_at_its_middle(real):
    seen = shown(blinking_longer(real), real.landmarks[:, 36:42].mean(axis=1))
    expected = [*range(13), 12, 12, 12, 12, 13, 14, *range(19, 40)]
    assert seen == pytest.approx(expected, abs=0.5)


def test_damage_of_whole_frames(real):
    assert shown(delayed(real), np.full((40, 2), 64)).tolist() == [0, 0, 0, *range(37)]
    assert (somebody_else(real) == 9).all()
    change = tinted(real).astype(int) - real.crops
    assert change.mean(axis=(0, 1, 2)).tolist() == [12, 0, -12]
    steps = (flickering(real).astype(int) - real.crops).mean(axis=(1, 2, 3))
    assert steps.std() == pytest.approx(4, rel=0.3)
    assert [np.ptp(frame[20:]) == 0 and frame[60, 60, 0] == 127 for frame in hidden(real)[:4]] == [
        True,
        False,
        False,
        True,
    ]


def test_a_shaking_frame_is_moved_by_about_a_pixel():
    dot = np.zeros((60, 128, 128, 3), np.uint8)
    dot[:, 60:67, 60:67] = 200
    frames = shaking(Real(dot, np.zeros((60, 68, 2)), dot))
    moments = [cv2.moments(frame[..., 0]) for frame in frames]
    places = np.array([[m["m10"] / m["m00"], m["m01"] / m["m00"]] for m in moments])
    assert (places - 63).std(axis=0) == pytest.approx([1, 1], rel=0.3)


def table(**changes):
    """All as the truth's, 1, re-encoded 1.1; but for changes: damage → {metric: value}."""
    rows = pd.DataFrame(1.0, index=list(DAMAGES), columns=list(COLUMNS))
    rows.loc[FLOOR] = 1.1
    for damage, values in changes.items():
        for metric, value in values.items():
            rows.loc[next(name for name in DAMAGES if name.startswith(damage)), metric] = value
    return rows


def test_who_does_not_notice_is_named():
    """What re-encoding does as well is no notice; what is undefined where the truth is not is one."""
    every = {(name, metric) for name, damage in DAMAGES.items() for metric in damage.meant}
    assert set(unmoved(table())) == every
    noticed = table(blurred={"cpbd": 0.7, "psnr": 0.95}, tinted={"ssim": np.nan})
    assert every - set(unmoved(noticed)) == {("blurred, σ 1 px", "cpbd"), ("tinted, ±12", "ssim")}


def test_every_metric_stands_in_the_picture_and_damage_is_meant_for_metrics_that_exist(tmp_path):
    assert (*METRICS, *POOLED) == COLUMNS
    assert {metric for damage in DAMAGES.values() for metric in damage.meant} <= set(COLUMNS)
    draw(table(), tmp_path / "metrics.png")
    assert cv2.imread(str(tmp_path / "metrics.png")).shape[1] > 1000
