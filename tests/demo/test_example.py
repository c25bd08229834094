import numpy as np
import pytest
from PIL import Image

from pipeline.demo import example
from pipeline.errors import UserError
from pipeline.features.detection import detect_face, predict_landmarks
from pipeline.features.landmarks import mouth_opening
from pipeline.photo import read_photo
from pipeline.video import read_audio


def test_the_example_is_a_face_and_somebody_speaking(tmp_path, monkeypatch):
    monkeypatch.setattr(example, "OUT", tmp_path / "example")
    example.make_example()
    portrait = read_photo(tmp_path / "example" / "portrait.png")[0]
    landmarks = predict_landmarks(portrait, detect_face(portrait))
    assert mouth_opening(landmarks) < 0.05  # lips that are closed can be seen to open
    heard = read_audio(tmp_path / "example" / "speech.wav", 22_050)
    assert 3 < len(heard) / 22_050 < 15 and np.abs(heard).max() > 0.1


def test_a_video_becomes_a_picture_that_moves_as_fast(make_clip, tmp_path):
    picture = tmp_path / "picture.webp"
    example.make_picture(make_clip(tmp_path / "clip.mp4", n_frames=30), picture)
    with Image.open(picture) as shown:
        assert shown.n_frames == 15 and shown.size == (300, 300)
        shown.load()  # a frame's duration is known once it is decoded
        assert shown.n_frames * shown.info["duration"] == 30 * 40  # ms


def test_no_picture_of_what_is_no_video(tmp_path):
    with pytest.raises(UserError, match=r"^[^-].*does not exist"):
        example.make_picture(tmp_path / "nothing.mp4", tmp_path / "picture.webp")
    assert not (tmp_path / "picture.webp").exists()
