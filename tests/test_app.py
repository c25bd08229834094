"""The page: what stands behind it, always; and itself in a headless Chromium, where there is one (docs/app.md)."""

import os
import socket
import subprocess
import sys
import time
from concurrent.futures import CancelledError
from pathlib import Path
from urllib.parse import urlsplit

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from pipeline.app import __main__ as command
from pipeline.app import inputs, making
from pipeline.app.making import Wish, before, enqueue
from pipeline.errors import UserError
from pipeline.features.detection import detect_face
from pipeline.refusal import people_in

ROOT = Path(__file__).parents[1]
SHIPPED = "pretrained/sinha"


@pytest.fixture
def photo(portrait, tmp_path):
    Image.fromarray(portrait).save(tmp_path / "me.png")
    return tmp_path / "me.png"


@pytest.fixture
def long_speech(tmp_path):
    """A second more than is taken; Opus needs few bytes for it."""
    with av.open(str(tmp_path / "long.ogg"), "w") as out:
        stream = out.add_stream("libopus", rate=8000, layout="mono", options={"b": "6k"})
        second = (3000 * np.sin(np.arange(8000) * 0.3)).astype(np.int16)[None]
        for k in range(inputs.LONGEST_S + 2):
            frame = av.AudioFrame.from_ndarray(second, "s16", "mono")
            frame.sample_rate, frame.pts = 8000, 8000 * k
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return tmp_path / "long.ogg"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("me.jpg", "me.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\photos\\me.jpg", "me.jpg"),
        ("..", "photo"),
        (".bashrc", "bashrc"),
        ("a\nb;c*.png", "a_b_c_.png"),
        ("née 1.png", "née 1.png"),
        ("x" * 300 + ".png", "x" * 76 + ".png"),
    ],
)
def test_an_upload_stays_in_its_folder_under_a_harmless_name(tmp_path, name, kept):
    path = inputs.place_for(tmp_path, "photo", name)
    assert path == tmp_path / "photo" / kept
    path.write_text("one")
    assert inputs.place_for(tmp_path, "photo", "next.png").parent == path.parent and not path.exists()


def test_what_is_too_large_is_refused():
    inputs.check_size("photo", "me.png", 20_000_000)
    with pytest.raises(UserError, match=r"me.png has 21 MB; at most 20 MB"):
        inputs.check_size("photo", "me.png", 20_600_000)
    with pytest.raises(UserError, match="at most 50 MB"):
        inputs.check_size("speech", "me.wav", 51_000_000)


def test_speech_that_is_too_long_is_refused_and_what_is_within_is_kept_as_it_is_heard(long_speech, tmp_path):
    with pytest.raises(UserError, match=r"long.ogg is longer than 5 minutes"):
        inputs.receive_speech(long_speech)
    sound = 0.4 * np.sin(np.arange(22_050) / 20)
    soundfile.write(tmp_path / "said.flac", sound, 22_050)
    speech = inputs.receive_speech(tmp_path / "said.flac")
    heard, rate = soundfile.read(speech.path)
    assert speech.seconds == len(heard) / rate == 1 and np.abs(heard - sound).max() < 1e-3
    assert not (tmp_path / "said.flac").exists()


def test_speech_in_a_wav_is_heard(tmp_path):
    """What is heard takes the name of the file itself."""
    soundfile.write(tmp_path / "said.wav", 0.4 * np.sin(np.arange(8000) / 9), 8000)
    assert inputs.receive_speech(tmp_path / "said.wav").seconds == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("receive", "name"),
    [(inputs.receive_photo, "me.jpg"), (inputs.receive_speech, "me.wav"), (inputs.receive_driver, "me.mp4")],
)
def test_a_file_that_is_not_what_it_says_is_one_plain_line(tmp_path, receive, name):
    path = inputs.place_for(tmp_path, "kind", name)
    path.write_text("a letter")
    with pytest.raises(UserError) as refused:
        receive(path)
    said = inputs.plain(str(refused.value), tmp_path)
    assert said.startswith(f"{name}") and "\n" not in said and str(tmp_path) not in said


def test_options_of_the_command_are_not_spoken_of():
    assert inputs.plain("--audio: /v/a-b/speech/me.wav is silent", Path("/v/a-b")) == "me.wav is silent"


