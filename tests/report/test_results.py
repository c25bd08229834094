"""The page of finished runs, on made-up runs whose figures are known."""

import sys

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline import results
from pipeline.corpus.about import write_about
from pipeline.corpus.shards import in_shards, write_shards
from pipeline.corpus.tables import write_table
from pipeline.evaluation.action_units import Counts
from pipeline.evaluation.by_clip import CLIPS, TRACKS, write_tracks
from pipeline.evaluation.evaluate import METRICS, Measured
from pipeline.papers.registry import PAPERS
from pipeline.references import REFERENCES
from pipeline.report.comparison import COLUMNS, Sample, best_of, difference, mean_figure, signs, signs_of
from pipeline.report.run import Row, read_run
from pipeline.training.trained import CARD, FORM, save_reason

# Clip → split, subject, and how far static's mouth is off, in pixels.
TESTED = {
    "a": ("test_sentences", "s1", 1.0),
    "b": ("test_sentences", "s1", 2.0),
    "c": ("test_sentences", "s3", 3.0),
    "d": ("test_sentences", "s3", 6.0),
    "e": ("test", "s11", 1.0),
    "f": ("test", "s11", 2.0),
    "g": ("test", "s2", 4.0),
}
# LMD of each row as a share of static's, and how many of ten frames with parted lips it finds.
SHARES = {
    "static": (1.0, 0),
    "ground_truth": (0.0, 10),
    "ground_truth_reencoded": (0.1, 10),
    "atvgnet": (1.0, 5),
    "sinha": (0.5, 10),
    "sinha_true_landmarks": (0.25, 10),
    "chen_s": (1.5, 0),
}
SIZES = {"small": 64, "box": 112}


def measured_of(share, found, lmd):
    """A clip of 50 frames, whose eyes shut once, for 4 frames."""
    eyes = np.full(50, 0.3)
    eyes[20:24] = 0.05
    none = np.zeros(6, int)
    parted = np.eye(6, dtype=int)[3]
    units = Counts(found * parted, none, (10 - found) * parted, none)
    metrics = dict.fromkeys(METRICS, 0.5) | {"psnr": 30.0, "lmd": share * lmd, "no_face": 0.0}
    return Measured(metrics, units, np.zeros(50), eyes, eyes)


def card(system, faces, layout):
    networks = {
        "audio_to_landmark": {"settings": {"width": 0.25}, "parameters": {"epochs": 60}, "epoch": 26},
        "blink": {"settings": {"units": 64}, "parameters": {"epochs": 32}, "epoch": 28},
    }
    splits = {"train": {"clips": 195, "subjects": 9}, "test": {"clips": 3, "subjects": 2}}
    return {
        "form": FORM,
        "system": system,
        "paper": "sinha",
        "needs": ["characters"],
        "corpus": {"layout": layout, "test_subjects": "vougioukas", "splits": splits},
        "preprocessing": {"image_size": SIZES[faces], "transform": "per_frame"},
        "networks": networks,
        "metrics": {},
    }


@pytest.fixture
def make_run(tmp_path):
    """Make up a run's folder: make_run(box=["chen_s"]) has systems that see other crops than the rest."""

    def make(name="run", layout="grid", root="/data/grid", box=(), systems=tuple(SHARES), clips=tuple(TESTED)):
        folder = tmp_path / name
        faces_of = {row: "box" if row in box else "small" for row in systems if row not in REFERENCES}
        references = {
            (of if not box else f"{of}_{faces}"): of
            for of in systems
            if of in REFERENCES
            for faces in dict.fromkeys(faces_of.values())
        }
        rows = references | {row: row for row in faces_of}
        measured = {
            clip: {row: measured_of(*SHARES[of], TESTED[clip][2]) for row, of in rows.items()} for clip in clips
        }
        table = [
            {"clip": clip, "split": TESTED[clip][0], "subject": TESTED[clip][1], "sentence": "t", "emotion": "NEU"}
            | {"system": row}
            | found.metrics
            for clip, of_clip in measured.items()
            for row, found in of_clip.items()
        ]
        write_table(pd.DataFrame(table), folder / "data" / "evaluation" / CLIPS)
        write_tracks(folder / "data" / "evaluation", measured)
        params = {
            "seed": 0,
            "corpus": {"layout": layout, "root": root, "fps": 25},
            "faces": {faces: {"image_size": size} for faces, size in SIZES.items()},
            "evaluation": {"bootstrap_samples": 200, "detection_size": 256},
        } | {paper: {"faces": "box" if paper in box else "small"} for paper in PAPERS}
        (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        for system, faces in faces_of.items():
            home = folder / "data" / "systems" / system
            home.mkdir(parents=True)
            (home / CARD).write_text(yaml.safe_dump(card(system, faces, layout)))
        return folder

    return make


def page_of(*folders, output="results.md"):
    return results.results_page([read_run(folder) for folder in folders], folders[0].parent / output)


def section(page, heading):
    """{system: {column: cell}} of the table below a heading, in its order."""
    below = page.split(f"### {heading}")[1].split("\n#")[0]
    header, _, *rows = [line.strip("|").split("|") for line in below.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in row] for row in (header, *rows)]
    return {row[0]: dict(zip(cells[0], row, strict=True)) for row in cells[1:]}


