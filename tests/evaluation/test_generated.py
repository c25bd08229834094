"""What the tables compare with what: each system with the truth of the faces that it sees."""

import json
import shutil
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline.corpus.about import write_about
from pipeline.corpus.layouts import EMOTIONS
from pipeline.corpus.shards import Shards, in_shards, write_shards
from pipeline.corpus.tables import write_landmarks
from pipeline.errors import UserError
from pipeline.evaluation.by_clip import read_measured
from pipeline.evaluation.emotion_classifier.network import EmotionClassifier, Settings
from pipeline.evaluation.evaluate import METRICS, pooled_metrics
from pipeline.evaluation.generated import compared, shards, truth_of
from pipeline.evaluation.generated import tested_clips as clips_of
from pipeline.evaluation.lip_sync.network import Settings as SyncSettings
from pipeline.evaluation.lip_sync.network import SyncNetwork
from pipeline.evaluation.sync import LEAST_FRAMES, SYNC
from pipeline.papers.registry import TRAININGS
from pipeline.references import REFERENCES
from pipeline.report.report import make_report
from pipeline.report.run import read_run
from pipeline.results import results_page
from pipeline.training.runner import write_losses
from pipeline.training.trained import CARD, CARD_KEYS, FORM, fields_of, save_network, save_reason
from stages import evaluation

ROOT = Path(__file__).parents[2]

CLIPS = {"a": "test", "b": "test_sentences"}
SIZES = {"small": 64, "large": 96}
N_FRAMES = LEAST_FRAMES  # as many as a judge of sync needs


def untrained_judge():
    """Of sync: its weights, and what it says of itself."""
    settings = SyncSettings(0.125, 0.0)
    about = {"settings": fields_of(settings), "key": "of no training", "preprocessing": {"fps": 25}}
    return SyncNetwork(settings).state_dict(), about


@pytest.fixture
def synthesised(tmp_path, monkeypatch):
    """Make up what synthesis and detection leave: synthesised(atvgnet="large", maity="small"), systems with their faces.

    Frames are noise, of clips of N_FRAMES; a system's are the truth of its faces, 10 brighter.
    """

    data = tmp_path / "data"
    data.mkdir()

    def write(folder, frames, shift):
        for part, arrays in (("synthesis", frames), ("detection", {clip: landmarks(clip, shift) for clip in frames})):
            write_shards(data / part / folder / "frames", ((clip, arrays[clip]) for clip in in_shards(arrays)))

    def landmarks(clip, shift):
        track = np.random.default_rng(5).normal(30, 9, (68, 2)) + np.zeros((N_FRAMES, 68, 2))
        track[:, 65:68, 1] += np.abs(np.sin(np.arange(N_FRAMES)))[:, None] * 4
        track[:, 60, 0] += shift
        return track

    def make(**systems):
        pd.DataFrame(
            {"clip": list(CLIPS), "split": CLIPS.values(), "subject": "s", "sentence": "t", "emotion": "HAP"}
        ).to_parquet(data / "usable_clips.parquet")
        for faces in set(systems.values()):
            size = SIZES[faces]
            truth = {
                c: np.random.default_rng(ord(c)).integers(40, 200, (N_FRAMES, size, size, 3), np.uint8) for c in CLIPS
            }
            for name in REFERENCES:
                write(f"references/{faces}/{name}", truth, 0)
            template = np.random.default_rng(6).normal(30, 9, (68, 2)).tolist()
            how = {"image_size": size, "transform": "per_frame", "template": template}
            write_about(data / "synthesis" / "references" / faces, fps=25, **how)
            for system in (name for name, of in systems.items() if of == faces):
                write(system, {clip: frames + 10 for clip, frames in truth.items()}, 1)
                write_about(data / "synthesis" / system, faces=faces)
            save_network(data / "trained" / f"sync@{faces}", *untrained_judge())
        speech = np.random.default_rng(7).normal(0, 1000, (N_FRAMES + 1) * 882).astype(np.int16)
        write_shards(data / "audio_features" / "waveform", ((clip, speech) for clip in in_shards(CLIPS)))
        write_about(data / "audio_features", sample_rate=22_050)
        monkeypatch.chdir(tmp_path)
        return data

    yield make
    shards.cache_clear()


def test_references_of_one_size_have_plain_names_and_of_several_say_whose_they_are(synthesised):
    assert [row.name for row in compared(synthesised(maity="small", sinha="small"))] == [*REFERENCES, "sinha", "maity"]
    data = synthesised(maity="large", sinha="small")
    named = [f"{name}_{faces}" for faces in ("small", "large") for name in REFERENCES]
    assert [row.name for row in compared(data)] == [*named, "sinha", "maity"]


def test_a_system_is_compared_with_the_truth_of_its_own_faces(synthesised):
    rows = compared(synthesised(maity="large", sinha="small"))
    truths = {row.name: truth_of(row, rows).folder for row in rows}
    assert truths["sinha"] == "references/small/ground_truth" == truths["static_small"]
    assert truths["maity"] == "references/large/ground_truth" == truths["ground_truth_delayed_large"]


