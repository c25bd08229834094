"""The page of a paper's evidence, on made-up runs whose figures are known, and the command that writes it."""

import sys

import pytest

from pipeline import ablations, paper
from pipeline.evidence.declaration import Evidence, Made
from pipeline.evidence.page import evidence_of, evidence_page, papers
from pipeline.evidence.published import as_table, published
from pipeline.evidence.tables import beside, of_systems
from pipeline.papers.registry import PAPERS, SYSTEMS
from pipeline.report.definitions import METRICS
from pipeline.report.run import read_run
from tests.report.test_results import make_run  # noqa: F401 (a fixture)


def known_experiments():
    return {name for path in ablations.FOLDER.glob("*.yaml") for name in ablations.commands(path)}


@pytest.mark.parametrize("name", papers())
def test_what_evidence_names_is_there(name):
    """Tables in published.yaml, experiments in profiles/ablations; each table or figure once."""
    declared = evidence_of(name)
    assert {where for one in declared for where in one.published} <= published()[name]["tables"].keys()
    assert {experiment for one in declared for experiment in one.ablations} <= known_experiments()
    assert len({one.where for one in declared}) == len(declared)


def test_published_rows_are_of_systems_that_are_here_or_are_named():
    """What stands in backticks is a system; figures are written as they are printed, not as YAML would read them."""
    assert set(published()) == set(PAPERS)
    for of_paper in published().values():
        assert set(of_paper["results"]) <= of_paper["tables"].keys()
        for rows in of_paper["tables"].values():
            assert all(isinstance(cell, str) for row in rows for cell in row.values())
            named = [row["system"].split("`")[1] for row in rows if "`" in row.get("system", "")]
            assert set(named) <= SYSTEMS.keys()


def test_a_published_table_has_the_headings_of_ours():
    rows = as_table([{"system": "one", "lmd": "1.2"}, {"system": "two", "F1, test": "0.9"}])
    assert rows == [
        {"system": "one", METRICS["lmd"].heading: "1.2", "F1, test": "–"},
        {"system": "two", METRICS["lmd"].heading: "–", "F1, test": "0.9"},
    ]


def test_tables_show_the_systems_that_are_asked_for_and_what_frames_them(make_run):  # noqa: F811
    run = read_run(make_run())
    tables = of_systems(run, ["sinha"], ("lmd", "lmd_share"))
    rows = tables["Unseen sentences of 2 people who trained (4 clips)"]
    assert [row["system"] for row in rows] == ["`static`", "`ground_truth_reencoded`", "`sinha`"]
    # Made-up mouths are 1, 2, 3 and 6 px off, sinha's half of it.
    assert list(rows[-1]) == ["system", "LMD (px) ↓", "LMD, % of static's ↓"]
    assert rows[-1]["LMD (px) ↓"].startswith("1.500 [") and rows[-1]["LMD, % of static's ↓"] == "50 [50, 50] ▲"


def test_ablations_are_marked_against_the_whole_system(make_run):  # noqa: F811
    """Of made-up runs: one is as good as the whole, one's mouths are three times as far off in every clip."""
    whole = read_run(make_run("whole"))
    runs = {"alike": read_run(make_run("alike")), "worse": read_run(make_run("worse")), "whole": whole}
    runs["worse"].metrics.loc["sinha", "lmd"] = 3 * whole.metrics.loc["sinha", "lmd"].to_numpy()
    rows = beside(runs, "sinha", "whole", ("lmd_share", "psnr"))["Unseen sentences of 2 people who trained (4 clips)"]
    assert [row["system"] for row in rows] == list(runs)
    assert [row["LMD, % of static's ↓"] for row in rows] == ["50 [50, 50]", "150 [150, 150] ▼", "50 [50, 50]"]
    assert rows[1]["PSNR (dB) ↑"] == "30.00 [30.00, 30.00]"