def test_means_shares_and_intervals_of_known_figures(make_run):
    """(1 + 2 + 3 + 6) / 4 = 3 px; half of it is half in every draw; what is constant has an interval of one value."""
    rows = section(page_of(make_run()), "Unseen sentences of 2 people who trained (4 clips)")
    order = ("static", "ground_truth_reencoded", "atvgnet", "sinha", "chen_s", "sinha_true_landmarks")
    assert list(rows) == [f"`{name}`" for name in order]
    static, sinha = rows["`static`"], rows["`sinha`"]
    assert static["LMD (px) ↓"].startswith("3.000 [1.") and static["LMD, % of static's ↓"] == "100 [100, 100]"
    assert sinha["LMD (px) ↓"].startswith("1.500 [0.")
    assert sinha["LMD, % of static's ↓"] == "**50** [50, 50] ▲"
    assert sinha["PSNR (dB) ↑"] == "30.00 [30.00, 30.00]"
    assert sinha["mouth correlation ↑"] == "0.50 [0.50, 0.50] ▲" and sinha["identity ↑"] == "0.500 [0.500, 0.500]"
    assert sinha["AU F1 ↑"] == "**1.00** [1.00, 1.00] ▲"
    assert rows["`atvgnet`"]["AU F1 ↑"] == "0.67 [0.67, 0.67] ▲"  # 2 · 5 / (2 · 5 + 5)
    assert sinha["blinks / s"] == "0.50"  # one in two seconds
    assert rows["`atvgnet`"]["LMD, % of static's ↓"] == "100 [100, 100]"
    # By how many pixels depends on the person, and two people can't tell; as a share of static's it is the same for all.
    assert rows["`chen_s`"]["LMD (px) ↓"].endswith("]") and rows["`chen_s`"]["LMD, % of static's ↓"].endswith("▼")
    # What follows the real landmarks is better yet, and is not what a speech-driven system has to beat.
    assert "**" not in "".join(rows["`sinha_true_landmarks`"].values())


def test_by_emotion_each_has_the_figures_of_its_clips(make_run):
    """a and b are happy, c and d sad: static's mouths are 1.5 px off in the mean, and 4.5."""
    folder = make_run()
    path = folder / "data" / "evaluation" / CLIPS
    table = pd.read_parquet(path)
    table["emotion"] = np.where(table["clip"].isin(["a", "b"]), "HAP", "SAD")
    table.loc[(table["system"] == "sinha") & (table["emotion"] == "SAD"), "lmd"] *= 3
    write_table(table, path)
    rows = section(page_of(folder), "LMD, % of static's ↓, by emotion")
    assert list(rows["`sinha`"])[1:] == ["HAP (2)", "SAD (2)"]
    assert rows["`sinha`"]["HAP (2)"].startswith("**50** [50, 50] ▲") and rows["`sinha`"]["SAD (2)"].startswith(
        "150 [150, 150] ▼"
    )
    assert "by emotion" not in page_of(make_run("neutral"))


def test_each_unseen_person_has_a_table_and_the_one_speaker_of_grid_too(make_run):
    page = page_of(make_run())
    headings = [line[4:] for line in page.splitlines() if line.startswith("### ")]
    assert headings[:4] == [
        "Unseen sentences of 2 people who trained (4 clips)",
        "Unseen sentences of s1 (2 clips)",
        "Unseen person s2 (1 clip)",
        "Unseen person s11 (2 clips)",
    ]
    assert section(page, headings[1])["`static`"]["LMD (px) ↓"].startswith("1.500 [1.000, 2.000]")
    alone = section(page, headings[2])["`sinha`"]
    assert alone["LMD (px) ↓"] == "2.000" and alone["LMD, % of static's ↓"] == "50"


ALONE = Sample(np.repeat("one", 30), 500, 0)


def sign(key, one, other):
    return signs_of(key, [(one, other)])[0]