def test_a_split_without_clips_is_one_line(synthesised):
    data = synthesised(maity="small")
    assert set(clips_of(compared(data), data, "test")["split"]) == {"test", "test_sentences"}
    table = pd.read_parquet(data / "usable_clips.parquet").assign(split="test")
    table.to_parquet(data / "usable_clips.parquet")
    with pytest.raises(UserError, match=r"evaluation\.split: no clip is left in test_sentences"):
        clips_of(compared(data), data, "test_sentences")


@pytest.fixture
def measured(synthesised, parameters, monkeypatch):
    """Run stages on what two systems left that see different faces: measured("motion", "silence"); gives the folder of data."""

    def run(*stages):
        p = parameters(evaluation={"split": "test", "bootstrap_samples": 20}, compute={"workers": 1})
        monkeypatch.setattr(evaluation.parameters, "load", lambda: p)
        data = synthesised(maity="large", sinha="small")
        rows = {row.name: row for row in compared(data)}
        for name in ("static_small", "static_large", "ground_truth_small", "ground_truth_large", "sinha"):
            truth = truth_of(rows[name], list(rows.values())).found(data)
            true = {clip: np.array(truth[clip]) for clip in CLIPS}
            write_landmarks(data / "synthesis" / rows[name].folder / "landmarks.parquet", true)
        for system in ("sinha", "maity"):
            for part in ("synthesis", "detection"):
                frames = Shards(data / part / system / "frames")
                write_shards(data / part / system / "silence", ((clip, frames[clip][:6]) for clip in in_shards(CLIPS)))
        frames = Shards(data / "synthesis" / "maity" / "frames")
        for emotion in EMOTIONS:
            shown = ((clip, frames[clip]) for clip in in_shards(CLIPS))
            write_shards(data / "synthesis" / "maity" / "emotions" / emotion, shown)
        for faces, size in SIZES.items():
            settings = Settings(size, 0.125, 0.0)
            weights = EmotionClassifier(settings).state_dict()
            folder = data / "trained" / f"emotion_classifier@{faces}"
            save_network(folder, weights, {"settings": fields_of(settings)})
        for stage in stages:
            import_module(f"stages.{stage}").main()
        return data

    return run


def test_landmarks_are_measured_against_the_truth_of_their_faces(measured):
    """Only sinha predicts any here: of the other's faces nothing is said."""
    measured("motion")
    figures = json.loads(Path("metrics/landmarks.json").read_text())
    assert list(figures) == ["static_small", "ground_truth_small", "sinha"]
    assert figures["ground_truth_small"]["lmd"] == figures["sinha"]["lmd"] == 0


def test_silence_and_emotions_are_judged_by_what_knows_the_faces(measured):
    """The classifier of the one size could not even look at the other: its layers do not fit."""
    measured("silence", "emotions")
    silence, emotions = (json.loads(Path(f"metrics/{name}.json").read_text()) for name in ("silence", "emotions"))
    assert list(silence) == ["ground_truth_small", "ground_truth_large", "sinha", "maity"]
    assert (
        silence["sinha"]["silence_lmd"] == pytest.approx(silence["maity"]["silence_lmd"])
        and silence["sinha"]["silence_lmd"] > 0
    )
    assert set(emotions) == {f"{name}_{faces}" for name in REFERENCES for faces in SIZES} | {"sinha", "maity"}
    assert emotions["sinha"]["accuracy_other_emotion"] is None is not emotions["maity"]["accuracy_other_emotion"]


def test_the_page_shows_both_sizes(measured):
    data = measured("evaluation", "motion", "silence", "emotions")
    for row in compared(data):
        for clip in CLIPS:
            path = data / "videos" / row.folder / f"{clip}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"a video")
    for of_paper, training in TRAININGS:
        write_losses(Path("metrics") / "losses" / f"{of_paper}_{training}.csv", [])
    for system in ("sinha", "maity"):
        (data / "systems" / system).mkdir(parents=True)
        (data / "systems" / system / CARD).write_text(
            yaml.safe_dump(dict.fromkeys(CARD_KEYS) | {"form": FORM, "networks": {}})
        )
    none = {"counts": [0, 0], "seconds": [1, 1], "durations": [], "intervals": []}
    (data / "blinks.json").write_text(json.dumps(dict.fromkeys(("ground_truth", "generated"), none)))
    Path("metrics/recognition.json").write_text("{}")
    corpus = {"clips": 2, "subjects": 1, "rejected": 0, "frames": 24}
    Path("metrics/preprocessing.json").write_text(json.dumps(corpus))
    shutil.copy(ROOT / "params.yaml", data.parent)
    make_report(data, Path("metrics"), "test", 64, step=5, n_clips=1)
    page = (data / "report" / "index.html").read_text()
    assert page.count("<video") == 2 * 2 + 2 and "brought to 64 px" in page
    assert "small: 64 px, per_frame, large: 96 px, per_frame" in page


