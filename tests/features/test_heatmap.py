import numpy as np
import pytest

from pipeline.features.heatmap import landmark_heatmaps


def lone_point(x, y):
    landmarks = np.full((1, 68, 2), -1000.0)
    landmarks[0, 0] = x, y
    return landmarks


@pytest.mark.parametrize("sigma", [1.0, 2.0])
def test_it_falls_to_exp_minus_half_at_sigma(sigma):
    image = landmark_heatmaps(lone_point(20, 30), 64, sigma)[0]
    assert image[30, 20] == 255
    assert image[30, 20 + int(sigma)] == image[30 + int(sigma), 20] == round(255 * np.exp(-0.5))


def test_a_point_between_pixels_shares_itself_out():
    image = landmark_heatmaps(lone_point(20.5, 30), 64, 1.0)[0]
    assert image[30, 20] == image[30, 21] == round(255 * np.exp(-0.125))


def test_points_are_joined_by_the_maximum():
    landmarks = lone_point(20, 30)
    landmarks[0, 1] = 20, 30
    np.testing.assert_array_equal(landmark_heatmaps(landmarks, 64, 1.0), landmark_heatmaps(lone_point(20, 30), 64, 1.0))


def test_points_outside_leave_no_trace():
    assert not landmark_heatmaps(lone_point(-50, 500), 64, 1.0).any()
