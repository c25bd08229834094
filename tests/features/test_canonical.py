import numpy as np
import pytest

from pipeline.features.alignment import apply_similarity
from pipeline.features.canonical import (
    canonical_displacements,
    face_size,
    neutral_face,
    neutral_from_photo,
    opening_motion,
    retarget,
    to_mean_face,
)
from pipeline.features.landmarks import MOUTH, inter_ocular_distance, lip_gap, mouth_opening
from tests.features.test_alignment import similarity, symmetrical_face

MEAN = symmetrical_face() * 10 + 50


def talking(face, opening, n=40):
    """A face whose lower lip goes down by up to `opening` pixels, at rest in every fourth frame."""
    track = np.repeat(face[None], n, axis=0)
    depth = opening * np.sin(np.arange(n) * np.pi / 4).clip(0)
    track[:, 65:68, 1] += depth[:, None]
    track[:, 55:60, 1] += depth[:, None]
    return track, depth


def lips_closed(face):
    face = face.copy()
    face[[67, 66, 65]] = face[[61, 62, 63]]
    return face


def test_the_neutral_face_has_its_lips_closed():
    closed = lips_closed(MEAN)
    track, _ = talking(closed, 4)
    np.testing.assert_allclose(neutral_face(track), closed, atol=1e-9)


def test_the_same_motion_of_a_larger_turned_face_has_the_same_displacements():
    """Closed form: a similarity of the mean face moves as the mean face does."""
    neutral = lips_closed(MEAN)
    track, _ = talking(neutral, 4)
    turned = apply_similarity(similarity(2.3, 17, (40, -9)), track)
    ours = canonical_displacements(turned, apply_similarity(similarity(2.3, 17, (40, -9)), neutral), neutral)
    np.testing.assert_allclose(ours, track - neutral, atol=1e-9)


def test_displacements_are_scaled_by_the_ratio_of_the_faces():
    """A face that is half as wide, and as high: sideways motion counts twice, and motion downwards once."""
    neutral = lips_closed(MEAN)
    narrow = neutral.copy()
    narrow[:17, 0] = 50 + (narrow[:17, 0] - 50) / 2
    narrow[17:27, 0] = 50 + (narrow[17:27, 0] - 50) / 2
    # What the alignment holds on to is as it was, apart from the ends of the jaw.
    moved = narrow.copy()
    moved[MOUTH] += [1.0, 2.0]
    displacement = canonical_displacements(moved[None], narrow, neutral)[0, MOUTH]
    ratio = face_size(neutral) / face_size(narrow)
    assert ratio[0] == pytest.approx(2, rel=0.05) and ratio[1] == pytest.approx(1)
    assert displacement[:, 0].mean() / displacement[:, 1].mean() == pytest.approx(ratio[0] / 2, rel=0.05)


def test_retargeting_gives_back_the_persons_own_landmarks():
    rng = np.random.default_rng(1)
    neutral, mean = lips_closed(symmetrical_face() * 9 + 30), lips_closed(MEAN)
    person = apply_similarity(similarity(1.4, -8, (3, 5)), neutral)
    track = person + rng.normal(0, 0.5, (6, 68, 2))
    back = retarget(canonical_displacements(track, person, mean), person, mean)
    np.testing.assert_allclose(back, track, atol=1e-9)


def test_on_the_mean_face_two_people_at_rest_are_the_same():
    people = [lips_closed(symmetrical_face() * s + 30) for s in (8, 12)]
    at_rest = [to_mean_face(person[None], person, MEAN)[0] for person in people]
    np.testing.assert_allclose(at_rest[0], MEAN)
    np.testing.assert_allclose(at_rest[1], MEAN)
    assert mouth_opening(at_rest[0]) == pytest.approx(mouth_opening(MEAN))


def lips_parted(face, gap):
    """Closed lips, but for `gap` between the inner ones."""
    face = lips_closed(face)
    face[65:68, 1] += gap
    return face


def motion_of(neutral):
    """What training frames of `talking` teach about a face's opening."""
    track, _ = talking(neutral, 4)
    return opening_motion([(track - neutral, lip_gap(track) - lip_gap(neutral))])


def test_the_motion_of_an_opening_mouth():
    """Closed form: lower lips go down by the gap times the eyes' distance, and nothing else moves."""
    neutral = lips_closed(MEAN)
    expected = np.zeros((68, 2))
    expected[[*range(55, 60), *range(65, 68)], 1] = inter_ocular_distance(neutral)
    np.testing.assert_allclose(motion_of(neutral), expected, atol=1e-9)


def test_the_motion_is_unmoved_by_what_has_nothing_to_do_with_the_opening():
    rng = np.random.default_rng(0)
    openings = rng.uniform(0, 0.5, 20_000)
    motion = rng.normal(size=(68, 2))
    noise = rng.normal(0, 0.1, (20_000, 68, 2))
    displacements = openings[:, None, None] * motion + noise
    found = opening_motion([(displacements[:50], openings[:50]), (displacements[50:], openings[50:])])
    np.testing.assert_allclose(found, motion, atol=0.02)


def test_an_opened_mouth_is_closed():
    """The face of a photo, larger, turned and with its mouth open, becomes what it was before it was opened."""
    neutral = lips_parted(MEAN, 0.2)
    opened = neutral.copy()
    opened[[*range(55, 60), *range(65, 68)], 1] += 3
    place = similarity(2.3, 17, (40, -9))
    closed = neutral_from_photo(apply_similarity(place, opened), motion_of(neutral), neutral, lip_gap(neutral))
    np.testing.assert_allclose(closed, apply_similarity(place, neutral), atol=1e-9)


@pytest.mark.parametrize("shape", [[0.9, 1.0], [1.1, 1.0], [1.0, 0.9], [1.0, 1.1]])
def test_a_mouth_in_a_face_of_another_shape_is_closed_to_within_a_seventh(shape):
    mean, person = lips_parted(MEAN, 0.2), lips_parted((MEAN - 50) * shape + 50, 0.2)
    opened = person.copy()
    opened[[*range(55, 60), *range(65, 68)], 1] += 3
    closed = neutral_from_photo(opened, motion_of(mean), mean, lip_gap(mean))
    assert np.abs(closed - person).max() < 3 / 7


def test_pressed_lips_are_parted_to_the_neutral_gap():
    """Points that cross, as detectors have pressed lips, lie as far apart as those of an open mouth."""
    neutral = lips_parted(MEAN, 0.2)
    pressed = lips_parted(MEAN, -1)
    assert mouth_opening(pressed) > mouth_opening(neutral) > 0 > lip_gap(pressed)
    rested = neutral_from_photo(pressed, motion_of(neutral), neutral, lip_gap(neutral))
    assert lip_gap(rested) == pytest.approx(lip_gap(neutral))