def test_differences_are_paired():
    """One is better in every clip by as much; their intervals overlap by nearly all, and yet the difference is real."""
    values = np.random.default_rng(1).normal(10, 3, 30)
    one, other = (mean_figure(shown, ALONE) for shown in (values, values + 0.1))
    assert one.interval[1] > other.interval[0] + 1
    assert sign("psnr", other, one) == 1 == sign("lmd", one, other) == -sign("psnr", one, other)
    unrelated = mean_figure(np.random.default_rng(2).normal(10, 3, 30), ALONE)
    assert sign("psnr", one, unrelated) == 0


def test_a_clip_without_a_face_is_left_out_on_both_sides():
    """The hardest clips of one are lost: its mean falls, and yet it is as good as the other."""
    values = np.random.default_rng(1).normal(10, 3, 30)
    noise = np.random.default_rng(3).normal(0, 0.1, 30)
    other = mean_figure(values, ALONE)
    one = mean_figure(np.where(values > 10, np.nan, values + noise - noise[values <= 10].mean()), ALONE)
    assert one.interval[1] < other.interval[0] and sign("lmd", one, other) == 0


def test_of_many_systems_that_are_as_good_as_static_hardly_any_is_marked():
    """Eight systems, 20 clips, 100 times: unadjusted, a third of the tables would mark one. And a planted one is found."""
    rng, sample = np.random.default_rng(5), Sample(np.repeat("one", 20), 200, 0)
    plain = adjusted = found = 0
    for _ in range(100):
        static, *systems = (mean_figure(rng.normal(size=20), sample) for _ in range(9))
        pairs = [(system, static) for system in systems]
        plain += any(difference(*pair)[1] <= 0.05 for pair in pairs)
        adjusted += any(signs_of("lmd", pairs))
        better = mean_figure(static.by_clip - 1 + rng.normal(0, 0.8, 20), sample)
        found += signs_of("lmd", [*pairs, (better, static)])[-1] == 1
    assert plain > 15 and adjusted <= 8 and found > 90


def test_what_cannot_be_told_from_the_best_is_bold_too():
    rng = np.random.default_rng(6)
    rows = [Row(name, name, "small") for name in ("static", "atvgnet", "sinha", "chen_s")]
    base = rng.normal(3, 1, 30)
    shifts = {"static": 2.0, "atvgnet": 0.0, "sinha": 0.02, "chen_s": 1.0}
    figures = {row: mean_figure(base + shifts[row.of] + rng.normal(0, 0.3, 30), ALONE) for row in rows}
    assert {row.of for row in best_of("lmd", figures)} == {"atvgnet", "sinha"}
    told = 0
    for _ in range(100):
        alike = {row: mean_figure(base + rng.normal(0, 0.3, 30), ALONE) for row in rows}
        told += bool(best_of("lmd", alike))
    assert told <= 10  # 5 in the mean


def test_crops_of_different_sizes_are_compared_with_their_own_static(make_run):
    rows = section(page_of(make_run(box=["chen_s"])), "Unseen sentences of 2 people who trained (4 clips)")
    assert [name for name in rows if "static" in name] == ["`static` (small)", "`static` (box)"]
    assert rows["`chen_s` (box)"]["LMD, % of static's ↓"] == "150 [150, 150] ▼"
    assert rows["`sinha` (small)"]["LMD, % of static's ↓"].startswith("**50**")
    assert all("**" not in row[COLUMNS[key].metric.heading] for row in rows.values() for key in ("psnr", "ssim", "lmd"))


def test_the_report_s_marks_are_those_of_the_table(make_run):
    """Of figures that say something of a still photo; references have none; each is compared with its own faces' still."""
    run = read_run(make_run(box=["chen_s"]))
    found = signs(run, ["a", "b", "c", "d"])
    assert list(found) == ["atvgnet", "sinha", "chen_s", "sinha_true_landmarks"]
    of_pictures, of_mouths = (
        {"psnr", "ssim", "cpbd", "lpips"},
        {"lmd", "lmd_share", "lmd_iod", "mouth_correlation", "au_f1"},
    )
    assert set(found["sinha"]) == of_pictures | of_mouths | {"sync_confidence"}
    assert [found[name]["lmd_share"] for name in found] == [0, 1, -1, 1] and found["sinha"]["psnr"] == 0


def test_the_heading_and_the_cards_say_what_was_trained(make_run):
    page = page_of(make_run())
    assert "## GRID, 9 people, 64 px" in page
    assert "Training: 195 clips of 9 people; Unseen people: 3 clips of 2 people." in page
    networks = "audio to landmark: width 0.25, epoch 26 of 60; blink: epoch 28 of 32"
    assert f"| `sinha` | 64 px, per frame | {networks} |" in page


