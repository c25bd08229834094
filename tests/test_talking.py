"""A talking photo by a made-up system, which opens a black mouth in the crop that it is given."""

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from pipeline.errors import UserError
from pipeline.features.alignment import apply_similarity, template
from pipeline.features.detection import detect_face, predict_landmarks
from pipeline.features.landmarks import EYES, JAW, MOUTH
from pipeline.papers.interface import Drawn
from pipeline.refusal import people_in
from pipeline.shown import mark
from pipeline.systems.preprocessing import Preprocessing
from pipeline.systems.system import System
from pipeline.talking import Frame, Video, compare, fitted, load_system, picked, talk
from pipeline.video import read_frames, write_video

SIZE = 64
ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "pretrained" / "sinha"


@pytest.fixture
def speech(tmp_path):
    """Half a second."""
    n = np.arange(11_025)
    soundfile.write(tmp_path / "speech.wav", 0.1 * np.sin(n / 7) * np.sin(n / 900) ** 2, 22_050)
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
    video = talk(system, tmp_path / "photo.png", speech, **{"mark": False} | options)
    video.save(tmp_path / "out.mp4", overwrite=True)
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
def test_the_whole_photo_speaks_with_its_own_mouth(system, portrait, speech, tmp_path, degrees):
    photo, face = turned(portrait, degrees)
    frames = made(system, photo, speech, tmp_path)
    assert frames.shape[1:] == (500, 700, 3)
    x, y = face[MOUTH].mean(axis=0).round().astype(int)
    assert frames[10, y - 4 : y + 5, x - 4 : x + 5].max() < 25
    # What is left of the crop's changes beside the mouth is what H.264 leaves of any picture.
    assert np.abs(frames[10] - frames[0])[:50].max() <= 6
    for point in (*face[EYES], *face[JAW]):
        x, y = point.round().astype(int)
        assert np.abs(frames[10, y - 2 : y + 3, x - 2 : x + 3] - photo[y - 2 : y + 3, x - 2 : x + 3]).mean() < 8


def test_the_crop_alone_is_what_the_system_draws(system, portrait, speech, tmp_path):
    frames = made(system, portrait, speech, tmp_path, crop=True)
    assert frames.shape[1:] == (256, 256, 3)


def test_a_whole_photo_is_marked_and_says_what_it_is(system, portrait, speech, tmp_path):
    plain = made(system, portrait, speech, tmp_path)
    marked = made(system, portrait, speech, tmp_path, mark=True)
    rows, columns = np.nonzero(np.abs(marked - plain).max(axis=(0, 3)) > 100)
    assert rows.min() > 270 and columns.max() < 100
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert "made_up; key: 01234567; weights: none" in container.metadata["comment"]


@pytest.mark.parametrize(("shape", "like"), [((128, 128), 256), ((512, 900), 512), ((1080, 1920), 1080)])
def test_the_mark_grows_with_the_shorter_side_and_can_be_read_at_any(shape, like):
    rows, columns = np.nonzero(mark(np.full((*shape, 3), 90, np.uint8))[..., 0] != 90)
    assert np.ptp(rows) == pytest.approx(like / 18, rel=0.2) and np.ptp(columns) == pytest.approx(like / 4, rel=0.2)
    assert columns.max() < shape[1] - 1 and rows.max() < shape[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda portrait: portrait[:150], "the border of .* cuts the face off"),
        (lambda portrait: np.full_like(portrait, 90), "no face was found in .*; use a frontal photo"),
        (lambda portrait: np.rot90(portrait, 2), "the face in .* lies, turned upside down; turn the photo upright"),
    ],
    ids=["cut off", "no face", "upside down"],
)
def test_a_face_that_cannot_be_used_is_one_line(system, portrait, speech, tmp_path, change, words):
    with pytest.raises(UserError, match=f"^{words}") as refused:
        made(system, np.ascontiguousarray(change(portrait)), speech, tmp_path)
    assert "\n" not in str(refused.value) and not (tmp_path / "out.mp4").exists()


@pytest.fixture
def photo(portrait, tmp_path):
    Image.fromarray(portrait).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_a_video_can_be_gone_through_again_and_shows_what_the_system_drew(system, photo, speech):
    video = talk(system, photo, speech, crop=True)
    frames = list(video)
    assert len(frames) == len(video) == 12 or len(frames) == len(video) == 13
    assert frames[3].drawn.change.max() == 255 and frames[3].drawn.colour.shape == (SIZE, SIZE, 3)
    assert frames[3].image.shape == (video.height, video.width, 3) == (256, 256, 3)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(frames, video, strict=True))
    assert video.landmarks is None and video.notes == ()


