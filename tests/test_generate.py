"""A talking photo by a made-up system, which opens a black mouth in the crop that it is given."""

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import yaml
from PIL import Image

from pipeline.errors import UserError
from pipeline.features.alignment import apply_similarity, template
from pipeline.features.detection import detect_face, predict_landmarks
from pipeline.features.landmarks import EYES, JAW, MOUTH
from pipeline.generate import list_systems, talk
from pipeline.papers.interface import Drawn
from pipeline.synthesis import mark
from pipeline.systems.preprocessing import Preprocessing
from pipeline.systems.system import System
from pipeline.training.trained import CARD, CARD_KEYS, FORM
from pipeline.video import read_frames

SIZE = 64


@pytest.fixture
def speech(tmp_path):
    """Half a second."""
    soundfile.write(tmp_path / "speech.wav", 0.1 * np.sin(np.arange(11_025) / 7), 22_050)
    return tmp_path / "speech.wav"


@pytest.fixture
def system(portrait):
    """It composes its frames: what changes is a disc of six pixels about the mouth, in every frame but the first."""

    def frames(photo, driving, seed):
        x, y = np.meshgrid(np.arange(SIZE), np.arange(SIZE))
        centre = driving.photo_landmarks[MOUTH].mean(axis=0)
        disc = np.where(np.hypot(x - centre[0], y - centre[1]) < 6, 255, 10).astype(np.uint8)
        for k in range(driving.n_frames):
            change = disc if k else np.full_like(disc, 10)
            colour = np.where(change[..., None] > 10, 0, photo).astype(np.uint8)
            yield Drawn(colour, colour, change)

    face = predict_landmarks(portrait, detect_face(portrait))
    landmarks = {"backend": "dlib", "redetect_every": 25, "max_missing": 0.1}
    values = {"fps": 25.0, "landmarks": landmarks, "face_parsing": None, "transform": "per_frame", "image_size": SIZE}
    preprocessing = Preprocessing.of(values | {"template": template(face[None], SIZE, 0.3, 0.34).tolist()})
    card = {"networks": {"one": {"key": "0123456789abcdef"}}}
    return System("made_up", card, frozenset({"waveform_8000"}), preprocessing, frames, None)


def made(system, photo, speech, tmp_path, **options):
    """The frames of a video of a photo, given as an array."""
    Image.fromarray(photo).save(tmp_path / "photo.png")
    options = {"visible_mark": False} | options
    talk(system, tmp_path / "photo.png", speech, None, tmp_path / "out.mp4", 0, **options)
    return read_frames(tmp_path / "out.mp4", 25).astype(int)


def turned(portrait, degrees):
    """The portrait on a grey ground, turned; and the face's landmarks upon it."""
    ground = np.full((501, 701, 3), 120, np.uint8)
    ground[100:400, 200:500] = portrait
    picture = Image.fromarray(ground).rotate(degrees, Image.Resampling.BICUBIC, center=(350, 250), fillcolor=(120,) * 3)
    a = np.radians(-degrees)
    linear = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    face = predict_landmarks(portrait, detect_face(portrait)) + np.array([200, 100])
    matrix = np.column_stack([linear, np.array([350, 250]) - linear @ [350, 250]])
    return np.asarray(picture), apply_similarity(matrix, face)


@pytest.mark.parametrize("degrees", [0, 25, -30])
def test_the_whole_photo_speaks_with_its_own_mouth(system, portrait, speech, tmp_path, capsys, degrees):
    photo, face = turned(portrait, degrees)
    frames = made(system, photo, speech, tmp_path)
    assert frames.shape[1:] == (500, 700, 3) and "700×500 px" in capsys.readouterr().out
    x, y = face[MOUTH].mean(axis=0).round().astype(int)
    assert frames[10, y - 4 : y + 5, x - 4 : x + 5].max() < 25
    # What is left of the crop's changes beside the mouth is what H.264 leaves of any picture.
    assert np.abs(frames[10] - frames[0])[:50].max() <= 6
    for point in (*face[EYES], *face[JAW]):
        x, y = point.round().astype(int)
        assert np.abs(frames[10, y - 2 : y + 3, x - 2 : x + 3] - photo[y - 2 : y + 3, x - 2 : x + 3]).mean() < 8


def test_the_crop_alone_is_what_the_system_draws(system, portrait, speech, tmp_path, capsys):
    frames = made(system, portrait, speech, tmp_path, crop=True)
    assert frames.shape[1:] == (256, 256, 3) and "256×256 px" in capsys.readouterr().out


def test_a_whole_photo_is_marked_and_says_what_it_is(system, portrait, speech, tmp_path):
    plain = made(system, portrait, speech, tmp_path)
    marked = made(system, portrait, speech, tmp_path, visible_mark=True)
    rows, columns = np.nonzero(np.abs(marked - plain).max(axis=(0, 3)) > 100)
    assert rows.min() > 270 and columns.max() < 100
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert "made_up; key: 01234567" in container.metadata["comment"]


@pytest.mark.parametrize(("shape", "like"), [((128, 128), 256), ((512, 900), 512), ((1080, 1920), 1080)])
def test_the_mark_grows_with_the_shorter_side_and_can_be_read_at_any(shape, like):
    rows, columns = np.nonzero(mark(np.full((*shape, 3), 90, np.uint8))[..., 0] != 90)
    assert np.ptp(rows) == pytest.approx(like / 18, rel=0.2) and np.ptp(columns) == pytest.approx(like / 4, rel=0.2)
    assert columns.max() < shape[1] - 1 and rows.max() < shape[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda portrait: portrait[:150], "the border of .* cuts the face off"),
        (lambda portrait: np.rot90(portrait, 2), "no face was found in .*; use a frontal photo"),
    ],
    ids=["cut off", "upside down"],
)
def test_a_face_that_cannot_be_used_is_one_line(system, portrait, speech, tmp_path, change, words):
    with pytest.raises(UserError, match=f"^--image: {words}") as refused:
        made(system, np.ascontiguousarray(change(portrait)), speech, tmp_path)
    assert "\n" not in str(refused.value) and not (tmp_path / "out.mp4").exists()


def test_what_ships_is_listed_with_the_figures_of_its_card(tmp_path, monkeypatch):
    (tmp_path / "pretrained" / "sinha").mkdir(parents=True)
    card = dict.fromkeys(CARD_KEYS) | {"form": FORM, "system": "sinha", "metrics": {"lmd": 0.25}}
    card["corpus"] = {"splits": {"train": {"clips": 195, "subjects": 9}}}
    (tmp_path / "pretrained" / "sinha" / CARD).write_text(yaml.safe_dump(card))
    monkeypatch.chdir(tmp_path)
    by_name = {line.split()[0]: line for line in list_systems(Path("data")).splitlines()}
    assert "trained on 195 clips of 9 people; LMD 0.25 px" in by_name["pretrained/sinha"]
    assert "not trained: dvc repro system_sinha" in by_name["sinha"]
