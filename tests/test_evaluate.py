"""`python -m pipeline.evaluate` on videos of a portrait whose chin falls as it speaks, and on damaged copies of them."""

import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from pipeline import evaluate
from pipeline.errors import ClipRejected, UserError
from pipeline.evaluation.evaluate import Clip, compare, evaluate_clip
from pipeline.evaluation.landmark import detect_landmarks
from pipeline.evaluation.lip_sync.network import Settings, SyncNetwork
from pipeline.evaluation.sync import LEAST_FRAMES, SYNC
from pipeline.features.detection import find_faces, predict_landmarks
from pipeline.features.landmarks import MOUTH
from pipeline.synthesis import write_clip
from pipeline.systems.preprocessing import Preprocessing
from pipeline.training.trained import fields_of, read_card, save_network
from pipeline.video import probe, write_video
from tests.evaluation.weights import write_i3d, write_lpips

ROOT = Path(__file__).parents[1]
HOW = Preprocessing.of(read_card(ROOT / evaluate.PRETRAINED)["preprocessing"])
N_FRAMES, FPS = 16, 25


def speaking(portrait, k, n_frames=N_FRAMES):
    """The portrait, uint8 (n_frames, 300, 300, 3), with the chin falling and rising; k: how fast."""
    grey = portrait.mean(axis=2).astype(np.uint8)
    between_lips = round(predict_landmarks(grey, find_faces(grey)[0].box)[MOUTH, 1].mean())
    frames = np.repeat(portrait[None], n_frames, axis=0)
    for t, dropped in enumerate(np.rint(10 * np.sin(np.arange(n_frames) / (2 + k)) ** 2).astype(int)):
        frames[t, between_lips + dropped :] = portrait[between_lips : 300 - dropped]
        frames[t, between_lips : between_lips + dropped] = 20
    return frames


def blurred(frames):
    return [cv2.GaussianBlur(frame, (0, 0), 1) for frame in frames]


def late(frames, by=2):
    return frames[np.maximum(np.arange(len(frames)) - by, 0)]


@pytest.fixture(scope="module")
def folders(portrait, tmp_path_factory):
    """Three clips, and two kinds of copies: blurred ones, and ones two frames late."""
    root = tmp_path_factory.mktemp("videos")
    for k, name in enumerate("abc"):
        frames = speaking(portrait, k)
        write_video(root / "real" / f"{name}.mp4", frames, FPS)
        write_video(root / "blurred" / f"{name}.mkv", blurred(frames), FPS)
        write_video(root / "late" / f"{name}.mp4", late(frames), FPS)
    return root


@pytest.fixture
def copied(folders, tmp_path):
    """The folders, for a test to change."""
    return shutil.copytree(folders, tmp_path / "videos")


def run(monkeypatch, *arguments):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["evaluate", *map(str, arguments)])
    evaluate.main()


def refusal(monkeypatch, *arguments):
    with pytest.raises(SystemExit) as end:
        run(monkeypatch, *arguments)
    said = str(end.value.code)
    assert said.startswith("error: ") and "\n" not in said
    return said


def pair(real, **generated):
    return evaluate.Pair("clip", real, generated, shown=False)


def test_one_call_says_how_copies_are_damaged(folders, tmp_path, monkeypatch, capsys):
    """And says it with the same bytes by one process or two."""
    for workers in (1, 2):
        out = tmp_path / str(workers)
        run(monkeypatch, folders / "real", folders / "blurred", folders / "late", "--output", out, "--workers", workers)
    said = capsys.readouterr().out
    figures = json.loads((out / "figures.json").read_text())
    means = figures["means"]
    assert list(means) == ["static", "blurred", "late"] and "3 of 3 pairs, 95 % intervals" in said
    assert means["late"]["mouth_lag"] == 2
    assert means["blurred"]["psnr"] < 32 and means["late"]["lmd"] < means["static"]["lmd"]
    low, high = figures["intervals"]["late"]["lmd"]
    assert low < means["late"]["lmd"] < high
    table = pd.read_parquet(out / "clips.parquet")
    assert list(table["clip"].unique()) == ["a", "b", "c"] and len(table) == 9
    assert table.groupby("system")["lmd"].mean()["late"] == pytest.approx(means["late"]["lmd"], rel=1e-5)
    page = (out / "index.html").read_text()
    assert "▲" in page and probe(out / "videos" / "late" / "b.mp4").width == HOW.image_size
    assert (out / "videos" / "real" / "a.mp4").exists() and (out / "landmarks" / "a.js").exists()
    for name in ("index.html", "figures.json", "clips.parquet", "tracks.parquet", "action_units.parquet"):
        assert (tmp_path / "1" / name).read_bytes() == (out / name).read_bytes()