def test_of_two_faces_the_larger_is_proposed_and_both_are_numbered(portrait, tmp_path):
    smaller = np.asarray(Image.fromarray(portrait).resize((240, 240)))
    both = np.concatenate([portrait, np.pad(smaller, ((60, 0), (0, 0), (0, 0)), mode="edge")], axis=1)
    Image.fromarray(both).save(tmp_path / "two.png")
    found = inputs.receive_photo(tmp_path / "two.png")
    assert (found.n_faces, found.largest) == (2, 1)
    shown = np.asarray(Image.open(found.preview)).astype(int)
    marked = np.abs(shown - both).max(axis=-1) > 90
    for x, face in ((0, portrait), (300, smaller)):
        left, _, right, _ = detect_face(face) + x
        within = marked[:, left - 4 : right + 5]
        assert within.sum() > 0.9 * marked[:, 300 * (x > 0) : 300 + 300 * (x > 0)].sum() > 150


def test_a_single_face_is_shown_as_it_is(photo, portrait):
    found = inputs.receive_photo(photo)
    assert (found.n_faces, found.largest) == (1, 1)
    assert np.abs(np.asarray(Image.open(found.preview)).astype(int) - portrait).mean() < 3


def test_systems_that_ship_come_first_and_untrained_ones_name_their_command(tmp_path):
    choices = inputs.choices(tmp_path)
    assert choices[0].name == SHIPPED and choices[0].trained
    untrained = {choice.name: choice for choice in choices if not choice.trained}
    assert "dvc repro system_maity" in untrained["maity"].about and "not trained" in untrained["maity"].label


def test_what_ships_but_cannot_be_used_says_why(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pretrained" / "half").mkdir(parents=True)
    (tmp_path / "pretrained" / "half" / "card.yaml").write_text("form: [")
    first = inputs.choices(tmp_path)[0]
    assert first.label == "pretrained/half – cannot be used" and not first.trained
    assert "is not the card of a trained system" in first.about


def test_who_must_not_be_animated_is_refused_by_the_page_s_folder(photo, portrait, speech, tmp_path):
    (tmp_path / "people").mkdir()
    Image.fromarray(portrait[:, ::-1]).save(tmp_path / "people" / "eileen.png")
    wish = Wish(SHIPPED, photo, speech, None, 1, None, crop=True, refused=people_in(tmp_path / "people"))
    with pytest.raises(UserError, match=r"me\.png shows who must not be animated, by .*eileen\.png"):
        making.make(making.Task(wish, tmp_path))
    assert not (tmp_path / "talk.mp4").exists()


def test_a_folder_that_protects_nobody_ends_the_page_before_it_begins(tmp_path, monkeypatch):
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: True)
    monkeypatch.setattr(sys, "argv", ["app", "--refuse", str(tmp_path / "nobody")])
    with pytest.raises(SystemExit, match=r"^error: .*nobody is not a folder"):
        command.main()


def test_videos_are_made_one_by_one_each_in_its_own_folder(photo, speech, tmp_path):
    """What is stopped is not made; the others are, with what the network saw of the first seconds."""
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for folder in folders:
        folder.mkdir()
    wish = Wish(SHIPPED, photo, speech, None, 1, None, crop=True)
    tasks = [enqueue(wish, folder) for folder in folders]
    assert [before(task) for task in tasks] == [0, 1, 2]
    tasks[1].stop()
    first, third = tasks[0].future.result(timeout=300), tasks[2].future.result(timeout=300)
    with pytest.raises(CancelledError):
        tasks[1].future.result()
    assert [len(list(folder.iterdir())) for folder in folders] == [2, 0, 2]
    assert first.video.read_bytes() == third.video.read_bytes() and first.video.parent != third.video.parent
    assert tasks[0].done == tasks[0].total == 37 or tasks[0].done == tasks[0].total == 38
    assert first.composed
    with av.open(str(first.seen)) as container:
        stream = container.streams.video[0]
        assert stream.frames == tasks[0].total and stream.width == 4 * making.PANEL


