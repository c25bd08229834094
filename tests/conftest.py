import os
import shutil
from pathlib import Path

# The tests' networks are too small to share out, and threads that wait for each other cost more than they bring: one here, and
# in what the tests start. Those processes shall not compile the project's modules anew each time.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import numpy as np
import pytest
import skimage.data
import soundfile

from pipeline.video import write_video
from tests.made_up_corpus import begun, data, keys_of, parameters, train_on  # noqa: F401 (fixtures for all tests)


def pytest_collection_modifyitems(items):
    """The small `dvc repro` first: a worker that began it last would be alone with it for minutes."""
    items.sort(key=lambda item: item.path.name != "test_pipeline.py")


@pytest.fixture(scope="session")
def portrait():
    """A public-domain photo of a face, 300×300."""
    return np.ascontiguousarray(skimage.data.astronaut()[:300, 80:380])


@pytest.fixture(scope="session")
def real_clips():
    """Where real clips lie, beside the project; tests that need them are skipped elsewhere."""
    folder = os.environ.get("TALKING_HEAD_CLIPS")
    if not folder or not Path(folder).is_dir():
        pytest.skip("TALKING_HEAD_CLIPS names no folder of real clips")
    return Path(folder)


@pytest.fixture
def speech(tmp_path):
    """A second and a half of something with a voice's spectrum: a 120 Hz buzz that comes and goes."""
    time = np.arange(int(1.5 * 22_050)) / 22_050
    buzz = 0.3 * np.sign(np.sin(2 * np.pi * 120 * time)) * np.abs(np.sin(2 * np.pi * 2 * time))
    soundfile.write(tmp_path / "speech.wav", buzz, 22_050)
    return tmp_path / "speech.wav"


@pytest.fixture
def make_clip(portrait):
    """Write a clip of a slowly moving portrait, with sound (its own, the array given, or none)."""

    def write(path, n_frames=30, sound=True, picture=None):
        image = portrait if picture is None else picture
        frames = [np.roll(image, k % 3, axis=1) for k in range(n_frames)]
        audio = 0.1 * np.sin(np.arange(round(n_frames / 25 * 22_050)) * 0.1) if sound is True else sound
        audio = None if audio is False else audio
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, frames, 25, audio)
        return path

    return write


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium, whose camera and microphone are made up."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: docs/app.md")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        pytest.skip("Chromium is not installed: docs/app.md")
    made_up = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", *made_up])
        yield browser
        browser.close()