def test_the_papers_own_rows_stand_beside_them(make_run):
    rows = section(page_of(make_run()).replace("## Published on GRID", "### Published on GRID"), "Published on GRID")
    assert rows["Chen S. 2021, Table 1"]["AU F1 ↑"] and rows["ATVGnet (Chen L. 2019), Table 1"]["LMD (px) ↓"] == "1.29"


def test_the_same_runs_give_the_same_bytes(make_run):
    runs = [make_run("one"), make_run("two", box=["chen_s"])]
    page = page_of(*runs)
    assert page == page_of(*runs) and str(runs[0].parent) not in page and page.count("Unseen person s2") == 2


def test_what_is_missing_is_said(make_run):
    bare, old, partial = make_run("bare"), make_run("old"), make_run("partial", clips="abcd")
    for path in (bare / "data").rglob("*.parquet"):
        path.unlink()
    table = pd.read_parquet(old / "data" / "evaluation" / CLIPS).drop(columns="identity")
    write_table(table, old / "data" / "evaluation" / CLIPS)
    (old / "data" / "evaluation" / TRACKS).unlink()
    save_reason(partial / "data" / "systems" / "maity", "no clip has an emotion")
    (partial / "data" / "systems" / "sinha" / CARD).unlink()
    page = page_of(bare)
    assert "- No figures: data/evaluation was not made" in page and "## GRID, 9 people" in page
    page = page_of(old)
    assert "- Not measured by the version that evaluated: identity, AU F1, blinks;" in page
    rows = section(page, "Unseen sentences of 2 people who trained (4 clips)")
    assert "**50** [50, 50]" in rows["`sinha`"]["LMD, % of static's ↓"]
    assert not {"identity ↑", "AU F1 ↑", "blinks / s"} & set(rows["`sinha`"])
    page = page_of(partial)
    assert "- `maity` could not be trained on this corpus: no clip has an emotion" in page
    assert "- Evaluated without a card in data/systems: `sinha`." in page
    assert "- No clip of unseen people was tested." in page and "### Unseen person" not in page


def frames_of(folder, value, clips):
    frames = {clip: np.full((20, 64, 64, 3), value, np.uint8) for clip in clips}
    write_shards(folder / "frames", ((clip, frames[clip]) for clip in in_shards(frames)))


@pytest.mark.parametrize(("root", "shown"), [("data/demo_corpus", True), ("/data/crema_d", False)])
def test_frames_are_shown_of_the_demo_alone(make_run, root, shown):
    """Rows of the truth, the still photo and the systems, for a clip of either split."""
    run = make_run(layout="crema_d", root=root)
    for k, name in enumerate(REFERENCES):
        frames_of(run / "data" / "synthesis" / "references" / "small" / name, 50 + 10 * k, TESTED)
    for k, name in enumerate(("sinha", "chen_s")):
        frames_of(run / "data" / "synthesis" / name, 150 + 10 * k, TESTED)
        write_about(run / "data" / "synthesis" / name, faces="small")
    page, picture = page_of(run), run.parent / "results_demo.jpg"
    assert picture.exists() == shown == ("![" in page) == ("(results_demo.jpg)" in page)
    assert ("## Demo corpus" in page) == shown
    if shown:
        assert "above s1, a sentence never seen, below s11, a person never seen" in page
        assert picture.stat().st_size <= 300_000
        image = cv2.imread(str(picture))
        middles = [image[72 * k + 36 + (12 if k > 3 else 0), -40, 0] for k in range(8)]
        np.testing.assert_allclose(middles, 2 * [50, 60, 150, 160], atol=2)


def refusal(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["results", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        results.main()
    return str(end.value.code)


def test_bad_input_ends_in_one_line(make_run, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    assert "empty is not the folder of a run" in refusal(monkeypatch, tmp_path / "empty")
    run = make_run()
    assert "name a file in it" in refusal(monkeypatch, run, "--output", tmp_path)
    (run / "data" / "evaluation" / TRACKS).write_bytes(b"not a table")
    broken = refusal(monkeypatch, run, "--output", tmp_path / "page.md")
    assert broken.startswith("error:") and "cannot be read" in broken and "\n" not in broken
    params = yaml.safe_load((run / "params.yaml").read_text())
    (run / "params.yaml").write_text(yaml.safe_dump(params | {"corpus": {"root": None}}))
    (run / "data" / "evaluation" / TRACKS).unlink()
    assert "params.yaml: corpus.root is missing" in refusal(monkeypatch, run, "--output", tmp_path / "page.md")
    assert not (tmp_path / "page.md").exists()


def test_the_command_writes_the_page(make_run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["results", str(make_run()), "--output", str(tmp_path / "docs" / "page.md")])
    results.main()
    assert (tmp_path / "docs" / "page.md").read_text().startswith("# Results\n")