def test_crops_that_were_written_as_videos_have_the_figures_of_the_arrays(portrait, tmp_path):
    """As the stage measures arrays and exports them; the codec costs something, whose amount is measured here as well."""
    write_video(tmp_path / "whole.mp4", speaking(portrait, 0), FPS)
    truth, _ = HOW.crops(tmp_path / "whole.mp4")
    made = np.stack(blurred(truth))
    for name, frames in (("truth", truth), ("made", made)):
        write_clip(tmp_path / f"{name}.mp4", frames, None, FPS, 22_050)
    found = evaluate.evaluate(pair(tmp_path / "truth.mp4", made=tmp_path / "made.mp4"), HOW, "none").measured["made"]
    expected = compare(*(Clip(f, detect_landmarks(f)) for f in (truth, made)), HOW.template, FPS)
    codec = evaluate_clip(truth, evaluate.whole_frames(tmp_path / "truth.mp4", HOW), HOW.template)
    assert codec["psnr"] > 35 and codec["lmd_iod"] < 0.02
    assert found.metrics["psnr"] == pytest.approx(expected.metrics["psnr"], abs=1)
    assert found.metrics["ssim"] == pytest.approx(expected.metrics["ssim"], abs=0.03)
    assert found.metrics["identity"] == pytest.approx(expected.metrics["identity"], abs=0.01)
    for metric in ("lmd_iod", "nlmd"):
        assert abs(found.metrics[metric] - expected.metrics[metric]) < 2 * codec[metric]
    np.testing.assert_allclose(found.opening, expected.opening, atol=0.08)


def test_the_same_video_at_twice_the_size_and_rate_is_nearly_the_truth(portrait, tmp_path):
    """Resampled by its timestamps, and cut where the real face is."""
    frames = speaking(portrait, 1)
    write_video(tmp_path / "real.mp4", frames, FPS)
    large = [cv2.resize(frame, (600, 600), interpolation=cv2.INTER_CUBIC) for frame in np.repeat(frames, 2, axis=0)]
    write_video(tmp_path / "large.mp4", large, 2 * FPS)
    result = evaluate.evaluate(pair(tmp_path / "real.mp4", large=tmp_path / "large.mp4"), HOW, "real")
    metrics, still = (result.measured[name].metrics for name in ("large", "static"))
    assert metrics["psnr"] > 33 and metrics["mouth_lag"] == 0 and metrics["mouth_correlation"] > 0.9
    assert metrics["lmd"] < 0.4 * still["lmd"]
    (note,) = result.notes
    assert "scaled to those of the real one, by 0.5" in note


def test_a_shifted_face_counts_unless_each_is_cut_by_its_own(portrait, tmp_path):
    frames = speaking(portrait, 0)
    write_video(tmp_path / "real.mp4", frames, FPS)
    write_video(tmp_path / "shifted.mp4", np.roll(frames, 12, axis=2), FPS)
    psnr = {
        align: evaluate.evaluate(pair(tmp_path / "real.mp4", it=tmp_path / "shifted.mp4"), HOW, align)
        .measured["it"]
        .metrics["psnr"]
        for align in ("real", "own")
    }
    assert psnr["own"] > psnr["real"] + 6


@pytest.mark.parametrize(("n_frames", "counted"), [(N_FRAMES + 9, N_FRAMES), (9, 9)])
def test_of_two_lengths_the_common_beginning_counts_and_it_is_said(portrait, folders, tmp_path, n_frames, counted):
    write_video(tmp_path / "it.mp4", speaking(portrait, 0, n_frames), FPS)
    result = evaluate.evaluate(pair(folders / "real" / "a.mp4", it=tmp_path / "it.mp4"), HOW, "real")
    assert result.notes == [
        f"{tmp_path / 'it.mp4'}: {n_frames} frames, the real one {N_FRAMES}: the first {counted} count"
    ]
    assert len(result.measured["it"].opening) == counted and len(result.measured["static"].opening) == N_FRAMES
    assert result.measured["it"].metrics["lmd"] < 0.3 * result.measured["static"].metrics["lmd"]


def test_one_clip_has_no_interval_and_it_is_said(folders, tmp_path, monkeypatch, capsys):
    """A file against a file of another name."""
    run(monkeypatch, folders / "real" / "a.mp4", folders / "late" / "b.mp4", "--output", tmp_path, "--workers", 1)
    said = capsys.readouterr().out
    assert "1 of 1 pairs, no interval" in said and "[" not in said
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["clips"] == 1 and figures["intervals"]["b"]["lmd"] is None


