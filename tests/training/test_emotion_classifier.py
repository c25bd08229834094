import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.corpus.layouts import EMOTIONS
from pipeline.corpus.shards import in_shards, write_shards
from pipeline.errors import UserError
from pipeline.training.data import ClipStore, images_to_tensor
from pipeline.training.emotion_classifier import LabelledClips, changed, load, recognise, train
from pipeline.training.skipped import SKIPPED

SCHEDULE = {"width": 0.5, "dropout": 0, "epochs": 8, "excerpt_frames": 2, "batch": 4, "learning_rate": 3e-3}


def face(emotion, complexion, rng):
    """A few frames of a grey square with a dark bar whose place is the emotion."""
    frames = np.full((6, 64, 64, 3), complexion, np.float64) + rng.normal(0, 3, (6, 64, 64, 3))
    row = 12 + 8 * EMOTIONS.index(emotion)
    frames[:, row : row + 4, 16:48] -= 60
    return frames.clip(0, 255).astype(np.uint8)


def make_clips(data, emotions=EMOTIONS):
    """Three training clips of each emotion, one for testing by somebody darker, and one that nobody labelled."""
    rng, rows, crops = np.random.default_rng(0), [], {}
    for k, emotion in enumerate(emotions):
        for n, split in enumerate(["train", "train", "train", "validation", "test"]):
            clip = f"clip{k}{n}"
            rows.append({"clip": clip, "split": split, "subject": split, "emotion": emotion})
            crops[clip] = face(emotion, 90 if split == "test" else 150 + 30 * n, rng)
    rows.append({"clip": "unlabelled", "split": "train", "subject": "train", "emotion": None})
    crops["unlabelled"] = face("NEU", 150, rng)
    (data / "clips").mkdir(parents=True)
    pd.DataFrame(rows).to_parquet(data / "clips" / "clips.parquet")
    write_shards(data / "alignment" / "crops", ((clip, crops[clip]) for clip in in_shards(crops)))
    np.save(data / "alignment" / "template.npy", rng.normal(32, 10, (68, 2)))
    return data


@pytest.fixture
def p(parameters):
    return parameters(emotion_classifier=SCHEDULE, training={"device": "cpu", "precision": "32-true"})


def test_emotions_are_recognised_in_people_whom_training_did_not_see(p, tmp_path):
    data = make_clips(tmp_path / "data")
    train(p, data, tmp_path / "losses.csv")
    network, description = load(data / "emotion_classifier")
    assert description["system"] == "emotion_classifier" and description["preprocessing"]["image_size"] == 64
    store = ClipStore(data, "crops")
    seen = [recognise(network, store.crops[clip]) for clip in store.ids("test")]
    assert seen == list(store.clips.loc[store.ids("test"), "emotion"])
    losses = pd.read_csv(tmp_path / "losses.csv")
    assert list(losses) == ["epoch", "generator_cross_entropy", "validation_error"]


@pytest.mark.parametrize(
    ("emotions", "words"), [((), "no labelled emotion"), (("ANG", "HAP"), "show ANG, HAP; all six")]
)
def test_a_corpus_that_cannot_teach_them_is_one_line_and_no_error(p, tmp_path, capsys, emotions, words):
    data = make_clips(tmp_path / "data", emotions)
    train(p, data, tmp_path / "losses.csv")
    assert words in capsys.readouterr().out.strip()
    assert words in (data / "emotion_classifier" / SKIPPED).read_text()
    assert load(data / "emotion_classifier") is None
    assert pd.read_csv(tmp_path / "losses.csv").empty


def test_a_checkpoint_of_an_earlier_corpus_is_not_left_behind(p, parameters, tmp_path):
    short = parameters(emotion_classifier=SCHEDULE | {"epochs": 1}, training={"device": "cpu"})
    train(short, make_clips(tmp_path / "data"), tmp_path / "losses.csv")
    labelled = pd.read_parquet(tmp_path / "data" / "clips" / "clips.parquet")
    labelled.assign(emotion=None).to_parquet(tmp_path / "data" / "clips" / "clips.parquet")
    train(short, tmp_path / "data", tmp_path / "losses.csv")
    assert not list((tmp_path / "data").glob("emotion_classifier/*.pt"))
    labelled.to_parquet(tmp_path / "data" / "clips" / "clips.parquet")
    train(short, tmp_path / "data", tmp_path / "losses.csv")
    assert load(tmp_path / "data" / "emotion_classifier") is not None


def test_a_resumed_training_ends_the_same_and_its_rate_falls_with_all_steps(parameters, tmp_path):
    """18 labelled training clips by fours are five steps an epoch; the rate is half after 150."""
    saved = {}
    for name, runs in (("unbroken", [2]), ("resumed", [1, 2])):
        data = make_clips(tmp_path / name)
        for epochs in runs:
            p = parameters(emotion_classifier=SCHEDULE | {"epochs": epochs}, training={"device": "cpu"})
            train(p, data, tmp_path / "losses.csv")
        saved[name] = torch.load(data / "emotion_classifier" / "last.pt", weights_only=True)
    unbroken, resumed = saved.values()
    for name, value in unbroken["networks"]["generator"].items():
        assert torch.equal(value, resumed["networks"]["generator"][name])
    for checkpoint in saved.values():
        rate = checkpoint["optimizers"]["generator"]["param_groups"][0]["lr"]
        assert rate == pytest.approx(SCHEDULE["learning_rate"] / (1 + 10 / 150))


def test_a_missing_checkpoint_is_one_line(tmp_path):
    with pytest.raises(UserError, match="dvc repro emotion_classifier"):
        load(tmp_path)


def test_only_labelled_clips_are_shown_and_their_frames_are_from_all_over(tmp_path):
    data = make_clips(tmp_path / "data")
    store = ClipStore(data, "crops")
    store.clips = store.clips[store.clips["emotion"].notna()]
    clips = LabelledClips(store, 3, seed=0, batch=4)
    batches = list(clips.epoch(0))
    assert sum(len(batch.emotion) for batch in batches) == 18 and batches[0].frames.shape == (4, 3, 3, 64, 64)
    whole = next(clips.validation())
    frames = store.crops[store.validation[0]]
    # Thirds of six frames, the middle of each.
    assert torch.equal(whole.frames[0], images_to_tensor(frames[[1, 3, 5]]))


def test_what_an_epoch_shows_depends_on_its_number_only(tmp_path):
    store = ClipStore(make_clips(tmp_path / "data", EMOTIONS), "crops")
    store.clips = store.clips[store.clips["emotion"].notna()]
    one, other = (LabelledClips(store, 2, seed=0, batch=4) for _ in range(2))
    list(one.epoch(0))
    for a, b in zip(one.epoch(3), other.epoch(3), strict=True):
        assert torch.equal(a.frames, b.frames) and torch.equal(a.emotion, b.emotion)


def test_a_change_is_the_same_for_all_frames_and_small():
    frames = images_to_tensor(face("NEU", 150, np.random.default_rng(0))[:1].repeat(3, axis=0))
    moved = changed(frames, np.random.default_rng(5))
    assert torch.equal(moved[0], moved[2]) and not torch.equal(moved, frames)
    assert moved.abs().max() <= 1
    bar = moved[0].mean(0)[:, 24:40].mean(1).argmin().item()
    assert abs(bar - (12 + 8 * EMOTIONS.index("NEU") + 1.5)) <= 6
