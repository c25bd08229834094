"""Chen S.'s tables and figures on a small run, in which `chen_s` draws what passes for real, and nothing else is trained."""

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.corpus.about import read_about, write_about
from pipeline.corpus.tables import frames_table, write_table_shard
from pipeline.evaluation.landmark import detect_landmarks
from pipeline.evidence.page import evidence_page
from pipeline.features.action_units.geometry import landmark_action_units
from pipeline.features.action_units.units import AUS
from pipeline.papers.chen_s import evidence
from pipeline.papers.chen_s.action_units import AUClassifier, AUClassifierSettings
from pipeline.papers.chen_s.networks import Generator, Settings
from pipeline.report.run import read_run
from pipeline.synthesis import HeldOutClips
from pipeline.systems.card import make_system
from pipeline.training.trained import fields_of, save_network
from tests.evidence.conftest import FPS, run_stages
from tests.made_up_corpus import merged

F1S = {"AU10": 0.5, "AU25": 0.75}


def untrained(network, settings, preprocessing, folder):
    torch.manual_seed(0)
    about = {"settings": fields_of(settings), "preprocessing": preprocessing, "key": "0123"}
    save_network(folder, network(settings).state_dict(), about)


@pytest.fixture(scope="module")
def run_of_chen_s(run_folder, tmp_path_factory):
    """The small run with `chen_s`, whose frames are `sinha`'s, which are the truth; and its labels and classifier."""
    folder = tmp_path_factory.mktemp("chen_s") / "run"
    shutil.copytree(run_folder, folder, symlinks=True)
    data = folder / "data"
    for kind in ("synthesis", "detection"):
        shutil.copytree(data / kind / "sinha", data / kind / "chen_s")
    run_stages(folder, "evaluation", "silence")
    usable = pd.read_parquet(data / "usable_clips.parquet")
    write_about(data / "clips", layout="folder")
    usable.to_parquet(data / "clips" / "clips.parquet")
    about = read_about(data / "alignment" / "small")
    clips = HeldOutClips(data, "small", 22_050)
    tables = []
    for clip in clips.crops:
        units = landmark_action_units(detect_landmarks(np.array(clips.crops[clip])), FPS)
        units.presence[: len(units.presence) // 2, AUS.index(25)] = 1  # these mouths move too little for any to occur
        columns = {f"AU{au:02d}_r": units.intensity[:, k] for k, au in enumerate(AUS)}
        columns |= {f"AU{au:02d}_c": units.presence[:, k] for k, au in enumerate(AUS)}
        tables.append((clip, frames_table(clip, columns), 0))
    write_table_shard(data / "action_units" / "units", "shard-00", tables)
    size, how = about["image_size"], about | {"landmarks": {"backend": "dlib"}, "face_parsing": None}
    trained = data / "trained" / "chen_s"
    untrained(AUClassifier, AUClassifierSettings(size, 0.05), how, trained / "au_classifier")
    untrained(Generator, Settings(size, 0.05, None, True), how, trained / "end_to_end")
    make_system("chen_s", data, data / "systems" / "chen_s")
    mean = {"mean_f1": 0.625, "mean_accuracy": 0.9, "absent": ["AU14", "AU20", "AU26"], "frames": 9}
    split = mean | {unit: {"f1": f1, "accuracy": 0.9} for unit, f1 in F1S.items()}
    found = {"audio_to_au": {"train": split}, "au_classifier": {"train": split, "test": split}}
    (folder / "metrics" / "recognition.json").write_text(json.dumps(found))
    return read_run(folder)


def cells(rows, column):
    return [row[column].split(" ")[0].strip("*") for row in rows]


def test_the_page_holds_all_that_the_paper_prints(run_of_chen_s, tmp_path):
    page = evidence_page("chen_s", run_of_chen_s, tmp_path)
    headings = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    assert headings[:8] == [one.where for one in evidence.EVIDENCE]
    assert page.count("`make ablations NAME=chen_s` does") == len(evidence.ABLATIONS)
    assert "Not made: it needs a run on another corpus" in page
    assert page.count("Not made") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"figure_7.png", "figure_8.png", "figure_9.png"}
    assert page == evidence_page("chen_s", run_of_chen_s, tmp_path)


