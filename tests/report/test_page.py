import cv2
import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline.corpus.layouts import EMOTIONS
from pipeline.corpus.shards import in_shards, write_shards
from pipeline.evaluation.generated import Compared
from pipeline.features.blinks import Blinks
from pipeline.report import pictures
from pipeline.report.page import LABELS, MOTION_LABELS, SILENCE_LABELS, render_page
from pipeline.report.pictures import blink_distributions, confusion_matrices, contact_sheet, loss_curves, with_header
from pipeline.report.report import emotion_grid, perceptual_origins, silence_sheets
from pipeline.training.trained import CARD, CARD_KEYS, FORM

FIGURES = {
    "maity": {
        "accuracy": 0.25,
        "accuracy_own_emotion": 1,
        "accuracy_other_emotion": 0.1,
        "recall": dict.fromkeys(EMOTIONS, 0.5) | {"SAD": None},
    }
}


@pytest.fixture
def content():
    """What the page of a corpus without emotion labels needs, of one system that nobody showed silence."""
    return {
        "means": {"kesim_erzin_speech": dict.fromkeys(LABELS, 0.5) | {"au_f1": None}},
        "intervals": {"kesim_erzin_speech": dict.fromkeys(LABELS) | {"lmd": [0.4, 0.6]}},
        "common": {"size": 64, "means": {"kesim_erzin_speech": dict.fromkeys(LABELS, 0.5) | {"au_f1": None}}},
        "signature": "crop: 64 px",
        "n_clips": 3,
        "split": "test",
        "preprocessing": {"clips": 9, "subjects": 2, "rejected": 0, "frames": 450},
        "motion": {"kesim_erzin_speech": dict.fromkeys(MOTION_LABELS, 0.25)},
        "perceptual": {"chen_s": {"weights": "random", "detail": "seed 0, width 0.25"}, "maity": None},
        "recognised_units": ["AU10", "AU14"],
        "recognition": {
            "au_classifier": {"train": {"AU10": {"f1": 0.9, "accuracy": 0.8}, "mean_f1": 0.9, "mean_accuracy": None}}
        },
        "action_units": {
            "kesim_erzin_speech": {"f1": {"AU10": 0.75, "AU14": None}, "accuracy": {"AU10": 0.5, "AU14": None}}
        },
        "silence": {},
        "silence_sheets": {},
        "emotions": None,
        "emotion_pictures": {},
        "charts": {},
        "maps": {},
        "systems": ["kesim_erzin_speech"],
        "clips": {},
        "sheets": {},
    }


def test_sections_without_content_are_absent(content):
    page = render_page(**content)
    assert page.startswith("<!doctype html>")
    assert "<h2>Emotions" not in page and "<h2>Silence" not in page and "[0.400, 0.600]" in page
    assert "<td>0.750 <small>(0.500)</small><td>–</tr>" in page.replace("\n", "")


def test_one_size_for_all_is_said_and_another_has_a_table(content):
    page = render_page(**content).replace("\n", " ")
    assert "All frames are of 64 px, the common size" in page and page.count("<th>PSNR") == 1
    of_another = {"size": 128, "means": {"kesim_erzin_speech": dict.fromkeys(LABELS, 0.25)}}
    content["common"] = of_another | {"intervals": content["intervals"]}
    page = render_page(**content).replace("\n", " ")
    assert "brought to 128 px" in page and page.count("<th>PSNR") == 2 and "<td>0.250" in page


def test_what_a_perceptual_loss_was_made_of_is_said(content):
    assert "chen_s:random weights of VGG-19 (seed 0, width 0.25)" in render_page(**content).replace("\n", "")


def test_units_that_never_occur_have_a_dash_and_no_figure(content):
    page = render_page(**content).replace("\n", "")
    assert "<td>au_classifier<td>train<td>0.900 <small>(0.800)</small><td>–<td>0.900 <small>(–)</small></tr>" in page


def test_silence_and_emotions_have_sections_of_their_own(content):
    content |= {
        "silence": {"kesim_erzin_speech": dict.fromkeys(SILENCE_LABELS, 0.0125)},
        "silence_sheets": {"a_clip": "data:image/png;base64,AA"},
        "emotions": FIGURES,
        "emotion_pictures": {"What was recognised": "data:image/png;base64,BB"},
    }
    page = render_page(**content).replace("\n", "")
    assert "<td>kesim_erzin_speech<td>0.0125<td>0.0125" in page and 'alt="a_clip in silence"' in page
    assert "<td>maity<td>0.250<td>1.000<td>0.100<td>0.500" in page and "<td>–</tr>" in page
    assert 'src="data:image/png;base64,BB"' in page


def test_names_stand_above_their_columns():
    sheet = contact_sheet({"one": np.zeros((3, 64, 64, 3), np.uint8)}, step=1)
    headed = with_header(sheet, ["a", "b", "c"])
    assert np.array_equal(headed[-sheet.shape[0] :], sheet)
    ink = (headed[: -sheet.shape[0]] < 128).any(axis=(0, 2))
    left = sheet.shape[1] - 3 * 96
    assert not ink[:left].any() and all(ink[left + 96 * k : left + 96 * (k + 1)].any() for k in range(3))


