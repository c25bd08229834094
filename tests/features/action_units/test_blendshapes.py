import sys

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.features.action_units.blendshapes import (
    blendshape_action_units,
    blendshape_intensities,
    mediapipe_action_units,
)
from pipeline.features.action_units.units import AUS

SHAPES = {
    10: {"mouthUpperUpLeft": 0.6, "mouthUpperUpRight": 0.4},
    14: {"mouthDimpleLeft": 0.6, "mouthDimpleRight": 0.4},
    20: {"mouthStretchLeft": 0.6, "mouthStretchRight": 0.4},
    26: {"jawOpen": 0.5, "mouthClose": 0.5},
    45: {"eyeBlinkLeft": 0.6, "eyeBlinkRight": 0.4},
}


@pytest.mark.parametrize("au", SHAPES)
def test_each_shape_is_its_action_unit(au):
    """Half of the way on the average of both sides: 2.5 of 5."""
    found = dict(zip(AUS, blendshape_intensities(SHAPES[au]), strict=True))
    assert found.pop(au) == pytest.approx(2.5)
    if au == 10:
        assert found.pop(25) == pytest.approx(2.5)  # a raised upper lip parts the lips
    assert not any(found.values())


@pytest.mark.parametrize(
    ("shapes", "parted"),
    [({"jawOpen": 0.6, "mouthClose": 0.2}, 2.0), ({"mouthLowerDownLeft": 0.4, "mouthLowerDownRight": 0.4}, 2.0)],
)
def test_lips_part_by_the_jaw_unless_they_are_kept_shut(shapes, parted):
    assert blendshape_intensities(shapes)[AUS.index(25)] == pytest.approx(parted)


def test_rest_is_the_clips_own_and_missing_faces_stay_missing():
    frames = [{"eyeBlinkLeft": 0.3, "eyeBlinkRight": 0.3, "jawOpen": 0.1}] * 20
    frames[4], frames[9] = None, {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0, "jawOpen": 0.15}
    units = blendshape_action_units(frames)
    assert np.flatnonzero(units.missing).tolist() == [4] and units.confidence[3:6].tolist() == [1, 0, 1]
    assert units.intensity[9, AUS.index(45)] == pytest.approx(3.5)
    assert units.intensity[9, AUS.index(26)] == pytest.approx(0.25)
    assert np.argwhere(units.presence).tolist() == [[9, AUS.index(45)]]


@pytest.mark.parametrize("model", [None, "", "no/such/file.task"])
def test_a_missing_model_is_said_in_one_line(model):
    with pytest.raises(UserError, match=r"action_units\.model must name .*face_landmarker\.task") as caught:
        mediapipe_action_units(np.zeros((1, 8, 8, 3), np.uint8), 25, model)
    assert "\n" not in str(caught.value) and "backend: landmarks" in str(caught.value)


def test_a_missing_mediapipe_is_said_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "face_landmarker.task").write_bytes(b"PK")
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(UserError, match="needs MediaPipe"):
        mediapipe_action_units(np.zeros((1, 8, 8, 3), np.uint8), 25, tmp_path / "face_landmarker.task")


def test_another_file_than_the_model(tmp_path):
    pytest.importorskip("mediapipe.tasks.python.vision")
    path = tmp_path / "face_landmarker.task"
    path.write_bytes(b"not a model" * 100)
    with pytest.raises(UserError, match=r"is no face_landmarker\.task") as caught:
        mediapipe_action_units(np.zeros((1, 64, 64, 3), np.uint8), 25, path)
    assert "\n" not in str(caught.value)
