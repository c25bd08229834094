"""Faces that must not be animated: who is found again, who is not, and what is said of photos that protect nobody."""

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.demo.subjects import make_subject
from pipeline.errors import UserError
from pipeline.features.detection import detect_face, predict_tilted_landmarks
from pipeline.refusal import people_in, refuse


@pytest.fixture(scope="module")
def stranger():
    """One of the demo's people, 0.66 away from the portrait, at 300 px."""
    subject = make_subject(1006)
    share = subject.picture[..., 3:] / 255
    whole = (subject.picture[..., :3] * share + subject.background * (1 - share)).astype(np.uint8)
    return cv2.resize(whole, (375, 300))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "not these"


def save(picture, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


def landmarks(picture):
    return predict_tilted_landmarks(picture, detect_face(picture))


def turned(picture):
    return np.asarray(Image.fromarray(picture).rotate(20, Image.Resampling.BICUBIC, fillcolor=(120, 120, 120)))


def darker(picture):
    return (picture * 0.6).astype(np.uint8)


def smaller(picture):
    return cv2.resize(picture, (150, 150), interpolation=cv2.INTER_AREA)


def mirrored(picture):
    return np.ascontiguousarray(picture[:, ::-1])


@pytest.mark.parametrize("other_photo", [turned, darker, smaller, mirrored])
def test_a_person_is_refused_by_another_photo_and_that_is_named(portrait, folder, tmp_path, other_photo):
    save(other_photo(portrait), folder / "friends" / "eileen.png")
    with pytest.raises(UserError) as refusal:
        refuse(portrait, landmarks(portrait), people_in(folder), tmp_path / "me.jpg")
    line = str(refusal.value)
    assert "eileen.png" in line and "me.jpg" in line and "\n" not in line


def test_of_several_people_the_nearest_is_named(portrait, stranger, folder, tmp_path):
    save(stranger, folder / "a.png")
    save(darker(portrait), folder / "b.png")
    with pytest.raises(UserError, match=r"by .*b\.png \(distance 0\.[0-4]"):
        refuse(portrait, landmarks(portrait), people_in(folder), tmp_path / "me.jpg")


def test_others_are_let_through(portrait, stranger, folder, tmp_path):
    save(portrait, folder / "eileen.png")
    refuse(stranger, landmarks(stranger), people_in(folder), tmp_path / "me.jpg")


def test_without_a_folder_everybody_is(portrait, tmp_path):
    refuse(portrait, landmarks(portrait), {}, tmp_path / "me.jpg")


def test_every_face_of_a_photo_counts_and_of_the_photo_to_animate_one(portrait, stranger, folder, tmp_path):
    both = np.hstack([portrait, stranger])
    right = landmarks(stranger) + np.array([300, 0])
    save(both, folder / "both.png")
    (faces,) = people_in(folder).values()
    assert len(faces) == 2
    for face in (landmarks(portrait), right):
        with pytest.raises(UserError, match=r"both\.png"):
            refuse(both, face, people_in(folder), tmp_path / "me.jpg")
    save(portrait, folder / "both.png")
    refuse(both, right, people_in(folder), tmp_path / "me.jpg")


def test_a_small_face_beside_a_large_one_counts(portrait, stranger, folder):
    """In a photo of 2,400 px: the first look at it, reduced, finds the large face alone."""
    picture = np.full((1500, 2400, 3), 120, np.uint8)
    picture[100:1300, 50:1250] = cv2.resize(portrait, (1200, 1200))
    picture[500:800, 1600:1975] = stranger
    save(picture, folder / "party.png")
    (faces,) = people_in(folder).values()
    assert len(faces) == 2


def test_a_file_that_protects_nobody_is_named(portrait, folder, caplog):
    save(portrait, folder / "eileen.png")
    save(np.full((200, 200, 3), 90, np.uint8), folder / "wall.png")
    (folder / "list.txt").write_text("names")
    (folder / ".DS_Store").write_text("")
    assert list(people_in(folder)) == [folder / "eileen.png"]
    named = [record.getMessage() for record in caplog.records]
    assert len(named) == 2 and "list.txt" in named[0] and "wall.png" in named[1]
    assert all("protects nobody" in line and "\n" not in line for line in named)


@pytest.mark.parametrize("content", [None, [], ["wall.png"]])
def test_a_folder_that_protects_nobody_is_an_error(folder, content):
    for name in content or []:
        save(np.full((200, 200, 3), 90, np.uint8), folder / name)
    if content == []:
        folder.mkdir()
    with pytest.raises(UserError, match=r"^[^-].*not these (is not a folder|protects nobody)"):
        people_in(folder)
