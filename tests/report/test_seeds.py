"""The spread over seeds, on made-up runs whose figures are known."""

import sys

import pandas as pd
import pytest
import yaml

from pipeline import seeds
from pipeline.evaluation.by_clip import CLIPS
from pipeline.report.run import read_run
from tests.report.test_results import make_run  # noqa: F401 (a fixture)


@pytest.fixture
def seeded(make_run):  # noqa: F811
    """seeded(0.9, 1.0, 1.1): a run per factor by which that seed's `sinha` has another mouth distance."""

    def make(*factors, **changed):
        folders = []
        for seed, factor in enumerate(factors):
            folder = make_run(f"seed{seed}")
            params = yaml.safe_load((folder / "params.yaml").read_text()) | {"seed": seed}
            (folder / "params.yaml").write_text(yaml.safe_dump(params | (changed if seed else {})))
            table = pd.read_parquet(folder / "data" / "evaluation" / CLIPS)
            table.loc[table["system"] == "sinha", "lmd"] *= factor
            table.to_parquet(folder / "data" / "evaluation" / CLIPS)
            folders.append(folder)
        return folders

    return make


def test_the_deviation_is_that_of_the_seeds_and_the_interval_that_of_the_clips(seeded):
    """1.5 px by 0.9, 1.0, 1.1: the mean is 1.5, the deviation 0.15; the share of static's is 50 ± 5, in any clips."""
    runs = [read_run(folder) for folder in seeded(0.9, 1.0, 1.1)]
    seeds.check_alike(runs)
    title, clips = next(runs[0].groups())
    table = seeds.table(runs, clips)
    assert title == "Unseen sentences of 2 people who trained"
    assert table.loc["LMD (px) ↓", "sinha"].startswith("1.500 ± 0.150 [0.")
    assert table.loc["LMD, % of static's ↓", "sinha"] == "50 ± 5 [50, 50]"
    assert table.loc["LMD, % of static's ↓", "static"] == "100 ± 0 [100, 100]"
    assert table.loc["mouth correlation ↑", "sinha"] == "0.50 ± 0.00 [0.50, 0.50]"


def refusal(monkeypatch, *folders):
    monkeypatch.setattr(sys, "argv", ["seeds", *map(str, folders)])
    with pytest.raises(SystemExit) as end:
        seeds.main()
    return str(end.value.code)


def test_runs_that_differ_by_more_or_by_nothing_are_refused(seeded, make_run, monkeypatch):  # noqa: F811
    one, other = seeded(1.0, 1.1, faces={"small": {"image_size": 128}, "box": {"image_size": 112}})
    assert "differ by faces.small.image_size; runs may differ by seed" in refusal(monkeypatch, one, other)
    assert "alone has no spread" in refusal(monkeypatch, one)
    assert "not even by seed" in refusal(monkeypatch, one, one)
    fewer = make_run("fewer", clips="abcd")
    params = yaml.safe_load((fewer / "params.yaml").read_text()) | {"seed": 7}
    (fewer / "params.yaml").write_text(yaml.safe_dump(params))
    assert "same systems on the same clips" in refusal(monkeypatch, one, fewer)


def test_the_command_prints_a_table_per_group(seeded, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["seeds", *map(str, seeded(1.0, 1.1))])
    seeds.main()
    said = capsys.readouterr().out
    assert said.startswith("Seeds 0, 1: ") and "Unseen person s11 (2 clips)" in said and "±" in said
