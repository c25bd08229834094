import cv2
import numpy as np
import pytest

from pipeline.demo.subjects import make_subject
from pipeline.evaluation.evaluate import evaluate_clip
from pipeline.evaluation.identity import FRAMES, identity, identity_floor
from pipeline.evaluation.landmark import detect_landmarks
from pipeline.features.alignment import align_landmarks, crop_faces, template

ANOTHER = (
    0.95  # the cosine that two made-up people who look unlike each other stay below; two real people have 0.9 at most
)


def clip_of(number):
    """Twelve frames of 64 px of a made-up person, in a light that changes, and the landmarks found in them."""
    subject = make_subject(number)
    alpha = subject.picture[..., 3:] / 255
    picture = subject.picture[..., :3] * alpha + subject.background * (1 - alpha)
    shown = [np.clip(picture * light, 0, 255).astype(np.uint8) for light in np.linspace(0.9, 1.05, 12)]
    landmarks = subject.landmarks[None].repeat(12, axis=0)
    transforms, _ = align_landmarks(landmarks, template(landmarks[:1], 64, 0.3, 0.34))
    crops = crop_faces(shown, transforms, 64)
    return crops, detect_landmarks(crops)


@pytest.fixture(scope="module")
def one():
    return clip_of(1005)


@pytest.fixture(scope="module")
def other():
    return clip_of(1006)


def test_the_photo_itself_has_1_and_another_person_less_than_oneself(one, other):
    frames, landmarks = one
    still = identity(frames[0], landmarks[0], frames[:1].repeat(12, axis=0), landmarks[:1].repeat(12, axis=0))
    oneself = identity(frames[0], landmarks[0], *one)
    another = identity(frames[0], landmarks[0], *other)
    assert still == pytest.approx(1, abs=1e-6)
    assert another < ANOTHER < oneself < 1


def test_whoever_takes_the_photos_place_lowers_it_by_as_much_as_they_are_seen(one, other):
    """Another person from the middle on: one of the three frames that are looked at, or two of them."""
    (frames, landmarks), (others, of_others) = one, other
    oneself, another = (identity(frames[0], landmarks[0], *clip) for clip in (one, other))
    for swapped, share in ((8, 1 / FRAMES), (4, 2 / FRAMES)):
        mixed = np.concatenate([frames[:swapped], others[swapped:]])
        found = identity(frames[0], landmarks[0], mixed, np.concatenate([landmarks[:swapped], of_others[swapped:]]))
        assert found == pytest.approx((1 - share) * oneself + share * another, abs=0.01)


def test_blur_costs_some_of_it_and_less_than_another_person_does(one, other):
    frames, landmarks = one
    blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), 1) for frame in frames])
    figures = [identity(frames[0], landmarks[0], shown, landmarks) for shown in (frames, blurred, other[0])]
    assert figures == sorted(figures, reverse=True)


def test_frames_without_a_face_are_left_out_and_no_face_at_all_is_none(one, other):
    """The frames that show the other person count only while a face is found in them."""
    (frames, landmarks), (others, of_others) = one, other
    mixed, found = np.concatenate([frames[:6], others[6:]]), np.concatenate([landmarks[:6], of_others[6:]])
    found[6:] = np.nan
    assert identity(frames[0], landmarks[0], mixed, found) == pytest.approx(
        identity(frames[0], landmarks[0], frames[:6], landmarks[:6])
    )
    none = np.full_like(landmarks, np.nan)
    assert np.isnan(identity(frames[0], landmarks[0], frames, none))
    assert np.isnan(identity(frames[0], none[0], frames, landmarks))


def test_the_floor_is_what_it_says_of_somebody_else(one, other):
    """Of two people it is `identity` of the one's photo where the other's is wanted; without a second one there is none."""
    photos = [(frames[0], landmarks[0]) for frames, landmarks in (one, other)]
    (photo, points), (another, of_another) = photos
    expected = identity(photo, points, another[None], of_another[None])
    assert identity_floor(photos) == pytest.approx(expected, abs=1e-9) and expected < ANOTHER
    # Two pairs of different people among three, and one of a person with themself.
    third = np.mean([expected, expected, 1])
    assert identity_floor([*photos, photos[1]]) == pytest.approx(third, abs=1e-6)
    assert np.isnan(identity_floor(photos[:1]))
    assert np.isnan(identity_floor([photos[0], (another, np.full((68, 2), np.nan))]))


def test_among_the_metrics_of_a_clip_the_photo_is_the_real_clips_first_frame(one, other):
    frames, landmarks = one
    later = np.roll(frames, 3, axis=0)
    metrics = evaluate_clip(frames, later, landmarks[0], landmarks, np.roll(landmarks, 3, axis=0))
    assert metrics["identity"] == identity(frames[0], landmarks[0], later, np.roll(landmarks, 3, axis=0))
    swapped = evaluate_clip(frames, other[0], landmarks[0], landmarks, other[1])
    assert swapped["identity"] < ANOTHER < metrics["identity"]
