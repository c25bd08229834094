import base64
import json
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline.corpus.layouts import EMOTIONS
from pipeline.corpus.shards import in_shards, write_shards
from pipeline.errors import UserError
from pipeline.evaluation import evaluate, silence
from pipeline.evaluation.generated import Compared
from pipeline.evaluation.motion import summarise_motion
from pipeline.features.blinks import Blinks
from pipeline.report import definitions, pictures, single_file
from pipeline.report.page import (
    NO_FACE,
    PARTS,
    Section,
    Take,
    gallery,
    leaderboard,
    packed,
    players,
    undefined,
    worst_clips,
    write_page,
)
from pipeline.report.pictures import blink_distributions, confusion_matrices, contact_sheet, loss_curves, with_header
from pipeline.report.report import emotion_grid, perceptual_origins, silence_sheets
from pipeline.training.trained import CARD, CARD_KEYS, FORM
from pipeline.video import write_video

ROOT = Path(__file__).parents[2]
SYSTEMS = ["ground_truth", "static", "kesim_erzin_speech", "sinha"]
CLIPS = ["a", "b & <b>", "c"]
N_FRAMES, FPS, CROP = 50, 25, 64
# By clip, the LMD of sinha; by it, b is the worst.
LMD = dict(zip(CLIPS, (0.5, 0.9, 0.1), strict=True))


def text_of(section):
    """A section alone on a page, without the lines' ends."""
    with TemporaryDirectory() as folder:
        write_page(Path(folder), "A page", [], [section])
        return (Path(folder) / "index.html").read_text().split("<main>")[1].split("</main>")[0].replace("\n", "")


def test_every_figure_that_is_measured_has_a_definition():
    still = {"clip": np.tile(np.random.default_rng(0).uniform(0, 64, (68, 2)), (30, 1, 1))}
    assert {*evaluate.METRICS, *evaluate.POOLED} <= set(definitions.METRICS)
    assert set(summarise_motion(still, still, 25)) == set(definitions.MOTION)
    assert set(silence.METRICS) == set(definitions.SILENCE)


def test_a_metric_that_no_system_has_is_no_column_and_is_named():
    means = {"sinha": {"lmd": 0.5, "au_f1": None}, "static": {"lmd": 1.0, "au_f1": None}}
    text = text_of(leaderboard("Table", means, {"sinha": {"lmd": [0.4, 0.6]}}))
    assert text.count("<thead>") == 1 and "LMD (px)\u00a0↓" in text and "AU F1" not in text
    assert "<small>0.400 … 0.600</small>" in text and "▲" not in text
    assert [metric.label for metric in undefined(means)] == ["AU F1"]


def test_what_differs_from_the_still_photo_is_marked_and_what_is_not_compared_is_named():
    means = {name: {"lmd": 0.5, "psnr": 30.0, "no_face": 0.0} for name in ("sinha", "maity")}
    marks = {"sinha": {"lmd": 1, "psnr": -1}, "maity": {"lmd": 0, "psnr": 0}}
    text = text_of(leaderboard("Table", means, {}, marks))
    sinha, maity = text.split("<tbody>")[1].split("<tr>")[1:]
    assert sinha.count("▲") == sinha.count("▼") == 1 and '0.500 <b class="better"' in sinha
    assert "▲" not in maity and "▼" not in maity and "not compared: no face" in text


def test_units_that_never_occur_have_a_dash_and_no_figure():
    networks = {
        "au_classifier": {"train": {"AU10": {"f1": 0.9, "accuracy": 0.8}, "mean_f1": 0.9, "mean_accuracy": None}}
    }
    systems = {"sinha": {"f1": {"AU10": 0.75, "AU14": None}, "accuracy": {"AU10": 0.5, "AU14": None}}}
    content = {"units": ["AU10", "AU14"], "systems": systems, "networks": networks}
    text = text_of(Section("Action units", "action_units", content))
    assert '<td data-value="0.75">0.750<small>0.500</small></td><td>–</td></tr>' in text
    assert (
        '<td data-value="0.9">0.900<small>0.800</small></td><td>–</td><td data-value="0.9">0.900<small>–</small>'
        in text
    )


