"""Photos as people have them: every kind of picture is read as what it shows, every kind of fault is named in one line."""

import io
import logging
import struct
import zlib

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from pipeline.errors import UserError
from pipeline.features.alignment import template
from pipeline.features.detection import detect_face, predict_landmarks
from pipeline.features.landmarks import turned_away
from pipeline.photo import doubts, face_of, faces_in, read_photo
from pipeline.systems.preprocessing import Preprocessing
from pipeline.systems.system import System

RAMP = np.tile(np.linspace(0, 255, 64).round().astype(np.uint8), (48, 1))  # grey, black to white from left to right


@pytest.fixture
def system(portrait):
    """A system's preprocessing alone, by a template of the portrait's own face."""
    face = predict_landmarks(portrait, detect_face(portrait))
    landmarks = {"backend": "dlib", "redetect_every": 25, "max_missing": 0.1}
    values = {"fps": 25.0, "landmarks": landmarks, "face_parsing": None, "transform": "per_frame", "image_size": 64}
    preprocessing = Preprocessing.of(values | {"template": template(face[None], 64, 0.3, 0.34).tolist()})
    return System("made_up", {}, frozenset(), preprocessing, None, None)


@pytest.fixture
def said(caplog):
    """The warnings since."""
    caplog.set_level(logging.WARNING)
    return lambda: [record.getMessage() for record in caplog.records]


def colours():
    """Four quarters: red, green, blue, grey."""
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, :32], image[:24, 32:], image[24:, :32], image[24:, 32:] = (
        (200, 30, 30),
        (30, 160, 30),
        (30, 30, 220),
        128,
    )
    return image


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (RAMP.astype(np.uint16) * 257, "16.tif"),
        (RAMP.astype(np.uint16) * 257, "16.png"),
        (RAMP.astype(np.uint16) * 16, "12 in 16.tif"),
        (RAMP.astype(np.int32), "8 in 32.tif"),
        (RAMP.astype(np.float32) / 255, "shares.tif"),
        (RAMP.astype(np.float32), "floats to 255.tif"),
        (np.where(RAMP == 0, np.nan, RAMP).astype(np.float32) / 255, "gaps.tif"),
    ],
)
def test_wide_numbers_are_scaled_not_whitened(tmp_path, values, name):
    Image.fromarray(values).save(tmp_path / name)
    photo = read_photo(tmp_path / name)[0]
    assert photo.shape == (48, 64, 3) and np.abs(photo.astype(int) - RAMP[..., None]).max() <= 1


@pytest.mark.parametrize(
    ("mode", "name", "error"),
    [("P", "a.png", 1), ("P", "a.gif", 1), ("CMYK", "a.tif", 1), ("CMYK", "a.jpg", 12), ("RGBA", "a.webp", 12)],
)
def test_colours_of_every_kind(tmp_path, mode, name, error):
    picture = Image.fromarray(colours())
    (picture.quantize(8) if mode == "P" else picture.convert(mode)).save(tmp_path / name)
    inner = np.s_[4:20, 4:28]
    assert np.abs(read_photo(tmp_path / name)[0].astype(int) - colours())[inner].max() <= error


def test_grey_of_every_kind(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "grey.png")
    Image.fromarray(np.where(RAMP > 127, 255, 0).astype(np.uint8)).convert("1").save(tmp_path / "one_bit.png")
    see_through = Image.merge("LA", [Image.fromarray(RAMP), Image.new("L", (64, 48), 0)])
    see_through.save(tmp_path / "seen_through.png")
    assert (read_photo(tmp_path / "grey.png")[0] == RAMP[..., None]).all()
    assert (read_photo(tmp_path / "one_bit.png")[0] == np.where(RAMP > 127, 255, 0)[..., None]).all()
    assert (read_photo(tmp_path / "seen_through.png")[0] == 255).all()