@pytest.fixture
def tables(synthesised, parameters, monkeypatch):
    """What the stage writes of systems with their faces: both tables of the split that is shown."""

    def run(common_size, **systems):
        data = synthesised(**systems)
        p = parameters(evaluation={"common_size": common_size, "split": "test"}, compute={"workers": 1})
        monkeypatch.setattr(evaluation.parameters, "load", lambda: p)
        evaluation.main()
        names = ("evaluation", "evaluation_common_size")
        return [json.loads(Path("metrics", f"{name}.json").read_text()) for name in names], data

    return run


def test_with_one_size_for_all_both_tables_agree(tables):
    (own, common), data = tables(64, maity="small", sinha="small")
    assert own == common and {*METRICS, *SYNC} <= set(own["maity"]) and set(own) == {*REFERENCES, "sinha", "maity"}
    assert own["ground_truth"]["lmd"] == 0 < own["maity"]["lmd"] == own["sinha"]["lmd"]
    # All values are 10 too bright: 20 log10(255 / 10) dB.
    assert own["maity"]["psnr"] == pytest.approx(20 * np.log10(25.5), abs=1e-3)
    whole = json.loads((data / "evaluation" / "test.json").read_text())
    assert whole["signature"]["crop"].startswith("small: 64 px, per_frame") and whole["means"] == own
    assert whole["signature"]["sync"].startswith("sync@small, trained by key of no training; ")


def test_without_a_judge_of_sync_nothing_is_said_of_it(synthesised, parameters, monkeypatch):
    data = synthesised(maity="small")
    save_reason(data / "trained" / "sync@small", "no training clip is long enough")
    p = parameters(evaluation={"split": "test"}, compute={"workers": 1})
    monkeypatch.setattr(evaluation.parameters, "load", lambda: p)
    evaluation.main()
    whole = json.loads((data / "evaluation" / "test.json").read_text())
    for part in ("means", "n", "intervals"):
        assert not {*SYNC} & {*whole[part]["maity"]}
    assert "sync" not in whole["signature"]


def test_the_judge_that_is_named_judges_all_faces(synthesised, parameters):
    synthesised(maity="large", sinha="small")
    named = parameters(evaluation={"syncnet": "syncnet_v2.model"})
    assert evaluation.judges_of(SIZES, named) == dict.fromkeys(SIZES, Path("syncnet_v2.model"))
    own = {faces: Path("data", "trained", f"sync@{faces}") for faces in SIZES}
    assert evaluation.judges_of(SIZES, parameters()) == own


def test_systems_of_several_sizes_stand_in_one_table_at_their_own_and_in_one_at_a_common_size(tables):
    (own, common), data = tables(64, maity="large", sinha="small")
    assert list(own) == list(common) and {"static_small", "static_large", "sinha", "maity"} <= set(own)
    assert own["sinha"] == common["sinha"] and own["static_small"] == common["static_small"]
    # The same shift in pixels of 96 is 2/3 of it in pixels of 64; a face's own measure does not change.
    assert common["maity"]["lmd"] == pytest.approx(own["maity"]["lmd"] * 64 / 96, rel=1e-5)
    assert common["maity"]["lmd_iod"] == pytest.approx(own["maity"]["lmd_iod"], rel=1e-5)
    assert common["maity"]["psnr"] == pytest.approx(own["maity"]["psnr"], abs=0.1)
    assert common["maity"]["au_f1"] == own["maity"]["au_f1"]
    crops = json.loads((data / "evaluation" / "test_common_size.json").read_text())["signature"]["crop"]
    assert crops.startswith("all at 64 px from small: 64 px, per_frame, large: 96 px, per_frame")


def test_what_is_pooled_can_be_pooled_anew_from_the_tables(tables):
    """By clip, it gives what the file of the split says."""
    (own, _), data = tables(64, maity="small", sinha="small")
    measured = read_measured(data / "evaluation")
    assert list(measured) == list(own) and list(measured["maity"]) == list(CLIPS)
    for system, of_clips in measured.items():
        of_split = pooled_metrics([of_clips["a"]], fps=25)
        assert of_split == {metric: own[system][metric] for metric in of_split}


def test_the_page_of_results_shows_what_the_stage_wrote(tables):
    (own, _), _ = tables(64, maity="small", sinha="large")
    faces = {name: {"image_size": size, "transform": "per_frame"} for name, size in SIZES.items()}
    params = evaluation.parameters.load().model_dump(mode="json") | {"faces": faces}
    params["sinha"]["faces"] = "large"
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    page = results_page([read_run(Path())], Path("docs/results.md"))
    (row,) = [line for line in page.splitlines() if line.startswith("| `maity` (small)")][1:]
    assert f"{own['maity']['psnr']:.2f}" in row and f"{own['maity']['identity']:.3f}" in row
    assert "`static` (large)" in page and "Evaluated without a card in data/systems: `sinha`, `maity`." in page
