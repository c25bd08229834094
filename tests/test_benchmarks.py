"""Every benchmark runs, at its smallest, and ends with its line; none of the figures is looked at."""

import math
import re
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from pipeline.corpus.tables import write_landmarks
from pipeline.features.detection import find_faces, predict_landmarks
from pipeline.features.landmarks import MOUTH
from pipeline.video import write_video

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
NAMES = ["1001_IEO_NEU_XX", "1001_IWL_HAP_HI", "1015_IEO_NEU_XX"]  # IWL is held out, 1015 another speaker
N_FRAMES = 20

FEW_EPOCHS = [f"{paper}.audio_to_landmark.epochs=1" for paper in ("atvgnet", "sinha")]

# By benchmark, the options of its smallest run; CORPUS stands for the corpus below, CACHE for a folder of the test's own.
SMALLEST = {
    "action_units": ["--demo", "CORPUS", "--clips", "1"],
    "character_features": ["CORPUS", "--epochs", "1", "--workers", "1", "--cache", "CACHE"],
    "busy": ["--busy", "1", "--steps", "1", "--width", "0.0625", "--size", "32", "--frames", "5"],
    "dvc_scale": ["--gigabytes", "0.001"],
    "generate": ["--seconds", "0.5", "--rounds", "1"],
    "evaluation": ["CORPUS", "--clips", "1", "--workers", "1"],
    "heatmaps": ["--size", "32", "--clips", "4", "--excerpts", "5"],
    "incremental": ["CORPUS", "--clips", "1", "--up-to", "landmarks", "--workers", "1"],
    "landmarks": ["CORPUS", "--clips", "1"],
    "mouth_lag": ["--clips", "3", "--frames", "75"],
    "paper_sizes": ["kesim_erzin_speech", "--steps", "1", "--width", "0.0625", "--frames", "10"],
    "preprocessing": ["CORPUS", "--clips", "1", "--cores", "1"],
    "landmarks_from_speech": ["CORPUS", "--folder", "CACHE", "--set", *FEW_EPOCHS],
    "ranks": ["--ranks", "2", "--steps", "1", "--width", "0.0625", "--size", "32", "--frames", "5"],
    "smoothing": ["CORPUS", "--clips", "1", "--workers", "1", "--cache", "CACHE"],
    "training_precision": ["--steps", "1", "--width", "0.0625", "--size", "32", "--frames", "5"],
    "training": ["sinha_audio_to_landmark", "--steps", "1", "--width", "0.0625", "--frames", "10"],
    "vgnet": ["--frames", "2", "--rounds", "1", "--size", "32", "--width", "0.0625"],
}
OF_CLIPS = [name for name, options in SMALLEST.items() if "CORPUS" in options]


@pytest.fixture(scope="module")
def corpus(portrait, tmp_path_factory):
    """Three clips as the demo corpus has them, of a photo whose chin falls with the loudness of a buzz."""
    root = tmp_path_factory.mktemp("corpus")
    grey = portrait.mean(axis=2).astype(np.uint8)
    face = predict_landmarks(grey, find_faces(grey)[0].box)
    between_lips = round(face[MOUTH, 1].mean())
    truth = {}
    for k, name in enumerate(NAMES):
        opening = np.rint(12 * np.sin(np.arange(N_FRAMES) / (3 + k)) ** 2).astype(int)
        frames = np.repeat(portrait[None], N_FRAMES, axis=0)
        driven = np.repeat(face[None], N_FRAMES, axis=0).astype(np.float32)
        for t, dropped in enumerate(opening):
            frames[t, between_lips + dropped :] = portrait[between_lips : 300 - dropped]
            frames[t, between_lips : between_lips + dropped] = 20
            driven[t, :, 1] += np.where(face[:, 1] > between_lips, dropped, 0)
        time = np.arange(N_FRAMES * 882) / 22_050
        buzz = np.repeat(opening, 882) / 50 * np.sign(np.sin(2 * np.pi * 120 * time))
        (root / "VideoFlash").mkdir(exist_ok=True)
        write_video(root / "VideoFlash" / f"{name}.mp4", frames, 25, buzz)
        truth[name] = driven
    (root / "truth").mkdir()
    write_landmarks(root / "truth" / "landmarks.parquet", truth)
    return root


def run(name, options, monkeypatch):
    """What `python -m benchmarks.NAME OPTIONS` does."""
    monkeypatch.setattr(sys, "argv", [f"benchmarks/{name}.py", *options])
    import_module(f"benchmarks.{name}").main()


def test_all_benchmarks_are_run_here():
    files = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - {"__init__", "made_up", "project"}
    assert files == SMALLEST.keys()


@pytest.mark.parametrize("name", SMALLEST)
def test_it_ends_with_its_line(name, corpus, tmp_path, monkeypatch, capsys):
    places = {"CORPUS": str(corpus), "CACHE": str(tmp_path)}
    run(name, [places.get(option, option) for option in SMALLEST[name]], monkeypatch)
    *_, last = capsys.readouterr().out.splitlines()
    number = r"(-?\d+(?:\.\d+)?)"
    line = rf"{name}: ratio {number} \(ours {number}, alternative {number} [^;]+; deviation {number}[^;]*\)"
    ratio, ours, alternative, _ = re.fullmatch(line, last).groups()
    assert math.isfinite(float(ratio)) and float(ours) != 0 and float(alternative) != 0


@pytest.mark.parametrize("name", OF_CLIPS)
def test_without_the_demo_corpus_it_says_how_to_make_it(name, tmp_path, monkeypatch):
    options = ["--demo", str(tmp_path)] if name == "action_units" else [str(tmp_path)]
    with pytest.raises(SystemExit, match=r"^error: no videos in .*`dvc repro demo_corpus`.*$"):
        run(name, options, monkeypatch)
