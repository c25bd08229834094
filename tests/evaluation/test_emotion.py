import json

import numpy as np
import pandas as pd
import pytest

from pipeline.corpus.layouts import EMOTIONS
from pipeline.corpus.shards import in_shards, write_shards
from pipeline.evaluation.emotion import (
    confusion_matrix,
    emotion_details,
    recall,
    recognised_emotions,
    summarise_emotions,
)
from pipeline.evaluation.generated import Compared


def test_confusions_by_hand():
    """Of three angry clips two are seen to be, one looks disgusted; the sad one looks angry."""
    confusion = confusion_matrix(["ANG", "ANG", "ANG", "SAD"], ["ANG", "DIS", "ANG", "ANG"])
    expected = np.zeros((6, 6), int)
    expected[0, 0], expected[0, 1], expected[5, 0] = 2, 1, 1
    assert (confusion == expected).all()
    found = recall(confusion)
    assert found == {"ANG": 0.666667, "DIS": None, "FEA": None, "HAP": None, "NEU": None, "SAD": 0}


WHO = pd.Series({"a": "one", "b": "one"})


def judged(system, *rows):
    return pd.DataFrame([(system, *row) for row in rows], columns=["system", "clip", "own", "wanted", "recognised"])


def test_a_system_that_ignores_the_emotion_is_right_about_the_photos_own_only():
    rows = [("a", "HAP", emotion, "HAP") for emotion in EMOTIONS]
    figures = summarise_emotions(judged("deaf", *rows))["deaf"]
    assert figures["accuracy"] == pytest.approx(1 / 6, abs=1e-6)
    assert (figures["accuracy_own_emotion"], figures["accuracy_other_emotion"]) == (1, 0)


def test_a_system_that_no_emotion_conditions_has_no_other_emotion():
    table = judged("real", ("a", "HAP", "HAP", "HAP"), ("b", "SAD", "SAD", "ANG"))
    figures = summarise_emotions(table)["real"]
    assert figures["accuracy"] == figures["accuracy_own_emotion"] == 0.5
    assert figures["accuracy_other_emotion"] is None
    details = emotion_details(table, WHO, seed=0, samples=500)["real"]
    assert details["clips"] == 2 and details["interval"] == [0, 1] and np.sum(details["confusion"]) == 2
    json.dumps([figures, details], allow_nan=False)


def test_intervals_are_over_clips_not_over_their_six_emotions():
    """One clip right in all six, one in none: two clips, whose mean may as well be 0 or 1."""
    rows = [("a", "HAP", e, e) for e in EMOTIONS] + [("b", "SAD", e, "SAD" if e != "SAD" else "ANG") for e in EMOTIONS]
    details = emotion_details(judged("half", *rows), WHO, seed=0, samples=500)["half"]
    assert details["clips"] == 2 and details["interval"] == [0, 1]


def test_intervals_are_over_people_whose_clips_resemble_each_other():
    """Two people of twenty clips each, one always right, one never: another two may be right 0, 20 or 40 times of 40."""
    rows = [(f"{who}{k}", "HAP", "HAP", "HAP" if who == "a" else "SAD") for who in "ab" for k in range(20)]
    people = pd.Series({clip: clip[0] for clip, *_ in rows})
    details = emotion_details(judged("one", *rows), people, seed=0, samples=500)["one"]
    assert details["interval"] == [0, 1]
    of_one = emotion_details(judged("one", *rows), pd.Series("a", people.index), seed=0, samples=500)["one"]
    assert 0.2 < of_one["interval"][0] < 0.5 < of_one["interval"][1] < 0.8


def test_conditioned_systems_are_judged_in_all_emotions_and_the_others_in_their_clips_own(tmp_path):
    """Frames are as bright as the number of the emotion that they show; the judge reads it."""

    def frames(emotion):
        return np.full((2, 4, 4, 3), EMOTIONS.index(emotion), np.uint8)

    own = pd.Series({"a": "HAP", "b": "SAD", "c": None})
    clips = in_shards(own.index)
    made = tmp_path / "synthesis"
    write_shards(made / "plain" / "frames", ((clip, frames("SAD")) for clip in clips))
    write_shards(made / "told" / "frames", ((clip, frames("NEU")) for clip in clips))
    for emotion in EMOTIONS:
        write_shards(made / "told" / "emotions" / emotion, ((clip, frames(emotion)) for clip in clips))
    systems = [Compared(name, name, "small", name) for name in ("plain", "told")]
    table = recognised_emotions({"small": lambda seen: EMOTIONS[seen[0, 0, 0, 0]]}, tmp_path, systems, own)
    plain, told = (table[table["system"] == system] for system in ("plain", "told"))
    assert list(plain["clip"]) == ["a", "b"] and list(plain["recognised"]) == ["SAD", "SAD"]
    assert len(told) == 18 and (told["wanted"] == told["recognised"]).all()
    assert summarise_emotions(table)["plain"]["accuracy"] == 0.5