@pytest.mark.parametrize("fps", [10, 24, 25, 29.97, 60])
def test_at_any_rate_frames_are_those_of_their_time_and_sound_ends_within_one(system, photo, speech, tmp_path, fps):
    video = talk(system, photo, speech, crop=True, fps=fps)
    own = list(talk(system, photo, speech, crop=True))
    for k, frame in enumerate(video):
        assert np.array_equal(frame.image, own[min(int((k + 0.5) / fps * 25 + 1e-9), len(own) - 1)].image)
    assert abs(len(video) / fps - len(own) / 25) <= 0.5 / fps + 1e-9
    video.save(tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        lengths = [float(stream.duration * stream.time_base) for stream in container.streams]
    assert abs(lengths[0] - lengths[1]) <= 1 / min(fps, 25)


@pytest.mark.parametrize("picks", [[0, 0, 1, 4], [2], [0, 1, 2, 3, 4, 4, 4]])
def test_picked_frames_come_in_order_and_no_more_are_drawn_than_needed(picks):
    drawn = []
    source = (drawn.append(k) or k for k in range(9))
    assert list(picked(source, np.array(picks))) == picks and drawn == list(range(picks[-1] + 1))


@pytest.mark.parametrize(
    ("crop", "size", "shape"),
    [(False, None, (300, 300)), (False, 128, (128, 128)), (True, 90, (90, 90)), (False, 451, (450, 450))],
)
def test_a_video_has_the_size_that_is_asked_for(system, photo, speech, crop, size, shape):
    video = talk(system, photo, speech, crop=crop, size=size)
    assert (video.height, video.width) == next(iter(video)).image.shape[:2] == shape


def test_a_larger_photo_speaks_at_the_same_place(system, portrait, photo, speech):
    """The mouth is black where that of the photo is, enlarged."""
    image = list(talk(system, photo, speech, size=600, mark=False))[5].image
    x, y = (2 * predict_landmarks(portrait, detect_face(portrait))[MOUTH].mean(axis=0) + 0.5).round().astype(int)
    assert image[y - 8 : y + 9, x - 8 : x + 9].max() < 40 and image[y - 60, x].max() > 60


@pytest.mark.parametrize(
    ("driver", "speech", "fit", "shown"),
    [
        (3, 5, "shortest", [0, 1, 2]),
        (5, 3, "shortest", [0, 1, 2]),
        (3, None, "shortest", [0, 1, 2]),
        (3, None, "loop", [0, 1, 2]),
        (3, 6, "speech", [0, 1, 2, 2, 2, 2]),
        (3, 8, "loop", [0, 1, 2, 1, 0, 1, 2, 1]),
        (1, 3, "loop", [0, 0, 0]),
        (5, 3, "loop", [0, 1, 2]),
        (5, 3, "speech", [0, 1, 2]),
    ],
)
def test_driving_video_and_speech_are_brought_to_one_length(driver, speech, fit, shown):
    assert fitted(driver, speech, fit).tolist() == shown


def test_where_driving_video_and_speech_differ_a_line_says_what_becomes_of_it(
    system, photo, speech, make_clip, tmp_path
):
    follower = replace(system, needs=frozenset({"landmarks"}))
    driver = make_clip(tmp_path / "driver.mp4", n_frames=6)
    for fit, n_frames, words in (("shortest", 6, "ends with the shorter"), ("loop", 12, "back and forth")):
        video = talk(follower, photo, speech, driving_video=driver, fit=fit)
        assert len(video) == pytest.approx(n_frames, abs=1) and video.landmarks.shape == (len(video), 68, 2)
        assert len(video.notes) == 1 and words in video.notes[0] and "0.2 s" in video.notes[0]
    assert talk(follower, photo, driving_video=driver).notes == ()


def test_a_driving_video_whose_sound_drives_is_heard_as_speech_is(system, photo, make_clip, tmp_path):
    """What is to be said of speech is said of it as well; one whose motion alone counts may be silent."""
    frames = [np.zeros((64, 64, 3), np.uint8)] * 10
    silence, noise = np.zeros(8_820), np.random.default_rng(0).standard_normal(8_820) * 0.1
    write_video(tmp_path / "noise.mp4", frames, 25, noise)
    (said,) = talk(system, photo, driving_video=tmp_path / "noise.mp4").notes
    assert "hardly any voice is heard" in said
    write_video(tmp_path / "silent.mp4", frames, 25, silence)
    with pytest.raises(UserError, match=r"silent\.mp4 is silent from beginning to end"):
        talk(system, photo, driving_video=tmp_path / "silent.mp4")
    follower = replace(system, needs=frozenset({"landmarks"}))
    assert talk(follower, photo, driving_video=make_clip(tmp_path / "film.mp4", 6, sound=False)).notes == ()


def test_of_two_faces_the_chosen_one_speaks(system, portrait, speech, tmp_path):
    """The larger one, on the right, unless one says otherwise; then a line says that there are two."""
    smaller = np.asarray(Image.fromarray(portrait).resize((240, 240)))
    both = np.concatenate([np.pad(smaller, ((60, 0), (0, 0), (0, 0)), mode="edge"), portrait], axis=1)
    Image.fromarray(both).save(tmp_path / "two.png")
    face = predict_landmarks(portrait, detect_face(portrait))[MOUTH].mean(axis=0)
    mouths = {"left": face * 0.8 + np.array([0, 60]), "right": face + np.array([240, 0])}
    for which, speaks in (("left", "left"), (1, "left"), ("2", "right"), ("largest", "right")):
        video = talk(system, tmp_path / "two.png", speech, face=which, mark=False)
        image = list(video)[5].image
        for side, mouth in mouths.items():
            x, y = mouth.round().astype(int)
            assert (image[y - 2 : y + 3, x - 2 : x + 3].max() < 25) == (side == speaks)
        assert any("shows 2 faces; the largest one speaks" in note for note in video.notes) == (which == "largest")
    with pytest.raises(UserError, match="shows 2 face"):
        talk(system, tmp_path / "two.png", speech, face="3")


def test_who_must_not_be_animated_is_refused(system, portrait, photo, speech, tmp_path):
    (tmp_path / "people").mkdir()
    Image.fromarray(portrait[:, ::-1]).save(tmp_path / "people" / "her.png")
    with pytest.raises(UserError, match=r"photo\.png shows who must not be animated, by .*her\.png"):
        talk(system, photo, speech, refused=people_in(tmp_path / "people"))


def test_an_unhappy_choice_is_one_line(system, photo, speech, tmp_path):
    for options, words in (
        ({"emotion": "HAP"}, "--emotion: made_up shows none; maity does"),
        ({"size": 20}, "--size: 20"),
        ({"fps": 1000}, "--fps: 1000"),
        ({"fit": "longest"}, "--fit: longest is none of shortest, speech, loop"),
        ({"seed": -1}, "--seed: -1"),
    ):
        with pytest.raises(UserError, match=words):
            talk(system, photo, speech, **options)
    with pytest.raises(UserError, match="driven by speech: give --audio"):
        talk(system, photo)
    (tmp_path / "there.mp4").write_text("a year's work")
    with pytest.raises(UserError, match="exists already"):
        talk(system, photo, speech).save(tmp_path / "there.mp4")
    assert (tmp_path / "there.mp4").read_text() == "a year's work"


def test_a_driving_video_that_drives_nothing_is_said(system, photo, speech):
    (note,) = talk(system, photo, speech, driving_video="them.mp4").notes
    assert note == "made_up is driven by speech alone: them.mp4 is not looked at"


def of_grey(value, n_frames, fps, width=40, height=30):
    frames = [Frame(np.full((height, width, 3), value + k, np.uint8), None) for k in range(n_frames)]
    return Video(width, height, fps, n_frames, None, (), (), lambda: iter(frames))


def test_what_cannot_be_compared_is_one_line():
    with pytest.raises(UserError, match="nothing to compare"):
        compare({})
    with pytest.raises(UserError, match="--size: 20"):
        compare({"one": of_grey(10, 5, 25)}, size=20)


def test_systems_stand_side_by_side_in_step():
    both = compare({"left": of_grey(10, 50, 25), "right": of_grey(100, 60, 50)})
    frames = list(both)
    assert len(frames) == len(both) == 30 and both.fps == 25 and both.width == 80
    for k, frame in enumerate(frames):
        assert frame.image.shape == (both.height, both.width, 3)
        # Of 50 a second, the one that is seen in the middle of this one.
        assert (frame.image[:30, :40] == 10 + k).all() and (frame.image[:30, 40:] == 100 + 2 * k + 1).all()
    strip = frames[0].image[30:]
    assert all(strip[:, side].max() > 100 for side in (slice(0, 40), slice(40, 80))) and strip[0].max() == 0


@pytest.mark.parametrize(("size", "width"), [(None, 1920), (800, 800)])
def test_a_row_is_as_wide_as_a_screen_or_as_asked(size, width):
    three = {name: of_grey(9, 2, 25, 1280, 720) for name in ("a", "b", "c")}
    assert compare(three, size).width == pytest.approx(width, abs=6) and compare(three, size).width % 2 == 0


def test_the_library_is_light():
    """A stage imports `pipeline` for a module of it; and what takes seconds to load is left to who needs it."""
    script = "import sys, pipeline; print(*sys.modules); pipeline.talk; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    before, after = (set(line.split()) for line in done.stdout.splitlines())
    assert not {"numpy", "pipeline.talking"} & before and {"numpy", "pipeline.talking"} <= after
    assert not {"torch", "pandas", "pyarrow", "scipy.signal", "librosa", "pydantic", "dvc"} & after


def test_the_checksum_is_that_of_the_weights_one_after_another(tmp_path):
    for name in ("card.yaml", "blink.safetensors", "audio_to_landmark.safetensors", "landmark_to_texture.safetensors"):
        (tmp_path / name).write_bytes((SHIPPED / name).read_bytes())
    whole = b"".join(path.read_bytes() for path in sorted(tmp_path.glob("*.safetensors")))
    assert load_system(tmp_path).checksum == hashlib.sha256(whole).hexdigest()[:12]


def test_who_only_draws_waits_for_no_library_of_trainings():
    heavy = {"dask", "kornia", "lightning_fabric", "librosa", "matplotlib", "pandas", "pyarrow", "pydantic"}
    code = f"import sys; from pipeline import load_system; load_system({str(SHIPPED)!r}); print(*{heavy} & {{*sys.modules}})"
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        == "\n"
    )