def test_whoever_sees_no_unit_is_right_where_none_is(run_of_chen_s, tmp_path):
    """By the labels AU25 occurs in half of the frames, and nothing else does; the estimator sees none in any."""
    for rows in evidence.table_5(run_of_chen_s, tmp_path).tables.values():
        assert [row["seen by"] for row in rows] == ["the AU classifier", "the landmark estimator"]
        classifier, estimator = cells(rows, "AU accuracy ↑")
        assert float(estimator) == pytest.approx(0.5, abs=0.03) and 0 <= float(classifier) <= 1
        assert float(cells(rows, "AU F1 ↑")[1]) == 0


def test_a_tables_units_are_those_that_occur(run_of_chen_s, tmp_path):
    seen, heard = evidence.table_4(run_of_chen_s, tmp_path).tables.values()
    assert cells(seen, "F1, training") == ["0.500", "–", "–", "0.750", "–", "0.625"]
    assert cells(seen, "F1, unseen people") == cells(seen, "F1, training") and "F1, unseen people" not in heard[0]


def test_frames_that_are_the_truth_do_not_differ_from_it(run_of_chen_s, tmp_path):
    (rows,) = evidence.figure_7(run_of_chen_s, tmp_path).tables.values()
    of = {row["system"]: row for row in rows}
    # But for the first frame, which is the photo.
    assert all(float(of["`chen_s`"][f"difference, {where}"]) < 0.1 for where in ("mouth (grey levels)", "elsewhere"))
    # The shipped system moves little but the mouth.
    flow = [float(of["`ground_truth`"][column]) for column in list(rows[0])[3:]]
    assert flow[0] > flow[1]
    assert of["`chen_s`"]["flow, elsewhere"] == of["`ground_truth`"]["flow, elsewhere"]


def test_one_photo_in_silence_is_shut_and_the_others_are_open_and_of_others():
    opening = {"a1": 0.3, "a2": 0.0, "b1": 0.1, "b2": 0.2, "c": 0.05}
    subjects = pd.Series({clip: clip[0] for clip in opening})
    assert evidence.photos_in_silence(opening, subjects) == ["a2", "b2", "c"]


def test_a_word_of_grid_is_shown_for_as_long_as_it_is_said(run_of_chen_s, tmp_path):
    """One unit is 1/25000 s. Another speaker's file of the same sentence says something else."""
    for speaker, said in (
        ("one", "0 5000 sil\n5000 10000 bin\n10000 22500 green\n22500 30000 sil\n"),
        ("s9", "0 9 no\n"),
    ):
        path = tmp_path / "align" / speaker / "may.align"
        path.parent.mkdir(parents=True)
        path.write_text(said)
    corpus = {"corpus": {"layout": "grid", "root": str(tmp_path)}}
    run = replace(run_of_chen_s, params=merged(run_of_chen_s.params, corpus))
    assert evidence.word(run, "one_a", 3.0) == ("“green”", 0.4, 0.9)
    said, start, stop = evidence.word(run_of_chen_s, "one_a", 3.0)
    assert said.startswith("The middle") and (start + stop) / 2 == 1.5 and stop - start == pytest.approx(0.48)


def test_what_is_missing_is_said(run_of_chen_s, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run_of_chen_s.folder, folder, symlinks=True)
    (folder / "metrics" / "recognition.json").write_text("{}")
    shutil.rmtree(folder / "data" / "synthesis" / "chen_s" / "silence")
    page = evidence_page("chen_s", read_run(folder), tmp_path / "out")
    assert "recognition.json holds no figures" in page and "chen_s was not given silence" in page
    assert not cv2.haveImageReader(str(tmp_path / "out" / "figure_8.png"))