def test_a_colour_profile_counts(tmp_path):
    """By a profile of XYZ in RGB's place, whose numbers mean other colours; and one that is damaged, which is left out."""
    grey = Image.new("RGB", (8, 8), (128, 128, 128))
    srgb = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    # Red and blue change places, in the table of what the profile holds.
    places = {bytes(srgb[at : at + 4]): at for at in range(132, 132 + 12 * struct.unpack(">I", srgb[128:132])[0], 12)}
    red, blue = places[b"rXYZ"], places[b"bXYZ"]
    srgb[red : red + 4], srgb[blue : blue + 4] = srgb[blue : blue + 4], srgb[red : red + 4]
    named = (
        bytes(srgb)
        .replace("sRGB".encode("utf-16-be"), "XXXX".encode("utf-16-be"))
        .replace(b"sRGB built-in", b"XXXX built-in")
    )
    swapped = Image.fromarray(colours()[..., ::-1].copy())
    swapped.save(tmp_path / "swapped.png", icc_profile=named)
    grey.save(tmp_path / "damaged.png", icc_profile=b"no profile at all")
    assert np.abs(read_photo(tmp_path / "swapped.png")[0].astype(int) - colours()).max() <= 2
    assert (read_photo(tmp_path / "damaged.png")[0] == 128).all()


def test_heic_as_phones_have_it(tmp_path):
    pillow_heif.from_pillow(Image.fromarray(colours())).save(tmp_path / "photo.heic", quality=95)
    assert np.abs(read_photo(tmp_path / "photo.heic")[0].astype(int) - colours())[4:20, 4:28].max() <= 8


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_a_photo_that_was_taken_sideways_is_upright(tmp_path, name):
    stored = Image.fromarray(RAMP)
    exif = stored.getexif()
    exif[0x0112] = 6  # is to be turned by a quarter to the right
    stored.save(tmp_path / name, exif=exif)
    Image.fromarray(RAMP.astype(np.uint16) * 257).save(tmp_path / "wide.png", exif=exif)
    for path in (tmp_path / name, tmp_path / "wide.png"):
        photo = read_photo(path)[0]
        assert photo.shape == (64, 48, 3) and photo[0].max() < 10 and photo[-1].min() > 245


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.tif"])
def test_of_an_animation_the_first_picture_is_taken_and_that_is_said(tmp_path, name):
    first, second = (Image.new("RGB", (32, 32), colour) for colour in ("red", "blue"))
    first.save(tmp_path / name, save_all=True, append_images=[second])
    photo, said = read_photo(tmp_path / name)
    assert photo[16, 16, 0] > 200 > 50 > photo[16, 16, 2]
    assert said == [f"{tmp_path / name} holds 2 pictures; the first is taken"]


def picture_of(pixels, tmp_path):
    """A PNG that says that it has so many pixels, which is all that is read of it."""
    content = io.BytesIO()
    Image.new("L", (8, 8)).save(content, "PNG")
    header = bytearray(content.getvalue())
    header[16:24] = struct.pack(">II", pixels // 1000, 1000)
    header[29:33] = struct.pack(">I", zlib.crc32(header[12:29]))
    return bytes(header)


def cut_off(tmp_path):
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)).save(content, "JPEG")
    return content.getvalue()[:2000]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda _: b"", "has zero bytes"),
        (lambda _: b"This is a letter.", "is no picture in a known format; save it as JPEG or PNG"),
        (
            lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
            "is a git-lfs pointer: run `git lfs pull`",
        ),
        (cut_off, r"is damaged or cut off \(image file is truncated"),
        (lambda path: picture_of(200_000_000, path), "has more than 179 million pixels; save it smaller"),
    ],
    ids=["empty", "text", "lfs", "cut off", "too large"],
)
def test_what_is_no_picture_is_one_line(tmp_path, content, words):
    path = tmp_path / "photo.jpg"
    path.write_bytes(content(tmp_path))
    with pytest.raises(UserError, match=rf"photo\.jpg {words}") as refused:
        read_photo(path)[0]
    assert "\n" not in str(refused.value)


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.jpg does not exist"):
        read_photo(tmp_path / "nowhere.jpg")[0]
    with pytest.raises(UserError, match=f"{tmp_path} is not a file"):
        read_photo(tmp_path)[0]


