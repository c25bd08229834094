"""A small finished run whose real clips are known: the shipped system's own, so that what it says again is the truth."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline.corpus.about import write_about
from pipeline.corpus.shards import in_shards, write_shards
from pipeline.corpus.tables import frames_table, write_table_shard
from pipeline.demo.speech import SAMPLE_RATE, Utterance, speak_all
from pipeline.evaluation.landmark import detect_landmarks
from pipeline.features.windows import from_int16, to_int16
from pipeline.report.run import read_run
from pipeline.synthesis import seed_of
from pipeline.systems.system import load_system
from pipeline.training.trained import save_reason
from tests.made_up_corpus import ROOT, merged

FPS = 25
# Clip → subject, split, emotion, and what is said.
SAID = {
    "one_a": ("one", "test_sentences", "HAP", "maybe"),
    "one_b": ("one", "test_sentences", "SAD", "exactly that"),
    "two_a": ("two", "test", "NEU", "almost full"),
    "two_b": ("two", "test", "ANG", "a new alarm"),
}


@pytest.fixture(scope="session")
def run_folder(portrait, tmp_path_factory):
    """Two people, who are one photo and its mirror image; the shipped system `sinha` made the frames that pass for real."""
    folder = tmp_path_factory.mktemp("run")
    data, system = folder / "data", load_system(ROOT / "pretrained" / "sinha")
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values = merged(values, {"compute": {"workers": 1}, "faces": {"small": {"image_size": system.image_size}}})
    values["evaluation"]["bootstrap_samples"] = 100
    (folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    (folder / "dvc.yaml").symlink_to(ROOT / "dvc.yaml")
    (data / "systems").mkdir(parents=True)
    (data / "systems" / "sinha").symlink_to(ROOT / "pretrained" / "sinha")
    spoken = speak_all([Utterance(text, "en-us+f1", 165, 50, 50) for *_, text in SAID.values()], workers=2)
    photos = {"one": portrait, "two": np.ascontiguousarray(portrait[:, ::-1])}
    crops, sound = {}, {}
    for (clip, (subject, *_)), speech in zip(SAID.items(), spoken, strict=True):
        how, photo = system.preprocessing, photos[subject]
        crop, *_ = how.photo(photo, how.find(photo))
        n_frames = int(len(speech.waveform) / SAMPLE_RATE * FPS)
        sound[clip] = to_int16(speech.waveform[: round(n_frames / FPS * SAMPLE_RATE)])
        driving = system.driving(n_frames, detect_landmarks(crop[None])[0], from_int16(sound[clip]), SAMPLE_RATE)
        drawn = [frame.image for frame in system.frames(crop, driving, seed_of(clip, values["seed"]))]
        # The first frame is the photo itself, from which the system then draws the others again.
        crops[clip] = np.stack([crop, *drawn[1:]])
    write_aligned(data / "alignment" / "small", crops, system)
    write_shards(data / "audio_features" / "waveform", ((clip, sound[clip]) for clip in in_shards(sound)))
    rows = [(clip, s, split, text[:3], emotion) for clip, (s, split, emotion, text) in SAID.items()]
    usable = pd.DataFrame(rows, columns=["clip", "subject", "split", "sentence", "emotion"])
    usable.to_parquet(data / "usable_clips.parquet")
    save_reason(data / "trained" / "sync@small", "nobody judges sync here")
    generated = ("references small", "synthesis sinha small", "detection references/small", "detection sinha")
    run_stages(folder, *generated, "evaluation")
    return folder


def write_aligned(folder, crops, system):
    """Crops as the stage `alignment` leaves them, with what a detector finds in them."""
    write_shards(folder / "crops", ((clip, crops[clip]) for clip in in_shards(crops)))
    tables = [
        (clip, frames_table(clip, {"points": detect_landmarks(crops[clip]).astype(np.float32)}), 0) for clip in crops
    ]
    write_table_shard(folder / "landmarks", "shard-00", tables)
    how = system.preprocessing
    template = how.template.tolist()
    write_about(folder, fps=FPS, image_size=how.image_size, transform=how.transform, template=template)


def run_stages(folder, *stages):
    """In one process: most of their time would be its start."""
    code = f"""
import sys
from importlib import import_module
if __name__ == "__main__":
    for stage in {stages}:
        sys.argv = stage.split()
        import_module(f"stages.{{sys.argv[0]}}").main()
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def run(run_folder):
    return read_run(Path(run_folder))