def test_what_is_doubted_of_photo_and_speech_is_said_with_the_video(photo, speech, tmp_path):
    soundfile.write(speech, 0.005 * soundfile.read(speech)[0][:11_025], 22_050)
    first = Image.open(photo)
    first.save(tmp_path / "two.gif", save_all=True, append_images=[first.rotate(1)])
    wish = Wish(SHIPPED, tmp_path / "two.gif", speech, None, 1, None, crop=True)
    notes = making.make(making.Task(wish, tmp_path)).notes
    assert any("two.gif holds 2 pictures" in note for note in notes)
    assert any("very quiet" in note for note in notes)


def test_a_video_that_nobody_waits_for_ends_early(photo, speech, tmp_path):
    task = making.Task(Wish(SHIPPED, photo, speech, None, 1, None, crop=True), tmp_path, stopped=True)
    with pytest.raises(making.Stopped):
        making.make(task)
    assert task.done == 0 and not (tmp_path / "talk.mp4").exists()


def test_the_time_that_is_left_is_told_from_the_time_that_went_by(tmp_path):
    task = making.Task(Wish("", tmp_path, None, None, 1, None, False), tmp_path, done=25, total=100)
    task.began = time.monotonic() - 5
    assert task.seconds_left == pytest.approx(15, abs=0.5)
    task.began = time.monotonic()
    assert task.seconds_left is None