def test_whatever_is_damaged_is_one_line(tmp_path):
    """A hundred pictures with bytes changed: each is read, or refused."""
    rng, kinds = np.random.default_rng(0), ("PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP")
    refused = 0
    for k in range(102):
        content = io.BytesIO()
        Image.fromarray(colours()).save(content, kinds[k % len(kinds)])
        damaged = bytearray(content.getvalue())
        for at in rng.integers(0, min(len(damaged), 400), 3):
            damaged[at] = rng.integers(256)
        (tmp_path / "photo").write_bytes(damaged)
        try:
            assert read_photo(tmp_path / "photo")[0].dtype == np.uint8
        except UserError:
            refused += 1
    assert 10 < refused < 100


# Faces.


def on_ground(portrait, *places, size=(400, 900)):
    """Copies of the portrait's head on a grey ground; places: width, left, top of each."""
    ground = np.full((*size, 3), 110, np.uint8)
    for width, left, top in places:
        ground[top : top + width, left : left + width] = cv2.resize(
            portrait, (width, width), interpolation=cv2.INTER_AREA
        )
    return ground


def test_faces_are_counted_from_the_left_and_one_is_chosen(system, portrait):
    photo = on_ground(portrait, (300, 0, 50), (400, 310, 10), (300, 740, 50), size=(420, 1050))
    boxes = faces_in(photo)
    assert [round(float(box[0] + box[2]) / 2) // 350 for box in boxes] == [0, 1, 2]
    for which, place in {"left": 0, "right": 2, "largest": 1, 1: 0, "2": 1, 3: 2}.items():
        face = face_of(system, photo, "p.jpg", which)
        x, y = (np.linalg.inv(face.matrix[:, :2]) @ (face.landmarks[33] - face.matrix[:, 2])).tolist()
        assert face.in_photo[33] == pytest.approx((x, y), abs=0.01)
        assert (face.notes != ()) == (which == "largest")
        left, top, right, bottom = boxes[place]
        assert left < x < right and top < y < bottom, which
    for which in (4, 0, "middle"):
        with pytest.raises(UserError, match=r"p\.jpg shows 3 faces: choose left, right, largest, or a number"):
            face_of(system, photo, "p.jpg", which)


def rolled(portrait, degrees):
    turn = cv2.getRotationMatrix2D((142, 126), degrees, 1)
    turn[:, 2] += [200 - 142, 200 - 126]
    return cv2.warpAffine(portrait, turn, (400, 400), borderMode=cv2.BORDER_CONSTANT, borderValue=(120, 120, 120))


@pytest.mark.parametrize(
    ("degrees", "how"),
    [
        (90, "by a quarter to the left"),
        (-90, "by a quarter to the right"),
        (65, "by a quarter to the left"),
        (180, "upside down"),
    ],
)
def test_a_face_that_lies_is_refused_by_which_way(system, portrait, degrees, how):
    with pytest.raises(UserError, match=rf"the face in p\.jpg lies, turned {how}; turn the photo upright"):
        face_of(system, rolled(portrait, degrees), "p.jpg")


@pytest.mark.parametrize("degrees", [0, 35])
def test_a_face_that_leans_is_taken_without_a_word(system, portrait, degrees):
    assert not face_of(system, rolled(portrait, degrees), "p.jpg").notes


def yawed(portrait, degrees):
    """The portrait's head turned, as if it were painted on a ball of the face's width that turns behind the picture."""
    radius, x0 = 62, 142
    x, y = np.meshgrid(np.arange(300, dtype=np.float32), np.arange(300, dtype=np.float32))
    here = np.clip((x - x0) / radius, -1, 1)
    there = np.arcsin(here) - np.radians(degrees) * np.sqrt(1 - here**2)
    return cv2.remap(
        portrait, x0 + radius * np.sin(there).astype(np.float32) + (x - x0 - here * radius), y, cv2.INTER_LINEAR
    )


def test_a_face_that_is_half_turned_is_taken_without_a_word(system, portrait):
    assert not face_of(system, yawed(portrait, 30), "p.jpg").notes


def test_a_face_that_is_turned_away_is_warned_about(portrait):
    """Its nose moved along the line of the eyes by known shares of half of the jaw's width."""
    landmarks = predict_landmarks(portrait, detect_face(portrait))
    along = (landmarks[16] - landmarks[0]) / 2
    for share, warned in ((0.3, False), (-0.3, False), (0.6, True), (-0.6, True)):
        landmarks[30] = (landmarks[0] + landmarks[16]) / 2 + share * along
        said = ["the face is turned away; the half that is not seen is drawn badly"] if warned else []
        assert doubts(portrait, landmarks, 0) == said


def test_how_far_a_face_is_turned_by_a_head_in_space():
    """The tip of the nose half of the jaw's width in front of its ends, the head turned by a known angle."""
    landmarks = np.zeros((68, 2))
    for degrees in (-40, 0, 25):
        a = np.radians(degrees)
        space = {
            0: (-5, 0),
            16: (5, 0),
            30: (0, 5),
            **dict.fromkeys(range(36, 42), (-2, 3)),
            **dict.fromkeys(range(42, 48), (2, 3)),
        }
        for point, (x, z) in space.items():
            landmarks[point] = x * np.cos(a) + z * np.sin(a), 0
        assert turned_away(landmarks) == pytest.approx(np.tan(a), abs=1e-9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda portrait: (portrait * 0.2).astype(np.uint8), "too dark"),
        (lambda portrait: np.clip(portrait * 1.5, 0, 255).astype(np.uint8), "much of the face is white"),
    ],
    ids=["dark", "blown out"],
)
def test_a_photo_that_is_too_dark_or_too_bright_is_warned_about(system, portrait, change, words):
    assert any(words in note for note in face_of(system, change(portrait), "p.jpg").notes)