def test_rejected_clips_have_their_reasons_and_none_is_said():
    row = {"clip": "a", "stage": "clips", "reason": "silent", "detail": "a <b> is silent"}
    text = text_of(Section("Rejected", "rejected", {"reasons": {"clips.silent": 1}, "clips": [row], "sheet": None}))
    assert "<td>a &lt;b&gt; is silent</td>" in text and '<th scope="row">clips.silent</th><td>1</td>' in text
    none = text_of(Section("Rejected", "rejected", {"reasons": {}, "clips": [], "sheet": None}))
    assert "<table" not in none and "None." in none


def test_text_is_escaped():
    text = text_of(leaderboard("<i>", {"<b>sinha": {"lmd": 0.5}}, {}, notes=["a < b"]))
    assert "&lt;i&gt;" in text and "&lt;b&gt;sinha" in text and "a &lt; b" in text and "<b>sinha" not in text


def test_what_is_missing_is_said(tmp_path):
    table = leaderboard("Table", {"sinha": {"lmd": 0.5}}, {})
    write_page(tmp_path, "A page", ["About it."], [table], ["`maity` could not be trained: <no> labels"])
    text = (tmp_path / "index.html").read_text()
    assert "<code>maity</code> could not be trained: &lt;no&gt; labels" in text and "About it." in text
    write_page(tmp_path, "A page", ["About it."], [table])
    assert "Not here" not in (tmp_path / "index.html").read_text()


def test_landmarks_are_packed_as_shares_of_the_crop():
    """The middle of a crop's first pixel, its whole side, a point outside, and a frame without a face."""
    landmarks = np.full((2, 68, 2), np.nan)
    landmarks[0] = 31.5
    landmarks[0, :3] = [(0, 63.5), (-16.5, 80), (31.5, 31.5)]
    found = np.frombuffer(base64.b64decode(packed(Take(Path(), landmarks, 64))), "<i2").reshape(2, 68, 2)
    assert found[0, :3].tolist() == [
        [PARTS / 128, PARTS],
        [-PARTS / 4, round(PARTS * 80.5 / 64)],
        [PARTS / 2, PARTS / 2],
    ]
    assert (found[1] == NO_FACE).all()