def made(run, out):
    (out / "seen.png").write_bytes(b"a picture")
    return Made({"Ours": [{"system": "`sinha`", "LMD": "1.0"}]}, {"seen.png": "What is seen."}, ("A note.",))


def page_of(monkeypatch, folder, *evidence):
    monkeypatch.setattr("pipeline.evidence.page.evidence_of", lambda name: evidence)
    out = folder / "data" / "papers" / "sinha"
    return evidence_page("sinha", read_run(folder), out), out


def test_the_page_has_ours_beside_theirs_and_says_why_they_differ(make_run, monkeypatch):  # noqa: F811
    folder = make_run()
    one = Evidence("Table II", "It shows this.", "other people.", made, published=("Table II",))
    page, out = page_of(monkeypatch, folder, one)
    ours, theirs = page.index("| `sinha` | 1.0 |"), page.index("| pixel loss | TCD-TIMIT | 25.874 | 0.813 | 0.366 |")
    assert page.index("## Table II") < page.index("It shows this.") < ours < theirs < page.index("other people.")
    assert "![What is seen.](seen.png)" in page and (out / "seen.png").exists() and "A note." in page
    assert page == page_of(monkeypatch, folder, one)[0] and str(folder) not in page


def test_what_cannot_be_made_says_why_and_the_rest_is_there(make_run, monkeypatch):  # noqa: F811
    """The made-up run has no frames and no experiments."""
    monkeypatch.undo()
    folder = make_run()
    page = evidence_page("atvgnet", read_run(folder), folder / "data" / "papers" / "atvgnet")
    assert "`atvgnet_l1` has not been run on this commit: `make ablations NAME=atvgnet` does." in page
    assert "| `atvgnet_true_landmarks`" not in page and "| `atvgnet` |" in page
    page = evidence_page("kesim_erzin", read_run(folder), folder / "data" / "papers" / "kesim_erzin")
    assert page.count("Not made: data/evaluation: kesim_erzin_speech_without_fm,") == 1


def command(monkeypatch, folder, *arguments):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["paper", *arguments])
    paper.main()


def test_the_command_writes_the_page_and_runs_nothing_that_is_ready(make_run, monkeypatch, capsys):  # noqa: F811
    folder = make_run()
    (folder / "profiles").mkdir()
    (folder / "profiles" / "ablations").symlink_to(ablations.FOLDER.resolve())
    monkeypatch.setattr(ablations, "run_before", lambda: {"atvgnet_l1"})
    monkeypatch.setattr(ablations, "run", lambda command: pytest.fail(" ".join(command)))
    command(monkeypatch, folder, "atvgnet", "--ready")
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first == "atvgnet_no_discriminator: has not been run" and last == "data/papers/atvgnet/README.md"
    assert (folder / "data/papers/atvgnet/README.md").read_text().startswith("# Chen L. et al. 2019")


def test_what_is_missing_is_run_first(make_run, monkeypatch):  # noqa: F811
    """A folder without figures: the run, then the ablations that the evidence names and no others."""
    folder, started = make_run(), []
    for path in (folder / "data" / "evaluation").iterdir():
        path.unlink()
    (folder / "profiles").mkdir()
    (folder / "profiles" / "ablations").symlink_to(ablations.FOLDER.resolve())
    (folder / "dvc.lock").touch()
    monkeypatch.setattr(ablations, "run_before", lambda: {"atvgnet_l1"})
    monkeypatch.setattr(ablations, "run", started.append)
    with pytest.raises(SystemExit, match="data/evaluation was not made"):
        command(monkeypatch, folder, "atvgnet")
    assert started[0][1:] == ["-m", "pipeline.repro"]
    assert [run[4] for run in started if run[:3] == ["dvc", "exp", "run"]] == ["atvgnet_no_discriminator"]


def test_an_unknown_paper_is_told_which_there_are(make_run, monkeypatch, capsys):  # noqa: F811
    with pytest.raises(SystemExit):
        command(monkeypatch, make_run(), "paper")
    assert "kesim_erzin" in capsys.readouterr().err
