"""Difference maps and optical flow, of frames whose difference and motion are known."""

import colorsys

import cv2
import numpy as np
import pytest

from pipeline.evidence.motion_maps import about_mouth, difference_maps, differences, flow_maps, optical_flow


@pytest.fixture
def texture():
    """Soft spots of all sizes, larger than a frame."""
    noise = np.random.default_rng(0).normal(0, 1, (96, 96, 3))
    soft = sum(cv2.GaussianBlur(noise, (0, 0), sigma) * sigma for sigma in (1.5, 3, 6))
    return np.rint(127 + 90 * soft / np.abs(soft).max()).astype(np.uint8)


def test_equal_frames_differ_nowhere_and_others_where_they_do(texture):
    frames = np.stack([texture[:64, :64]] * 3)
    assert not difference_maps(differences(frames, frames)).any()
    other = frames.copy()
    other[1, 10:20, 30:40, 0] = 255 - other[1, 10:20, 30:40, 0] // 2
    found = differences(other, frames)
    changed = np.zeros((3, 64, 64), bool)
    changed[1, 10:20, 30:40] = True
    assert (found[~changed] == 0).all() and (difference_maps(found)[changed] > 0).any()
    by_hand = abs(int(other[1, 12, 33, 0]) - int(frames[1, 12, 33, 0])) / 3
    assert found[1, 12, 33] == pytest.approx(by_hand, abs=1e-4)


@pytest.mark.parametrize("right, down", [(2, 0), (0, -2), (-1, 1), (0, 0)])
def test_the_flow_of_a_shifted_picture_is_its_shift(texture, right, down):
    shifted = [texture[16 - k * down : 80 - k * down, 16 - k * right : 80 - k * right] for k in range(3)]
    flow = optical_flow(np.stack(shifted))
    assert flow.shape == (2, 64, 64, 2)
    inner = flow[:, 12:-12, 12:-12].reshape(-1, 2)
    np.testing.assert_allclose(np.median(inner, axis=0), (right, down), atol=0.1)
    assert (np.hypot(*(inner - (right, down)).T) < 0.3).mean() > 0.95


def test_the_colour_of_motion_is_its_direction_and_stillness_is_white():
    flow = np.zeros((1, 64, 64, 2), np.float32)
    flow[0, :, 16:32] = (3, 0)
    flow[0, :, 32:48] = (0, 3)
    flow[0, :, 48:] = (0.64, 0)  # half of what has a full colour
    picture = flow_maps(flow)
    assert (picture[0, :, :16] == 255).all()
    hues = {x: colorsys.rgb_to_hsv(*(picture[0, 5, x] / 255.0)) for x in (20, 40, 60)}
    assert hues[20][0] == pytest.approx(0, abs=0.01) and hues[40][0] == pytest.approx(0.25, abs=0.01)
    assert hues[20][1] == 1 and hues[60][1] == pytest.approx(0.5, abs=0.01)


def test_what_is_about_the_mouth_is_within_half_its_width():
    landmarks = np.full((2, 68, 2), np.nan)
    landmarks[0] = 5
    landmarks[0, 48:68] = (30, 40)
    landmarks[0, 48], landmarks[0, 54] = (20, 40), (40, 40)
    found = about_mouth(landmarks, 64)
    rows, columns = np.nonzero(found[0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (30, 50, 10, 50)
    assert not found[1].any()