def test_the_clips_in_which_a_system_is_worst():
    """More PSNR is better, less LMD, a lag is bad either way; a clip without a value and one among equals are not meant."""
    columns = {
        "psnr": (30, 20, 25, 28, 40),
        "lmd": (1, 2, None, 9, 3),
        "mouth_lag": (0, 3, -5, 1, 0),
        "no_face": (0,) * 5,
    }
    values = {
        clip: {"sinha": {key: column[k] for key, column in columns.items()}, "static": {"psnr": 30}}
        for k, clip in enumerate("abcde")
    }
    assert worst_clips(values) == ["b", "c", "d"]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A page of four systems and three clips, of frames as bright as they are late; the mouths' landmarks move to the right."""
    out, source = tmp_path_factory.mktemp("report"), tmp_path_factory.mktemp("videos")
    landmarks = np.full((N_FRAMES, 68, 2), 20.0) + np.arange(N_FRAMES)[:, None, None] * [0.5, 0]
    landmarks[:, 48:] += np.random.default_rng(0).uniform(-8, 8, (20, 2))
    frames = [np.full((256, 256, 3), 60 + 3 * k, np.uint8) for k in range(N_FRAMES)]
    sound = 0.1 * np.sin(np.arange(N_FRAMES * 16_000 // FPS) / 9)
    clips, values = {}, {}
    for clip in CLIPS:
        for k, system in enumerate(SYSTEMS):
            path = source / system / f"{clip}.mp4"
            write_video(path, frames, FPS, sound, 16_000)
            clips.setdefault(clip, {})[system] = Take(path, landmarks + np.array([0, 8 * (k == 3)]), CROP)
            values.setdefault(clip, {})[system] = {"lmd": LMD[clip] if system == "sinha" else 0.3, "psnr": 20.0 + k}
    lmd, psnr = (0.0, 0.9, 0.7, 0.5), (None, 21.0, 22.0, 23.0)
    means = {system: {"lmd": lmd[k], "psnr": psnr[k]} for k, system in enumerate(SYSTEMS)}
    sections = [
        leaderboard("Table", means, {}, {"sinha": {"lmd": 1, "psnr": 0}}, SYSTEMS[1:], ["lmd", "psnr"]),
        players(out, clips, dict.fromkeys(SYSTEMS, "ground_truth"), FPS, values),
    ]
    write_page(out, "Talking heads", ["Three clips."], sections, ["maity was not trained"])
    return out / "index.html"


@pytest.fixture
def page(browser, report):
    """The page as opened from the disk; it may read what lies beside it alone, and says nothing on the console."""
    yield from visit(browser, report)


def visit(browser, path):
    asked, complaints = [], []
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.on("request", lambda request: asked.append(request.url))
    page.on("requestfailed", lambda request: complaints.append(f"{request.url[:80]}: {request.failure}"))
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_function("[...document.querySelectorAll('video')].every((video) => video.readyState >= 2)")
    yield page
    page.close()
    beside = path.parent.as_uri()
    assert all(url.startswith((beside, "data:", "blob:")) for url in asked) and complaints == []


def column(page):
    return page.locator("tbody th").all_inner_texts()


def times(page):
    return page.evaluate("[...document.querySelectorAll('video')].map((video) => video.currentTime)")


@pytest.mark.slow
def test_a_column_s_head_sorts_best_first_and_then_turns_round(page):
    page.get_by_role("button", name="LMD").first.click()
    assert column(page) == ["ground_truth", "sinha", "kesim_erzin_speech", "static"]
    page.get_by_role("button", name="PSNR").first.click()
    assert column(page) == ["sinha", "kesim_erzin_speech", "static", "ground_truth"]
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
    page.get_by_role("button", name="PSNR").first.press("Enter")
    # What has no figure stays last.
    assert column(page) == ["static", "kesim_erzin_speech", "sinha", "ground_truth"]
    page.get_by_role("button", name="system").click()
    assert column(page) == sorted(SYSTEMS)


@pytest.mark.slow
def test_videos_play_in_step_and_are_moved_together(page):
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('video').currentTime > 1.2")
    now = times(page)
    assert len(now) == 4 and np.ptp(now) < 0.08 and min(now) > 1
    heard = page.evaluate("[...document.querySelectorAll('video')].map((video) => !video.muted)")
    assert heard == [True, False, False, False]
    page.get_by_role("button", name="Pause").click()
    page.locator("#scrub").fill("0.4")
    page.wait_for_function("[...document.querySelectorAll('video')].every((video) => !video.seeking)")
    assert times(page) == pytest.approx([10.5 / FPS] * 4)
    # One that falls behind catches up.
    page.get_by_role("button", name="Play").click()
    page.evaluate("document.querySelectorAll('video')[2].currentTime = 0")
    page.wait_for_function("document.querySelector('video').currentTime > 1.4")
    assert np.ptp(times(page)) < 0.08
    # At the end all stop, and begin anew.
    page.wait_for_function("document.querySelector('video').ended")
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('video').currentTime < 1")


@pytest.mark.slow
def test_a_figure_leads_to_its_worst_clip(page):
    page.get_by_role("button", name="sinha, LMD").click()
    assert page.locator("#clip").input_value() == "b & <b>"
    assert page.locator("#clip option").all_inner_texts() == ["b & <b>: 0.900", "a: 0.500", "c: 0.100"]
    assert page.locator("figure.marked figcaption").inner_text() == "sinha 0.900"
    assert "the worst of sinha by LMD (px) first" in page.get_by_role("status").inner_text()
    page.wait_for_function("[...document.querySelectorAll('video')].every((video) => video.readyState >= 2)")
    assert page.locator("video").first.evaluate("(video) => video.duration") == pytest.approx(N_FRAMES / FPS, abs=0.1)
    page.get_by_role("button", name="next clip").click()
    assert page.locator("#clip").input_value() == "a"
    page.locator("#order").select_option("")
    assert page.locator("#clip option").all_inner_texts() == CLIPS


@pytest.mark.slow
def test_landmarks_lie_where_they_were_found(page):
    """The real ones' first point at 20 + k/2 of 64 pixels; sinha's lie 8 lower, over the real ones."""
    page.get_by_label("landmarks").check()
    page.locator("#scrub").fill(str(20 / FPS))
    page.wait_for_function("[...document.querySelectorAll('video')].every((video) => !video.seeking)")
    page.wait_for_timeout(200)
    box = """(canvas, channel) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height), x = [], y = [];
      for (let k = 0; k < data.length; k += 4)
        if (data[k + 3] > 200 && (data[k + 1] > data[k]) === (channel === "green"))
          { x.push(k / 4 % canvas.width); y.push(Math.floor(k / 4 / canvas.width)); }
      return x.length ? [Math.min(...x), Math.max(...x), Math.min(...y), Math.max(...y)].map((v) => v / canvas.width) : null;
    }"""
    mouth = 20 + np.random.default_rng(0).uniform(-8, 8, (20, 2)) + [10, 0]
    ends = np.array([mouth.min(0), mouth.max(0)]).T.ravel()
    canvases = page.locator("canvas")
    assert canvases.nth(0).evaluate(box, "green") == pytest.approx((ends + 0.5) / CROP, abs=0.015)
    assert canvases.nth(0).evaluate(box, "pink") is None
    lower = ends + np.array([0, 0, 8, 8])
    assert canvases.nth(3).evaluate(box, "pink") == pytest.approx((lower + 0.5) / CROP, abs=0.015)
    page.get_by_label("landmarks").uncheck()
    assert canvases.nth(3).evaluate(box, "pink") is None


@pytest.mark.slow
def test_all_is_reached_by_keys(page):
    page.get_by_role("button", name="static, PSNR").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.locator("#clip").input_value() == "b & <b>" and page.locator("#order").input_value() == "sinha"
    assert page.evaluate("document.activeElement.id") == "play"
    page.keyboard.press("Space")
    page.wait_for_function("document.querySelector('video').currentTime > 0.2")
    page.keyboard.press("Space")
    assert page.evaluate("[...document.querySelectorAll('video')].every((video) => video.paused)")
    frame = np.floor(times(page)[0] * FPS + 0.01)
    page.keyboard.press("ArrowRight")
    page.wait_for_function("[...document.querySelectorAll('video')].every((video) => !video.seeking)")
    assert times(page) == pytest.approx([(frame + 1.5) / FPS] * 4)
    for key, clip in (("n", "a"), ("n", "c"), ("p", "a")):
        page.keyboard.press(key)
        assert page.locator("#clip").input_value() == clip
    page.keyboard.press("l")
    assert page.get_by_label("landmarks").is_checked()
    # Tab goes through the table in a few steps, however many figures it has, and what has the focus shows it.
    page.get_by_role("button", name="system").focus()
    for _ in range(4):
        page.keyboard.press("Tab")
        style = "getComputedStyle(document.activeElement)"
        assert page.evaluate(f"{style}.outlineStyle + {style}.outlineWidth") == "solid3px"
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


@pytest.mark.slow
def test_systems_can_be_hidden(page):
    page.get_by_text("Which are shown").click()
    page.get_by_role("checkbox", name="static").uncheck()
    assert page.locator("figure:visible").count() == 3
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('video').currentTime > 0.3")
    assert page.locator("figure[data-system=static] video").evaluate("(video) => video.paused")


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 360, 768])
def test_nothing_is_wider_than_a_phone(page, width):
    page.set_viewport_size({"width": width, "height": 740})
    page.get_by_text("What the figures mean").click()
    page.get_by_text("Which are shown").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if width == 360:
        assert page.evaluate(
            "document.querySelectorAll('figure')[1].offsetTop === document.querySelector('figure').offsetTop"
        )


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_read_by_day_and_by_night(page, scheme):
    """Every text against what lies behind it: a contrast of 4.5 (WCAG 2.2, 1.4.3)."""
    page.emulate_media(color_scheme=scheme)
    page.get_by_text("What the figures mean").click()
    contrasts = page.evaluate("""() => {
      const rgb = (colour) => colour.match(/[\\d.]+/g).map(Number);
      const light = (colour) => [0.2126, 0.7152, 0.0722].reduce((sum, part, k) => {
        const c = rgb(colour)[k] / 255;
        return sum + part * (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
      }, 0);
      const behind = (element) => {
        const colour = getComputedStyle(element).backgroundColor;
        return (rgb(colour)[3] ?? 1) ? colour : behind(element.parentElement);
      };
      return [...document.querySelectorAll("body *")]
        .filter((element) => element.innerText?.trim() && element.checkVisibility())
        .map((element) => {
          const [a, b] = [light(getComputedStyle(element).color), light(behind(element))].sort((x, y) => y - x);
          return [(a + 0.05) / (b + 0.05), element.outerHTML.slice(0, 80)];
        });
    }""")
    assert len(contrasts) > 30 and min(contrasts)[0] >= 4.5, min(contrasts)