def grey(n_frames=N_FRAMES, size=300):
    return np.full((n_frames, size, size, 3), 127, np.uint8)


def test_what_cannot_be_used_costs_its_clip_and_is_listed(copied, portrait, tmp_path, monkeypatch, capsys):
    """A real one without a face, a corrupt copy, a short one, one of another shape, names without a partner, or twice."""
    real, late_, out = copied / "real", copied / "late", tmp_path / "out"
    for k, name in enumerate("defgh", start=1):
        write_video(real / f"{name}.mp4", speaking(portrait, k) if name != "d" else grey(), FPS)
        write_video(late_ / f"{name}.mp4", speaking(portrait, k), FPS)
    (late_ / "e.mp4").write_bytes((late_ / "e.mp4").read_bytes()[:700])
    write_video(late_ / "f.mp4", speaking(portrait, 1)[:3], FPS)
    write_video(late_ / "g.mp4", speaking(portrait, 1)[:, :200], FPS)
    shutil.copy(late_ / "h.mp4", late_ / "h.mkv")
    (late_ / "b.mp4").rename(late_ / "z.mp4")
    run(monkeypatch, real, late_, "--output", out, "--workers", 2)
    said = capsys.readouterr()
    assert "2 of 6 pairs" in said.out
    notes = "\n".join(json.loads((out / "figures.json").read_text())["notes"])
    for words in (
        "d: left out: no_face",
        "e: left out: ",
        "f.mp4: 3 of at least 5 frames",
        "g.mp4: 300×200 px, the real one 300×300; cut each by its own face",
        "h: two videos of that name",
        "b: none by late",
        "z: by late, but no real one",
    ):
        assert words in notes and words in said.err, words


def test_a_generated_video_without_a_face_is_measured_and_its_faces_are_counted(folders, tmp_path):
    for name, frames in (("grey", grey()), ("black", 0 * grey())):
        write_video(tmp_path / f"{name}.mp4", frames, FPS)
    generated = {name: tmp_path / f"{name}.mp4" for name in ("grey", "black")}
    result = evaluate.evaluate(pair(folders / "real" / "a.mp4", **generated), HOW, "real")
    for name in generated:
        metrics = result.measured[name].metrics
        assert metrics["no_face"] == 1 and metrics["psnr"] < 20 and np.isnan(metrics["lmd"])
    result = evaluate.evaluate(pair(folders / "real" / "a.mp4", **generated), HOW, "own")
    assert {name: problem.reason for name, problem in result.rejected.items()} == dict.fromkeys(generated, "no_face")


def test_a_real_video_without_a_face_or_all_black_is_rejected(folders, tmp_path):
    for name, frames in (("grey", grey()), ("black", 0 * grey())):
        write_video(tmp_path / f"{name}.mp4", frames, FPS)
        for align in evaluate.ALIGN:
            with pytest.raises(ClipRejected, match=f"no_face.*{name}"):
                evaluate.evaluate(pair(tmp_path / f"{name}.mp4", it=folders / "late" / "a.mp4"), HOW, align)


def test_what_every_clip_has_is_never_averaged_away(folders, monkeypatch):
    def broken(truth, generated, *rest):
        return evaluate_clip(truth, generated, *rest) | {"ssim": np.nan}

    monkeypatch.setattr("pipeline.evaluation.evaluate.evaluate_clip", broken)
    with pytest.raises(UserError, match="clip by static: ssim is nan"):
        evaluate.evaluate(pair(folders / "real" / "a.mp4", it=folders / "late" / "a.mp4"), HOW, "real")


def test_bad_arguments_end_in_one_line(folders, tmp_path, monkeypatch):
    real, out = folders / "real", ("--output", tmp_path / "out")
    assert "nowhere does not exist" in refusal(monkeypatch, real, tmp_path / "nowhere", *out)
    (tmp_path / "empty").mkdir()
    assert "empty holds no video" in refusal(monkeypatch, real, tmp_path / "empty", *out)
    assert "is given twice" in refusal(monkeypatch, real, folders / "late", folders / "late", *out)
    shutil.copy(folders / "late" / "a.mp4", tmp_path / "other.mp4")
    assert "names must be equal" in refusal(monkeypatch, real, tmp_path / "other.mp4", *out)
    assert "--workers" in refusal(monkeypatch, real, folders / "late", *out, "--workers", "0")
    (tmp_path / "file").touch()
    assert "is a file" in refusal(monkeypatch, real, folders / "late", "--output", tmp_path / "file")
    write_video(tmp_path / "empty" / "a.mp4", grey(), FPS)
    said = refusal(monkeypatch, tmp_path / "empty", folders / "late", *out, "--workers", "1")
    assert "no video could be measured: " in said and "no_face" in said
    assert not (tmp_path / "out").exists()


