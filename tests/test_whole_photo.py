"""A drawn face in its photo: on photos whose colours are linear in x and y, so that what stands where is known exactly."""

import numpy as np
import pytest

from pipeline.features.alignment import apply_similarity, crop_face
from pipeline.papers.interface import Drawn
from pipeline.whole_photo import LONGEST, composed, for_video

SIZE = 64
# A face, in pixels of a crop of 64: eyes 19 px apart, as `alignment.eye_distance` has it, brows, nose, mouth and jaw.
ANGLES = np.linspace(np.pi, 0, 17)
FACE = np.concatenate(
    [
        np.column_stack([32 + 20 * np.cos(ANGLES), 24 + 30 * np.sin(ANGLES)]),
        [(x, 17) for x in (14, 17, 20, 23, 26, 38, 41, 44, 47, 50)],
        [(32, y) for y in (23, 27, 31, 35)] + [(x, 37) for x in (27, 29, 32, 35, 37)],
        [(22.5 + 4 * np.cos(a), 22 + 2 * np.sin(a)) for a in np.arange(6)],
        [(41.5 + 4 * np.cos(a), 22 + 2 * np.sin(a)) for a in np.arange(6)],
        [(32 + 8 * np.cos(a), 43 + 3 * np.sin(a)) for a in np.arange(12) * np.pi / 6],
        [(32 + 6 * np.cos(a), 43 + np.sin(a)) for a in np.arange(8) * np.pi / 4],
    ]
)


def similarity(scale, degrees, centre):
    """Photo → crop: the crop's pixels are `scale` of the photo's, turned; its middle lies at `centre` of the photo."""
    a = np.radians(degrees)
    linear = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) / scale
    return np.column_stack([linear, (SIZE - 1) / 2 - linear @ np.array(centre)])


def linear_photo(width=400, height=300):
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return np.rint(np.dstack([40 + 0.4 * x, 200 - 0.3 * y, 60 + 0.2 * x + 0.2 * y])).astype(np.uint8)


def noisy_photo(width=400, height=300):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def disc(centre, radius):
    x, y = np.meshgrid(np.arange(SIZE), np.arange(SIZE))
    return np.hypot(x - centre[0], y - centre[1]) <= radius


def painted(crop, colour, where, quiet=20):
    """A frame of a system that composes: `colour` there, and elsewhere about the crop's, by a change that is not quite 0."""
    change = np.where(where, 255, quiet).astype(np.uint8)
    anew = np.where(where[..., None], colour, np.clip(crop + 10.0, 0, 255)).astype(np.uint8)
    share = change[..., None] / 255
    return Drawn(np.rint(share * anew + (1 - share) * crop).astype(np.uint8), anew, change)


def frames_of(photo, matrix, drawn, whole_face=False):
    """drawn: functions of the crop."""
    crop = crop_face(photo, matrix, SIZE)
    return list(composed(photo, matrix, crop, FACE, [draw(crop) for draw in drawn], whole_face))


def in_crop(matrix, shape):
    """Where in the crop each pixel of the photo lies: (H, W, 2)."""
    x, y = np.meshgrid(np.arange(shape[1]), np.arange(shape[0]))
    return apply_similarity(matrix, np.dstack([x, y]).astype(float))


@pytest.mark.parametrize(
    ("scale", "degrees", "centre"),
    [(1, 0, (200, 150)), (4.3, 25, (200, 150)), (0.4, -30, (180, 140)), (6, 10, (330, 40)), (3, 30, (0, 299))],
    ids=["plain", "enlarged and turned", "reduced", "beyond the corner", "mostly beyond"],
)
def test_a_disc_of_change_is_in_its_place_and_all_else_is_the_photos(scale, degrees, centre):
    photo, matrix = noisy_photo(), similarity(scale, degrees, centre)
    (frame,) = frames_of(photo, matrix, [lambda crop: painted(crop, (250, 10, 90), disc((36, 28), 12))])
    distance = np.linalg.norm(in_crop(matrix, photo.shape) - [36, 28], axis=-1)
    # Interpolation reaches two pixels of either; a difference counts with its surroundings, of four.
    inner, outer = distance < 12 - 2 - 2 / scale, distance > 12 + 4 + 2 + 2 / scale
    assert np.abs(frame[inner].astype(int) - [250, 10, 90]).max(initial=0) <= 1
    assert np.array_equal(frame[outer], photo[outer])
    assert inner.any() and (frame != photo).any()


def test_what_does_not_move_does_not_change_from_frame_to_frame():
    photo, matrix = noisy_photo(), similarity(3, -12, (200, 150))
    drawn = [lambda crop, r=r: painted(crop, (20 * r, 250, 40), disc((32, 40), r), quiet=2 * r) for r in (5, 9, 12)]
    frames = np.stack(frames_of(photo, matrix, drawn))
    far = np.linalg.norm(in_crop(matrix, photo.shape) - [32, 40], axis=-1) > 19
    assert (frames[:, far] == photo[far]).all() and (frames[0] != frames[2]).any()


def test_where_nothing_is_drawn_the_colour_that_stands_there_is_not_seen():
    """Grey beside a red disc on a dark photo: no pixel between them is greyer than either."""
    photo, matrix = np.full((300, 400, 3), (90, 30, 30), np.uint8), similarity(4, 0, (200, 150))
    place = disc((32, 32), 10)
    colour = np.where(place[..., None], (180, 60, 60), 128).astype(np.uint8)
    image = np.where(place[..., None], colour, 0) + np.where(place[..., None], 0, (90, 30, 30))
    (frame,) = frames_of(photo, matrix, [lambda _: Drawn(image.astype(np.uint8), colour, place * np.uint8(255))])
    # Both have three times as much red as green, and so has what lies between.
    assert np.abs(frame[..., 0] - 3.0 * frame[..., 1]).max() <= 3 and frame[150, 200, 0] == 180


