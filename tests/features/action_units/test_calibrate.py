import sys

import numpy as np
import pandas as pd
import pytest

from pipeline.features.action_units.calibrate import (
    FPS,
    SPEAKER,
    Example,
    best_threshold,
    fit,
    is_calibration_clip,
    main,
    pool,
)
from pipeline.features.action_units.geometry import MODELS
from pipeline.features.action_units.openface import read_openface
from pipeline.features.action_units.units import AUS


def test_four_fifths_of_one_speaker_are_fitted_to():
    names = [f"clip{k}" for k in range(1000)]
    assert 0.75 < np.mean([is_calibration_clip(SPEAKER, name) for name in names]) < 0.85
    assert not any(is_calibration_clip("s22", name) for name in names)


def test_the_best_threshold_by_hand():
    """From 0.6 on: TP 2, FP 1, FN 0 → F1 0.8; from 0.9 on: TP 1, FN 1 → 2/3; from 0.7 on: 1/2."""
    values, presence = np.array([0.9, 0.1, 0.6, 0.7, 0.3]), np.array([1, 0, 1, 0, 0], bool)
    assert best_threshold(values, presence) == 0.6


def test_equal_values_stand_or_fall_together():
    """Only the first of the three 0.5 is present: calling all of them so (F1 1/2) is no better than 0.9 alone (2/3)."""
    values, presence = np.array([0.9, 0.5, 0.5, 0.5]), np.array([1, 1, 0, 0], bool)
    assert best_threshold(values, presence) == 0.9


def test_a_fit_finds_what_was_planted():
    rng = np.random.default_rng(0)
    measured = {"a": rng.random(2000), "b": rng.random(2000), "c": rng.random(2000)}
    intensity = 3 * measured["a"] + 1.5 * measured["b"]
    model = fit(("a", "b", "c"), measured, intensity, intensity > 2.5)
    assert model.coefficients == pytest.approx({"a": 3, "b": 1.5, "c": 0}, abs=0.01)
    assert model.threshold == pytest.approx(2.5, abs=0.02)


def test_a_measure_that_works_against_a_unit_is_left_out():
    x = np.random.default_rng(0).random(500)
    assert fit(("a",), {"a": x}, 1 - x, x < 0.5).coefficients["a"] >= 0


def test_what_hardly_occurs_is_present_beyond_speech():
    x = np.arange(1000) / 1000
    model = fit(("a",), {"a": x}, np.zeros(1000), x < 0.001)
    assert model.threshold == 1
    assert (model.coefficients["a"] * x >= 1).sum() == pytest.approx(10, abs=1)


def test_folders_without_pairs_are_an_error_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "s1").mkdir()
    (tmp_path / "s1" / "a.csv").touch()
    monkeypatch.setattr(sys, "argv", ["calibrate", str(tmp_path), str(tmp_path)])
    with pytest.raises(SystemExit, match="no clip SPEAKER"):
        main()


def test_real_people(real_clips):
    """Ten clips: OpenFace's intensities, from the landmarks that it found itself (not dlib's)."""
    folder = real_clips.parent / "openface" / "grid"
    if not folder.is_dir():
        pytest.skip("no OpenFace output beside the clips")
    people = []
    for table in sorted(folder.glob("*.csv")):
        columns = pd.read_csv(table, skipinitialspace=True)
        x, y = (columns[[f"{axis}_{k}" for k in range(68)]].to_numpy() for axis in "xy")
        people.append(Example(np.stack([x, y], axis=-1), read_openface(table, len(columns), FPS)))
    measured, intensity, presence = pool(people)
    assert presence.shape == intensity.shape == (750, 6)
    for au, least in {25: 0.6, 26: 0.8, 45: 0.6}.items():
        ours = sum(c * measured[name] for name, c in MODELS[au].coefficients.items())
        r = np.corrcoef(ours, intensity[:, AUS.index(au)])[0, 1]
        assert r > least, (au, r)