def test_networks_whose_weights_are_named_add_their_figures(folders, tmp_path, monkeypatch):
    """Windows of 16 frames, one in each of three clips; without weights neither the file nor the page knows of them."""
    write_lpips(tmp_path / "lpips")
    write_i3d(tmp_path / "i3d.pt")
    both = folders / "real", folders / "blurred", folders / "late", "--workers", 1
    run(monkeypatch, *both, "--output", tmp_path / "with", "--lpips", tmp_path / "lpips", "--fvd", tmp_path / "i3d.pt")
    figures = json.loads((tmp_path / "with" / "figures.json").read_text())
    assert all(figures["means"][name]["lpips"] > 0 for name in ("static", "blurred", "late"))
    assert {figures["n"][name]["fvd"] for name in figures["n"]} == {3} and "fid" not in figures["means"]["late"]
    assert {"lpips", "fvd"} <= set(figures["signature"]) and "FVD" in (tmp_path / "with" / "index.html").read_text()
    assert "lpips" in pd.read_parquet(tmp_path / "with" / "clips.parquet")
    run(monkeypatch, *both, "--output", tmp_path / "without")
    plain = json.loads((tmp_path / "without" / "figures.json").read_text())
    assert not {"lpips", "fvd"} & {*plain["means"]["late"], *plain["signature"]}
    assert {key: figures["means"]["late"][key] for key in plain["means"]["late"]} == plain["means"]["late"]


def test_a_wrong_file_of_weights_ends_in_one_line_before_any_work(folders, tmp_path, monkeypatch):
    said = refusal(monkeypatch, folders / "real", folders / "late", "--fid", tmp_path / "none.pth")
    assert "none.pth does not hold FID's Inception-v3" in said and "pytorch-fid" in said


def test_names_and_people():
    assert list(evaluate.named([Path("x/a"), Path("y/b"), Path("static.mp4")])) == ["a", "b", "static.mp4"]
    assert list(evaluate.named([Path("x/a"), Path("y/a")])) == ["x/a", "y/a"]
    assert evaluate.person_of("s1/bbaf2n") == "s1" and evaluate.person_of("bbaf2n") is None
    titles = dict(evaluate.groups(["s1/a", "s1/b", "s2/a"]))
    assert titles == {"All 3 videos": ["s1/a", "s1/b", "s2/a"], "s1": ["s1/a", "s1/b"], "s2": ["s2/a"]}


def test_a_transform_of_frames_that_are_enlarged_first():
    """Pixel centres lie at whole numbers: 0 of a frame that is enlarged twofold lies at 0.5."""
    turn = np.array([[0.8, -0.6, 3.0], [0.6, 0.8, -2.0]])
    point = np.array([10.0, 7.0])
    large = 2 * point + 0.5
    expected = turn[:, :2] @ large + turn[:, 2]
    found = evaluate.scaled(turn, np.array([2.0, 2.0]))
    np.testing.assert_allclose(found[:, :2] @ point + found[:, 2], expected)


def test_a_judge_that_is_named_says_whether_mouths_move_with_the_real_videos_sound(monkeypatch, portrait, tmp_path):
    """It has learnt nothing, but is asked: its figures stand in the table; of the mute clip there are none."""
    settings, how = Settings(0.125, 0.0), {"key": "of no training", "preprocessing": {"fps": 25}}
    save_network(tmp_path / "sync@small", SyncNetwork(settings).state_dict(), how | {"settings": fields_of(settings)})
    frames, sound = speaking(portrait, 1, LEAST_FRAMES), np.random.default_rng(0).normal(0, 0.1, 30_000)
    for name, heard in (("loud", sound), ("mute", None)):
        write_video(tmp_path / "real" / f"{name}.mp4", frames, FPS, heard)
        write_video(tmp_path / "mine" / f"{name}.mp4", late(frames), FPS)
    folders = tmp_path / "real", tmp_path / "mine", "--output", tmp_path / "out", "--workers", 1
    run(monkeypatch, *folders, "--sync", tmp_path / "sync@small")
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert {figures["n"]["mine"][metric] for metric in SYNC} == {1}
    assert figures["means"]["mine"]["sync_distance"] > 0 and "of no training" in figures["signature"]["sync"]
    assert any(note.endswith("mute.mp4: no sound, and so no sync") for note in figures["notes"])
    assert refusal(monkeypatch, *folders, "--sync", "nowhere").startswith("error: nowhere does not exist")
