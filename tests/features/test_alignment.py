import numpy as np
import pytest
from scipy.spatial import procrustes

from pipeline.features.alignment import (
    align_faces,
    align_landmarks,
    apply_similarity,
    box_template,
    box_transforms,
    crop_face,
    first_frame_transforms,
    fit_similarity,
    mean_face,
    per_frame_transforms,
    template,
)
from pipeline.features.landmarks import LEFT_EYE, MIRRORED, RIGHT_EYE, RIGID

RNG = np.random.default_rng(0)


def symmetrical_face():
    face = RNG.normal(0, 1, (68, 2))
    face[RIGHT_EYE, 0] -= 2
    face[LEFT_EYE, 0] += 2
    return (face + face[MIRRORED] * [-1, 1]) / 2


def similarity(scale, degrees, shift):
    a = scale * np.exp(1j * np.deg2rad(degrees))
    return np.array([[a.real, -a.imag, shift[0]], [a.imag, a.real, shift[1]]])


def test_mirrored_order_is_its_own_inverse():
    assert sorted(MIRRORED) == list(range(68))
    assert [MIRRORED[k] for k in MIRRORED] == list(range(68))
    assert MIRRORED[36] == 45 and MIRRORED[48] == 54 and MIRRORED[8] == 8 and MIRRORED[61] == 63


def test_a_similarity_is_recovered():
    points, matrix = RNG.normal(0, 5, (20, 2)), similarity(1.7, 25, (3, -4))
    np.testing.assert_allclose(fit_similarity(points, apply_similarity(matrix, points)), matrix, atol=1e-12)


def test_it_is_the_least_squares_solution_that_scipy_finds():
    a = RNG.normal(0, 1, (30, 2))
    # scipy scales b to unit norm and allows reflections; close to a, a rotation is the better of the two.
    b = a + 0.3 * RNG.normal(0, 1, (30, 2))
    residual = apply_similarity(fit_similarity(a, b), a) - b
    disparity = procrustes(b, a)[2]
    assert (residual**2).sum() / ((b - b.mean(0)) ** 2).sum() == pytest.approx(disparity)


def test_a_reflection_is_never_used():
    points = RNG.normal(0, 1, (10, 2))
    matrix = fit_similarity(points, points * [-1, 1])
    assert np.linalg.det(matrix[:, :2]) > 0


def test_the_mean_face_ignores_how_each_was_held():
    face = symmetrical_face()
    faces = [
        apply_similarity(similarity(s, d, t), face) for s, d, t in ((1, 0, (0, 0)), (2, 20, (5, 5)), (0.5, -30, (9, 1)))
    ]
    mean = mean_face(np.array(faces))
    np.testing.assert_allclose(mean, mean[MIRRORED] * [-1, 1], atol=1e-9)
    eyes = [mean[eye].mean(axis=0) for eye in (RIGHT_EYE, LEFT_EYE)]
    np.testing.assert_allclose(eyes, [[-0.5, 0], [0.5, 0]], atol=1e-9)
    assert procrustes(face, mean)[2] < 1e-12


def test_the_template_has_its_eyes_where_the_parameters_say():
    points = template(np.array([symmetrical_face()]), 64, eye_distance=0.3, eye_height=0.34)
    right, left = points[RIGHT_EYE].mean(axis=0), points[LEFT_EYE].mean(axis=0)
    np.testing.assert_allclose(left - right, [0.3 * 64, 0], atol=1e-9)
    np.testing.assert_allclose((left + right) / 2, [31.5, 0.34 * 64], atol=1e-9)


def test_only_rigid_points_decide():
    target = symmetrical_face() * 10
    talking = target.copy()
    talking[60:] += [0, 3]
    np.testing.assert_allclose(per_frame_transforms(talking[None], target)[0], similarity(1, 0, (0, 0)), atol=1e-9)
    assert not set(RIGID) & set(range(48, 68))


def test_a_point_of_the_image_lands_where_the_transform_says():
    """A bright dot, through crops that shrink and that enlarge."""
    for scale in (0.25, 0.5, 1.0, 2.0):
        image = np.zeros((200, 200, 3), np.uint8)
        image[98:103, 78:83] = 255
        matrix = similarity(scale, 10, (20, 5)) if scale > 1 else similarity(scale, 10, (30, 10))
        expected = apply_similarity(matrix, np.array([80.0, 100.0]))
        crop = crop_face(image, matrix, 256)[..., 0].astype(float)
        ys, xs = np.mgrid[:256, :256]
        found = np.array([(crop * xs).sum(), (crop * ys).sum()]) / crop.sum()
        np.testing.assert_allclose(found, expected, atol=0.12)