def test_a_faint_change_to_a_glaring_colour_is_shown_as_the_network_has_it():
    """As networks do that pay for change: the map says a tenth, and the frame differs from the crop by 20."""
    photo, matrix = np.full((300, 400, 3), 50, np.uint8), similarity(4, 0, (200, 150))
    place = disc((32, 32), 10)
    image = np.where(place[..., None], 70, 50).repeat(3, axis=2).astype(np.uint8)
    colour = np.full((SIZE, SIZE, 3), 254, np.uint8)
    (frame,) = frames_of(photo, matrix, [lambda _: Drawn(image, colour, np.where(place, 25, 0).astype(np.uint8))])
    assert np.abs(frame[150, 200].astype(int) - 70).max() <= 1


def test_change_everywhere_fades_into_the_photo_along_the_crops_border():
    photo, matrix = linear_photo(), similarity(3, 20, (200, 150))
    (frame,) = frames_of(photo, matrix, [lambda crop: painted(crop, 255, np.ones((SIZE, SIZE), bool))])
    places = in_crop(matrix, photo.shape)
    border = np.minimum(places, SIZE - 1 - places).min(axis=-1)
    assert np.array_equal(frame[border <= 0], photo[border <= 0])
    assert (frame[border > 8] == 255).all()
    # From photo to white in 5.33 pixels of the crop, at most 1.5 times as steep as the mean; a third of that in the photo's.
    steps = np.abs(np.diff(frame.astype(int), axis=1)).max()
    assert 3 < steps < 215 * 1.5 / 5.33 / 3 * 1.2


@pytest.mark.parametrize("scale", [4.3, 1.0, 0.5])
@pytest.mark.parametrize("whole_face", [False, True])
def test_a_face_drawn_as_it_is_leaves_the_photo(scale, whole_face):
    """Of systems without maps: what is brought to the photo is what was taken from it."""
    photo, matrix = linear_photo(), similarity(scale, 20, (200, 150))
    for frame in frames_of(photo, matrix, [Drawn] * 2, whole_face):
        assert np.abs(frame.astype(int) - photo).max() <= 2


@pytest.mark.parametrize("whole_face", [False, True])
def test_a_redrawn_face_of_other_colours_has_no_edge_and_moves_within_its_mask(whole_face):
    """The network's colours are off by a constant, which is taken back; its second frame has a dark mouth."""
    photo, matrix = linear_photo(), similarity(3, -15, (200, 150))

    def silent(crop):
        return Drawn(np.clip(crop + np.array([-20, 10, 25]), 0, 255).astype(np.uint8))

    def spoken(crop):
        return Drawn(np.where(disc((32, 43), 4)[..., None], 20, silent(crop).image).astype(np.uint8))

    still, moved = frames_of(photo, matrix, [silent, spoken], whole_face)
    assert np.abs(still.astype(int) - photo).max() <= 3
    places = in_crop(matrix, photo.shape)
    changed = (moved != still).any(axis=-1)
    distance = np.linalg.norm(places - [32, 43], axis=-1)
    assert not changed[distance > 7].any()
    assert np.abs(moved[distance < 1].astype(int) - [20 + 20, 20 - 10, 0]).max() <= 2


def test_speech_leaves_the_eyes_to_the_photo_and_an_emotion_does_not():
    photo, matrix = noisy_photo(), similarity(3, 0, (200, 150))
    anything = [lambda _, k=k: Drawn(np.full((SIZE, SIZE, 3), k, np.uint8)) for k in (0, 200)]
    lower, whole = (frames_of(photo, matrix, anything, whole_face) for whole_face in (False, True))
    places = in_crop(matrix, photo.shape)
    eyes = (np.abs(places - [32, 22]) < [14, 3]).all(axis=-1)
    beside = (np.abs(places - 31.5) > 31.5).any(axis=-1)
    mouth = np.linalg.norm(places - [32, 43], axis=-1) < 5
    assert (lower[1][eyes] == photo[eyes]).all() and (whole[1][eyes] != whole[0][eyes]).any()
    for frames in (lower, whole):
        assert (frames[1][beside] == photo[beside]).all() and (frames[1][mouth] != frames[0][mouth]).all()


def test_the_colours_are_matched_beside_a_mouth_that_is_open_in_one_and_shut_in_the_other():
    photo, matrix = linear_photo(), similarity(3, 0, (200, 150))
    mouth = disc((32, 43), 3)[..., None]
    (frame,) = frames_of(photo, matrix, [lambda crop: Drawn(np.where(mouth, 0, crop).astype(np.uint8))])
    distance = np.linalg.norm(in_crop(matrix, photo.shape) - [32, 43], axis=-1)
    assert np.abs(frame.astype(int) - photo)[distance > 6].max() <= 2


@pytest.mark.parametrize(
    ("shape", "shown"), [((301, 401), (300, 400)), ((300, 400), (300, 400)), ((1501, 4000), (720, 1920))]
)
def test_a_videos_photo_has_even_sides_and_a_limit(shape, shown):
    photo, matrix = linear_photo(shape[1], shape[0]) // 4, similarity(5, 15, (200, 150))
    small, there = for_video(photo, matrix)
    assert small.shape[:2] == shown and max(shown) <= LONGEST
    # The same place of either photo lies in the same place of the crop: pixels have their centres at whole numbers.
    k = shape[1] / shown[1] if max(shape) > LONGEST else 1
    point = np.array([100.0, 50.0])
    np.testing.assert_allclose(apply_similarity(there, point), apply_similarity(matrix, (point + 0.5) * k - 0.5))
