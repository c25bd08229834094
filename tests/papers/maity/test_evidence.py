"""Maity's evidence, of frames and judgements that are known."""

import json

import cv2
import numpy as np
import pytest

from pipeline.corpus.about import write_about
from pipeline.corpus.layouts import EMOTIONS
from pipeline.corpus.shards import in_shards, write_shards
from pipeline.evaluation.emotion import emotion_details, summarise_emotions
from pipeline.papers.maity.evidence import emotions, table_5_1
from pipeline.report.run import read_run
from tests.evaluation.test_emotion import WHO, judged
from tests.report.test_results import TESTED, make_run  # noqa: F401 (a fixture)

SYSTEMS = ("static", "ground_truth", "ground_truth_reencoded", "maity")


@pytest.fixture
def run(make_run, monkeypatch):  # noqa: F811
    """Frames as bright as the number of the emotion that they show, times 20; those that pass for real are white."""
    monkeypatch.setattr("tests.report.test_results.SHARES", dict.fromkeys(SYSTEMS, (1.0, 5)))
    folder = make_run(systems=SYSTEMS)
    made, clips = folder / "data" / "synthesis", in_shards(TESTED)

    def frames(grey):
        return ((clip, np.full((30, 64, 64, 3), grey, np.uint8)) for clip in clips)

    for name in SYSTEMS[:3]:
        write_shards(made / "references" / "small" / name / "frames", frames(255))
    write_shards(made / "maity" / "frames", frames(0))
    for k, emotion in enumerate(EMOTIONS):
        write_shards(made / "maity" / "emotions" / emotion, frames(20 * k))
    write_about(made / "maity", faces="small")
    return read_run(folder)


def judge(run):
    """Two clips in all emotions, of which the first alone is right."""
    rows = [("a", "HAP", e, e) for e in EMOTIONS] + [("b", "SAD", e, "SAD" if e != "SAD" else "ANG") for e in EMOTIONS]
    table = judged("maity", *rows)
    of_split = {"figures": summarise_emotions(table), "details": emotion_details(table, WHO, seed=0, samples=100)}
    (run.folder / "data" / "emotions.json").write_text(json.dumps({"test_sentences": of_split}))


def test_a_row_of_frames_for_each_emotion_and_what_was_recognised(run, tmp_path):
    run.params["evaluation"]["split"] = "test_sentences"
    judge(run)
    made = emotions(run, tmp_path)
    (row,) = made.tables["Unseen sentences: what a classifier sees"]
    assert row["accuracy ↑"] == "0.50 [0.00, 1.00]" and row["clips"] == "2"
    assert [row[emotion] for emotion in EMOTIONS] == ["0.50"] * 6
    sheet = cv2.imread(str(tmp_path / "emotions.png"))[..., 0]
    rows = sheet.reshape(7, -1, sheet.shape[1])
    assert [int(of_row[48, -20]) for of_row in rows] == [255, *(20 * k for k in range(6))]
    assert set(made.pictures) == {path.name for path in tmp_path.glob("*.png")}


@pytest.mark.parametrize(
    ("judgements", "said"), [("{}", "no clip that trains has a label"), (None, "dvc repro emotions")]
)
def test_where_nobody_judged_the_frames_are_shown_all_the_same(run, tmp_path, judgements, said):
    if judgements:
        (run.folder / "data" / "emotions.json").write_text(judgements)
    made = emotions(run, tmp_path)
    assert not made.tables and list(made.pictures) == ["emotions.png"] and said in made.notes[0]


def test_the_table_has_the_normalised_landmark_distance(run, tmp_path):
    (rows, *_) = table_5_1(run, tmp_path).tables.values()
    assert [row["system"] for row in rows] == ["`static`", "`ground_truth_reencoded`", "`maity`"]
    assert all(row["NLMD ↓"].startswith("0.5000") for row in rows)