def drawn():
    """A face as a child of comics has it: large eyes, hardly a nose, a line for a mouth."""
    image = np.full((300, 300, 3), 200, np.uint8)

    def oval(x, y, width, height, colour):
        cv2.ellipse(image, (150 + x, 150 + y), (width, height), 0, 0, 360, colour, -1, cv2.LINE_AA)

    oval(0, -20, 95, 115, (60, 40, 20))
    oval(0, 0, 80, 105, (240, 200, 170))
    for x in (-36, 36):
        oval(x, 5, 20, 26, (255, 255, 255))
        oval(x, 8, 13, 20, (40, 60, 140))
        oval(x - 4, 0, 4, 6, (255, 255, 255))
        cv2.ellipse(image, (150 + x * 34 // 36, 116), (22, 10), 0, 200, 340, (50, 30, 20), 5, cv2.LINE_AA)
    cv2.line(image, (150, 180), (153, 186), (180, 130, 110), 2, cv2.LINE_AA)
    cv2.ellipse(image, (150, 205), (14, 9), 0, 0, 180, (170, 60, 60), 2, cv2.LINE_AA)
    return image


def test_a_drawn_face_that_holds_no_landmarks_is_refused(system):
    with pytest.raises(UserError, match=r"what is in p\.jpg is hardly a face \(score 0\.\d+, landmarks within 0\.\d+"):
        face_of(system, drawn(), "p.jpg")


def test_a_picture_that_is_too_small_says_so(system, portrait):
    with pytest.raises(UserError, match=r"p\.jpg has only 40×40 px; use a photo with the face at least 80 px wide"):
        face_of(system, cv2.resize(portrait, (40, 40)), "p.jpg")


def test_real_portraits_have_a_face_each_and_no_doubts_but_one(system, real_clips):
    """The one that is turned away by half a right angle; and of five friends, the sixth is none."""
    said = []
    for path in sorted((real_clips / "portraits").iterdir()):
        if not path.name.startswith("edge_"):
            said += face_of(system, read_photo(path)[0], path).notes
    assert len(said) == 1 and "atvg_image_sample.jpg: the face is turned away" in said[0]
    assert 3 <= len(faces_in(read_photo(real_clips / "portraits/edge_pyfeat_multi_face.jpg")[0])) <= 5
    with pytest.raises(UserError, match="no face was found"):
        face_of(system, read_photo(real_clips / "portraits/edge_no_face.jpg")[0], "p.jpg")