@pytest.mark.slow
def test_all_in_one_file_plays_as_well(browser, report, tmp_path, monkeypatch):
    whole = tmp_path / "elsewhere" / "whole.html"
    monkeypatch.setattr(sys, "argv", ["single_file", str(report.parent), "-o", str(whole)])
    single_file.main()
    assert [path.name for path in whole.parent.iterdir()] == ["whole.html"]
    for page in visit(browser, whole):
        page.get_by_label("landmarks").check()
        page.get_by_role("button", name="sinha, LMD").click()
        page.get_by_role("button", name="Play").click()
        page.wait_for_function("document.querySelector('video').currentTime > 1")
        assert np.ptp(times(page)) < 0.08
        page.wait_for_function("Object.keys(landmarksOf).length > 0")


def test_one_file_holds_the_same_bytes(tmp_path):
    (tmp_path / "a picture.png").write_bytes(b"\x89PNG picture")
    (tmp_path / "a.mp4").write_bytes(b"video")
    take = {"sinha": Take(tmp_path / "a.mp4", None, CROP)}
    sections = [
        gallery(tmp_path, "Pictures", {"One": tmp_path / "a picture.png"}),
        players(tmp_path, {"</script>": take}, {"sinha": "sinha"}, FPS, {}),
    ]
    write_page(tmp_path, "A page", [], sections)
    text = single_file.single_file(tmp_path / "index.html")
    clip = json.loads(single_file.DATA.search(text)[0])["clips"]["</script>"]
    addresses = re.search(r' src="([^"]+)"', text)[1], clip["videos"]["sinha"], clip["landmarks"]
    embedded = [urlopen(address).read() for address in addresses]
    assert embedded[:2] == [b"\x89PNG picture", b"video"] and embedded[2].startswith(b"receiveLandmarks")
    (tmp_path / "a picture.png").unlink()
    with pytest.raises(UserError, match=r"shows a picture.png, which does not exist"):
        single_file.single_file(tmp_path / "index.html")
    with pytest.raises(UserError, match="`dvc repro report` makes it"):
        single_file.single_file(tmp_path / "none" / "index.html")


def test_the_page_of_docs_report_md_is_made(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/report.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    for name in ("real", "mine"):
        Path(f"{name}.mp4").write_bytes(name.encode())
    exec(code, {})
    text = Path("my_page/index.html").read_text()
    assert 'aria-label="mine, LMD (px) 0.600: its worst clip"' in text and text.count("<video") == 2
    assert Path("my_page/videos/mine/clip1.mp4").read_bytes() == b"mine"


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
