"""Lips drawn as ellipses, whose boundaries are known exactly: an outer one, and the open mouth in it."""

import numpy as np
import pytest

from pipeline.features.alignment import apply_similarity
from pipeline.features.landmarks import LEFT_EYE, MOUTH, RIGHT_EYE
from pipeline.features.lip_parsing import REACH, parsed_square, refine_clip, refine_lips
from tests.features.test_alignment import similarity

# Half axes, pixels; the eyes are 128 px apart, as in a parsed square.
OUTER, INNER, EYES = (50.0, 24.0), (36.0, 8.0), 128.0
# Places between the mouth's corners, as shares of the outer half axis.
OUTER_X = np.array([-1, -0.65, -0.35, 0, 0.35, 0.65, 1, 0.65, 0.35, 0, -0.35, -0.65])
# The inner corners lie where the lips meet, beyond the opening.
INNER_X = np.array([-0.8, -0.4, 0, 0.4, 0.8, 0.4, 0, -0.4])


def ellipse(x, axes):
    return axes[1] * np.sqrt(np.clip(1 - (x / axes[0]) ** 2, 0, None))


def true_face():
    """The face in its own frame: centre of the mouth at 0, its corners level, the lips' points on the boundaries."""
    face = np.random.default_rng(0).normal(0, 60, (68, 2))
    face[RIGHT_EYE], face[LEFT_EYE] = (-EYES / 2, -140), (EYES / 2, -140)
    for points, axes, x, n_upper in ((range(48, 60), OUTER, OUTER_X, 7), (range(60, 68), INNER, INNER_X, 5)):
        above = np.where(np.arange(len(x)) < n_upper, -1, 1)
        face[points] = np.column_stack([x * OUTER[0], above * ellipse(x * OUTER[0], axes)])
    return face


def displaced(face, amount):
    """Every point of the lips off its boundary by up to `amount` px: the corners to the sides, all others up or down."""
    off = np.random.default_rng(1).uniform(-amount, amount, 20)
    moved = face.copy()
    moved[[48, 54], 0] += off[[0, 6]]
    others = np.delete(np.arange(20), [0, 6])
    moved[48 + others, 1] += off[others]
    return moved


def drawn(matrix, shape):
    """Classes of the pixels of an image (H, W), of lips brought there by a similarity."""
    rows, columns = np.indices(shape)
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    x, y = np.moveaxis(apply_similarity(inverse, np.stack([columns, rows], axis=-1)), -1, 0)
    lips, opening = np.abs(y) < ellipse(x, OUTER), np.abs(y) < ellipse(x, INNER)
    return np.select([opening, lips & (y < 0), lips], [11, 12, 13], default=1)


@pytest.mark.parametrize("degrees", [0, 17, -40])
def test_points_come_back_to_the_boundaries(degrees):
    matrix = similarity(1, degrees, (150.3, 170.8))
    labels = drawn(matrix, (360, 330))
    truth, start = (apply_similarity(matrix, face) for face in (true_face(), displaced(true_face(), 10)))
    refined = refine_lips(start, labels)
    distance = np.linalg.norm(refined - truth, axis=1)
    assert np.linalg.norm(start - truth, axis=1)[MOUTH].mean() > 4
    assert distance[MOUTH].max() < 0.5 and distance[MOUTH].mean() < 0.25
    np.testing.assert_array_equal(refined[:48], start[:48])


def test_shut_lips_meet():
    matrix = similarity(1, 5, (150, 160))
    labels = drawn(matrix, (320, 300))
    labels[labels == 11] = np.where(np.nonzero(labels == 11)[0] < 160, 12, 13)
    refined = refine_lips(apply_similarity(matrix, true_face()), labels)
    np.testing.assert_allclose(refined[[61, 62, 63]], refined[[67, 66, 65]], atol=0.5)


def test_a_lip_that_is_not_seen_stays():
    matrix = similarity(1, 10, (150, 160))
    labels = drawn(matrix, (320, 300))
    labels[labels == 12] = 1
    start = apply_similarity(matrix, displaced(true_face(), 10))
    refined = refine_lips(start, labels)
    upper = [49, 50, 51, 52, 53, 60, 61, 62, 63, 64]
    np.testing.assert_array_equal(refined[upper], start[upper])
    lower = [55, 56, 57, 58, 59, 65, 66, 67]
    np.testing.assert_allclose(refined[lower], apply_similarity(matrix, true_face())[lower], atol=0.5)


def test_a_boundary_out_of_reach_leaves_the_point():
    matrix = similarity(1, 0, (150, 160))
    labels = drawn(matrix, (320, 300))
    start = apply_similarity(matrix, true_face())
    start[51, 1] -= 1.1 * REACH * EYES
    start[57, 1] += 0.9 * REACH * EYES
    refined = refine_lips(start, labels)
    np.testing.assert_array_equal(refined[51], start[51])
    np.testing.assert_allclose(refined[57], start[57] - (0, 0.9 * REACH * EYES), atol=0.5)


def test_the_parsed_square_is_that_of_celeba_hq():
    face = np.zeros((68, 2))
    face[RIGHT_EYE], face[LEFT_EYE], face[48], face[54] = (100, 100), (140, 100), (105, 145), (135, 145)
    # Mouth 45 px below the eyes: 3.6 · 45 = 162 px wide, more than 4 · 40; its centre 4.5 px below the eyes.
    seen = apply_similarity(parsed_square(face), face)
    np.testing.assert_allclose(seen[36], 255.5 + np.array([-20, -4.5]) * 512 / 162)
    turned = apply_similarity(similarity(0.7, 33, (5, 9)), face)
    np.testing.assert_allclose(apply_similarity(parsed_square(turned), turned), seen, atol=1e-9)


def test_a_video_is_refined_in_its_own_pixels():
    """Faces of a third of the size, turning; each class has a colour, by which the network's stand-in knows it."""
    matrices = [similarity(0.35, degrees, (110.4, 120.7)) for degrees in (-20, 0, 12)]
    truth = np.stack([apply_similarity(matrix, true_face()) for matrix in matrices])
    start = np.stack([apply_similarity(matrix, displaced(true_face(), 10)) for matrix in matrices]).astype(np.float32)
    # A camera's pixels: means of 4×4 finer ones.
    fine = [drawn(4 * m + [[0, 0, 1.5]] * 2, (800, 880))[..., None] == [11, 12, 13] for m in matrices]
    frames = [np.uint8(255 * image.reshape(200, 4, 220, 4, 3).mean(axis=(1, 3))) for image in fine]
    sizes = []

    def parse(image):
        sizes.append(image.shape)
        return np.where(image.max(axis=-1) > 127, 11 + image.argmax(axis=-1), 1)

    refined = refine_clip(start, iter(frames), parse)
    assert sizes == [(512, 512, 3)] * 3 and refined.dtype == np.float32
    np.testing.assert_array_equal(refined[:, :48], start[:, :48])
    distance = np.linalg.norm(refined - truth, axis=-1)
    # Where the lips run out they are thinner than a pixel, and fade.
    assert distance[:, [*range(49, 54), *range(55, 68)]].max() < 0.25 and distance[:, [48, 54]].max() < 1.1
    with pytest.raises(ValueError, match="zip"):
        refine_clip(start, iter(frames[:2]), parse)