def test_the_next_free_port_is_taken():
    with socket.socket() as taken:
        taken.bind((command.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port < command.free_port(port) < port + command.TRIED
    with pytest.raises(UserError, match="--port"):
        command.free_port(70_000)


def test_without_the_page_s_library_a_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["app"])
    with pytest.raises(SystemExit, match=r"error: the page needs NiceGUI.*`make app`"):
        command.main()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The page, served by its command, in a folder with what ships and nothing else."""
    pytest.importorskip("nicegui", reason="NiceGUI is not installed: make app")
    folder = tmp_path_factory.mktemp("served")
    (folder / "pretrained").symlink_to(ROOT / "pretrained")
    (folder / "uploads").mkdir()
    port = command.free_port(7900)
    # NiceGUI behaves otherwise where it believes to be tested itself.
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env |= {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder / "uploads")}
    call = [sys.executable, "-m", "pipeline.app", "--port", str(port)]
    with subprocess.Popen(call, cwd=folder, env=env, stdout=subprocess.PIPE, text=True) as served:
        try:
            said = next((line.split()[0] for line in served.stdout if line.startswith("http")), None)
            assert said == f"http://127.0.0.1:{port}"
            yield said
        finally:
            served.terminate()
            served.wait(60)
    assert list((folder / "uploads").glob("talking-head-*")) == []


@pytest.fixture
def page(browser, address):
    """A visit, which may speak to the page's own address alone."""
    asked, complaints = [], []
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.set_default_timeout(120_000)
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    page.wait_for_selector("h1")
    yield page
    page.close()
    hosts = {urlsplit(url).hostname for url in asked if urlsplit(url).scheme in ("http", "https", "ws")}
    assert hosts == {"127.0.0.1"} and complaints == []


def give(page, kind, path):
    with page.expect_file_chooser() as chooser:
        page.get_by_role("region", name=kind).get_by_role("button", name="Choose").click()
    chooser.value.set_files(path)


def plays(page, selector):
    """Its length in seconds, when it has been seen to go on."""
    page.wait_for_function(f"document.querySelector('{selector}').readyState >= 2")
    page.evaluate(f"() => {{ const v = document.querySelector('{selector}'); v.muted = true; v.play(); }}")
    page.wait_for_function(f"document.querySelector('{selector}').currentTime > 0.3")
    return page.evaluate(f"document.querySelector('{selector}').duration")


@pytest.mark.slow
def test_a_photo_and_speech_become_a_video_that_plays_and_can_be_kept(page, photo, speech, tmp_path):
    give(page, "Photo", photo)
    page.wait_for_selector('img[alt="Your photo"]')
    assert page.get_by_role("button", name="Let it speak").is_disabled()
    give(page, "Speech", speech)
    page.wait_for_selector("audio")
    page.get_by_role("button", name="Let it speak").click()
    page.get_by_role("region", name="Progress").wait_for()
    page.wait_for_selector('video[aria-label="The video"]')
    assert plays(page, 'video[aria-label="The video"]') == pytest.approx(1.5, abs=0.1)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    download.value.save_as(tmp_path / "kept.mp4")
    with av.open(str(tmp_path / "kept.mp4")) as container:
        assert {stream.type for stream in container.streams} == {"video", "audio"}
        assert "synthetic" in container.metadata["comment"]
    page.get_by_text("What the network sees").click()
    assert plays(page, 'video[aria-label="What the network sees"]') == pytest.approx(1.5, abs=0.1)


@pytest.mark.slow
def test_what_cannot_be_used_is_a_line_on_the_page(page, tmp_path):
    Image.fromarray(np.full((300, 300, 3), 90, np.uint8)).save(tmp_path / "wall.png")
    give(page, "Photo", tmp_path / "wall.png")
    page.get_by_role("alert").get_by_text("no face was found in wall.png").wait_for()
    (tmp_path / "letter.wav").write_text("a letter")
    give(page, "Speech", tmp_path / "letter.wav")
    page.get_by_role("alert").get_by_text("letter.wav").wait_for()
    assert page.get_by_role("button", name="Let it speak").is_disabled()
    assert str(tmp_path) not in page.content()


@pytest.mark.slow
def test_camera_microphone_and_examples(page):
    """Chromium's made-up camera shows no face; its microphone beeps."""
    page.get_by_role("button", name="Camera").click()
    page.wait_for_function("document.querySelector('dialog video')?.videoWidth > 0")
    page.get_by_role("button", name="Take the photo").click()
    page.get_by_role("alert").get_by_text("camera.png").wait_for()
    page.get_by_role("button", name="Microphone").click()
    page.get_by_role("button", name="Stop (0:01)").click()
    page.get_by_text("recording, ").wait_for()
    assert 0.5 < float(page.get_by_text("recording, ").inner_text().split()[1]) < 10
    for n in (0, 1):
        page.get_by_role("button", name="Example").nth(n).click()
    page.wait_for_selector('img[alt="Your photo"]')
    page.get_by_text("speech, 6.").wait_for()
    page.wait_for_function("!document.querySelector('button[disabled]')")


@pytest.mark.slow
def test_a_system_that_is_not_trained_is_shown_with_its_command(page):
    page.get_by_label("System").click()
    page.get_by_role("option", name="maity").click()
    page.get_by_text("dvc repro system_maity").wait_for()
    page.get_by_label("Emotion").wait_for()
    assert page.get_by_role("button", name="Let it speak").is_disabled()
    page.get_by_label("System").click()
    page.get_by_role("option", name="kesim_erzin_landmark").click()
    page.get_by_role("region", name="Driving video").wait_for()


@pytest.mark.slow
def test_one_visit_s_files_are_not_the_other_s(page, browser, address, photo):
    give(page, "Photo", photo)
    source = page.wait_for_selector('img[alt="Your photo"]').get_attribute("src")
    other = browser.new_page()
    other.goto(address)
    other.wait_for_selector("h1")
    assert other.locator('img[alt="Your photo"]').count() == 0
    assert len(source.split("/")[2]) >= 32  # nobody guesses it
    assert other.request.get(f"{address}/files/").status == 404
    assert other.request.get(f"{address}/files/..%2f..%2fetc/passwd").status == 404
    assert other.request.get(address, headers={"Host": "elsewhere.example"}).status == 400
    too_much = {"Content-Length": str(300_000_000)}
    assert other.request.post(address, headers=too_much, data=b"").status in (413, 400, 405)
    other.close()


@pytest.mark.slow
def test_a_phone_needs_no_scrolling_sideways_and_keys_reach_everything(page):
    page.set_viewport_size({"width": 360, "height": 740})
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    reached = []
    for _ in range(20):
        page.keyboard.press("Tab")
        at = "document.activeElement"
        reached.append(page.evaluate(f"({at}.innerText || {at}.ariaLabel || '').trim()"))
        if page.evaluate(f"{at} != document.body"):
            style = page.evaluate(f"getComputedStyle({at}).outlineStyle + getComputedStyle({at}).outlineWidth")
            assert style == "solid3px", reached[-1]
    wanted = ["Choose a photo", "Camera", "Example", "Choose a file", "Microphone", "Example", "System"]
    places = [reached.index(wanted[0])]
    for name in wanted[1:]:
        places.append(reached.index(name, places[-1] + 1))
    assert "The whole photo" in reached