def test_shrinking_averages_instead_of_skipping_pixels():
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 200
    crop = crop_face(stripes, similarity(0.25, 0, (0, 0)), 48)
    assert np.abs(crop[:, 1:].astype(int) - 100).max() <= 2  # beyond the first column the border is repeated


def test_an_aligned_face_keeps_still_while_the_head_moves():
    face = symmetrical_face() * 20 + 100
    target = template(face[None], 64, 0.3, 0.34)
    t = np.linspace(0, 1, 12)
    moving = np.array([apply_similarity(similarity(1 + 0.02 * x, 4 * x, (5 * x, 3 * x)), face) for x in t])
    _, aligned = align_landmarks(moving, target)
    assert np.abs(aligned[3:-3] - target).max() < 0.15  # smoothing leaves a little at the ends


def test_the_first_frames_transform_is_kept_while_the_head_wanders():
    face = symmetrical_face() * 20 + 100
    target = template(face[None], 64, 0.3, 0.34)
    shifted = face + np.array([3.0, 0]) * np.arange(6)[:, None, None]
    transforms = first_frame_transforms(shifted, target)
    assert (transforms == transforms[0]).all()
    three = [np.array([f[36:42].mean(axis=0), f[42:48].mean(axis=0), f[27:36].mean(axis=0)]) for f in (face, target)]
    np.testing.assert_allclose(transforms[0], fit_similarity(*three))
    _, aligned = align_landmarks(np.array([face] * 8), target, "first_frame")
    np.testing.assert_allclose(aligned[0], apply_similarity(transforms[0], face), atol=1e-4)


def test_a_box_becomes_the_crop(portrait):
    """Its edges are the crop's: the first pixel of a box of 80 px lands, in a crop of 40, half a pixel before its first."""
    (matrix,) = box_transforms(np.array([[100, 50, 179, 129]]), 40)
    np.testing.assert_allclose(matrix[:, :2], np.eye(2) / 2)
    np.testing.assert_allclose(
        apply_similarity(matrix, np.array([[99.5, 49.5], [179.5, 129.5]])), [[-0.5] * 2, [39.5] * 2]
    )
    # The picture alone, as anybody would cut and shrink it.
    (matrix,) = box_transforms(np.array([[40, 60, 199, 219]]), 80)
    cut = portrait[60:220, 40:200].reshape(80, 2, 80, 2, 3).mean(axis=(1, 3))
    assert np.abs(crop_face(portrait, matrix, 80) - cut).max() <= 1


def test_a_box_that_is_no_square_lies_within_the_crop():
    (matrix,) = box_transforms(np.array([[10, 20, 29, 59]]), 40)
    np.testing.assert_allclose(apply_similarity(matrix, np.array([[19.5, 39.5]])), [[19.5, 19.5]])
    np.testing.assert_allclose(apply_similarity(matrix, np.array([[19.5, 19.5], [19.5, 59.5]]))[:, 1], [-0.5, 39.5])


def test_a_box_that_jumps_lets_the_crop_glide():
    """By 10 px once: no two frames are farther apart than 1/25 of it. What was not found is as its neighbours."""
    boxes = np.repeat([[100, 100, 179, 179]], 80, axis=0)
    boxes[40:] += [10, 0, 10, 0]
    places = box_transforms(boxes, 80)[:, 0, 2]
    steps = -np.diff(places)
    assert steps.max() == pytest.approx(10 / 25) and (steps > -1e-9).all() and steps.sum() == pytest.approx(10)
    boxes[[3, 50, 79]] = 0
    np.testing.assert_allclose(box_transforms(boxes, 80)[:, 0, 2], places)


def test_faces_by_boxes_are_not_turned_and_their_mean_is_the_template():
    face = symmetrical_face() * 10 + 140
    tilted = apply_similarity(similarity(1, 20, (40, -30)), face)
    boxes = np.repeat([[100, 100, 179, 179]], 5, axis=0)
    transforms, aligned = align_faces(np.repeat(tilted[None], 5, axis=0), boxes, None, "box", 112)
    expected = (tilted - 99.5) * 112 / 80 - 0.5
    np.testing.assert_allclose(aligned, np.repeat(expected[None], 5, axis=0), rtol=1e-6)
    assert (transforms[:, 0, 1] == 0).all()
    other = face + np.array([4, 0])
    mean = box_template([(track[None], boxes[:1]) for track in (face, other)], 112)
    np.testing.assert_allclose(mean, (face + np.array([2, 0]) - 99.5) * 112 / 80 - 0.5, rtol=1e-5)


def test_the_other_transforms_need_no_box():
    landmarks = np.repeat(symmetrical_face()[None] * 10, 4, axis=0)
    target = symmetrical_face()
    for transform in ("per_frame", "first_frame"):
        ours, theirs = (
            align_faces(landmarks, None, target, transform, 64),
            align_landmarks(landmarks, target, transform),
        )
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
