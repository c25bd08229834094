import numpy as np

from pipeline.demo import example
from pipeline.features.detection import detect_face
from pipeline.photo import read_photo
from pipeline.video import read_audio


def test_the_example_is_a_face_and_somebody_speaking(tmp_path, monkeypatch):
    monkeypatch.setattr(example, "OUT", tmp_path / "example")
    example.main()
    assert detect_face(read_photo(tmp_path / "example" / "portrait.png")) is not None
    heard = read_audio(tmp_path / "example" / "speech.wav", 22_050)
    assert 3 < len(heard) / 22_050 < 15 and np.abs(heard).max() > 0.1