def test_a_row_of_the_confusion_matrix_is_dark_where_its_clips_are(tmp_path):
    """All recognised: dark along the diagonal, light elsewhere; an empty row is white and no division by nought."""
    matrix = np.diag([4, 4, 4, 4, 4, 0])
    confusion_matrices(tmp_path / "c.png", {"real": matrix, "generated": matrix}, EMOTIONS)
    picture = cv2.imread(str(tmp_path / "c.png"))
    dark = (picture[..., 2] < 60) & (picture[..., 0] > 80)  # the blue of a share of 1
    assert 0.02 < dark.mean() < 0.2


TRUTH = Compared("ground_truth", "ground_truth", "small", "references/small/ground_truth")
FOLLOWS, MAITY = (Compared(name, name, "small", name) for name in ("kesim_erzin_landmark", "maity"))


@pytest.fixture
def data(tmp_path):
    """Two clips of one system: photos as bright as 10 and 20, silence 30, and emotions 100 and on."""

    def write(folder, **clips):
        frames = {clip: np.full((7, 64, 64, 3), value, np.uint8) for clip, value in clips.items()}
        write_shards(tmp_path / folder, ((clip, frames[clip]) for clip in in_shards(frames)))

    write("synthesis/references/small/ground_truth/frames", a=10, b=20)
    write("synthesis/maity/silence", a=30, b=30)
    write("synthesis/kesim_erzin_landmark/frames", a=40, b=40)
    for k, emotion in enumerate(EMOTIONS):
        write(f"synthesis/maity/emotions/{emotion}", a=100 + k, b=110 + k)
    return tmp_path


def test_the_grid_holds_the_photo_and_each_emotion(data):
    grid = emotion_grid(data, MAITY, TRUTH, ["a", "b"])
    left = grid.shape[1] - 7 * 96
    seen = grid[22 + 48 :: 96, left + 80 :: 96, 0]
    assert seen.tolist() == [[10, *range(100, 106)], [20, *range(110, 116)]]


def test_sheets_of_silence_show_the_photo_and_whoever_was_shown_silence(data):
    paths = silence_sheets(data, data / "report", [TRUTH, FOLLOWS, MAITY], {"b"}, step=5, n_photos=3)
    assert [path.stem for path in paths] == ["b"]
    sheet = cv2.imread(str(paths[0]))
    assert sheet.shape[0] == 2 * 96 and sheet[48, -20, 0] == 255  # the photo once, above two frames
    assert sheet[96 + 80, -20, 0] == 30
    assert silence_sheets(data, data / "report", [TRUTH, FOLLOWS], {"b"}, step=5, n_photos=3) == []


def test_every_loss_has_a_panel_with_a_line_for_each_training_that_has_it(tmp_path, monkeypatch):
    """The errors of all trainings first; the phase and the epoch are no losses."""
    monkeypatch.setattr(pictures.plt, "close", lambda *_: None)
    pictures.plt.close("all")
    warm_up = pd.DataFrame(
        {"phase": [1, 2], "epoch": [1, 2], "generator_mouth": [0.5, 0.4], "generator_frame": [None, 7.0]}
    )
    tables = {
        "end_to_end": warm_up.assign(validation_error=0.2),
        "blink": pd.DataFrame({"epoch": [1], "validation_error": [3.0]}),
    }
    loss_curves(tmp_path / "losses.png", tables)
    figure = pictures.plt.gcf()
    panels = {axis.get_title(): axis.get_lines() for axis in figure.axes if axis.get_title()}
    assert list(panels) == ["validation error", "generator mouth", "generator frame"]
    assert [line.get_label() for line in panels["validation error"]] == ["end to end", "blink"]
    (mouth,), (frame,) = panels["generator mouth"], panels["generator frame"]
    assert mouth.get_ydata().tolist() == [0.5, 0.4] and np.isnan(frame.get_ydata()).tolist() == [True, False]
    assert cv2.imread(str(tmp_path / "losses.png")) is not None


def test_whose_perceptual_loss_was_made_of_what_stands_in_the_cards(tmp_path):
    """References have no card, and most systems no such loss."""
    origin = {"weights": "random", "detail": "seed 0, width 0.25"}
    networks = {
        "chen_s": {"end_to_end": {"perceptual": origin}},
        "maity": {"end_to_end": {"perceptual": None}},
        "atvgnet": {"audio_to_landmark": {}, "landmark_to_texture": {}},
    }
    for name, of_system in networks.items():
        (tmp_path / "systems" / name).mkdir(parents=True)
        (tmp_path / "systems" / name / CARD).write_text(
            yaml.safe_dump(dict.fromkeys(CARD_KEYS) | {"form": FORM, "networks": of_system})
        )
    assert perceptual_origins(tmp_path, ["ground_truth", "static", *networks]) == {"chen_s": origin}


def test_a_corpus_without_any_blink_has_a_picture_of_them(tmp_path):
    none = Blinks(np.zeros(3), np.ones(3), np.empty(0), np.empty(0))
    blink_distributions(tmp_path / "blinks.png", {"ground_truth": none, "generated": none}, 25)
    assert cv2.imread(str(tmp_path / "blinks.png")) is not None
