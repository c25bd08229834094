import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.made_up import write_abouts
from pipeline.blocks.images import images_to_tensor
from pipeline.corpus.layouts import EMOTIONS
from pipeline.corpus.shards import in_shards, write_shards
from pipeline.errors import UserError
from pipeline.evaluation.augmentation import changed
from pipeline.evaluation.emotion_classifier.training import LabelledClips, recipe
from pipeline.evaluation.emotion_classifier.use import load, recognise
from pipeline.training.data import ClipStore
from pipeline.training.recipe import NothingToLearn
from stages import judge

SMALL = {"width": 0.5, "dropout": 0, "epochs": 8, "excerpt_frames": 2, "batch": 4, "learning_rate": 3e-3}


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
    write_shards(data / "alignment" / "small" / "crops", ((clip, crops[clip]) for clip in in_shards(crops)))
    np.save(data / "alignment" / "small" / "template.npy", rng.normal(32, 10, (68, 2)))
    write_abouts(data)
    return data


@pytest.fixture
def train(parameters):
    """Train SMALL, with changes, on what is in `data`; gives the losses."""

    def run(data, **changes):
        judge.run("emotion_classifier", "small", parameters(emotion_classifier=SMALL | changes), data, data / "metrics")
        return pd.read_csv(data / "metrics" / "losses" / "emotion_classifier@small.csv")

    return run


def test_emotions_are_recognised_in_people_whom_training_did_not_see(train, tmp_path):
    losses = train(make_clips(tmp_path))
    assert list(losses) == ["phase", "epoch", "generator_cross_entropy", "validation_error"]
    network, about = load(tmp_path / "trained" / "emotion_classifier@small")
    assert about["training"] == "emotion_classifier@small" and about["preprocessing"]["image_size"] == 64
    store = ClipStore(tmp_path, "small", "crops")
    seen = [recognise(network, store.crops[clip]) for clip in store.ids("test")]
    assert seen == list(store.clips.loc[store.ids("test"), "emotion"])


@pytest.mark.parametrize(
    ("emotions", "words"), [((), "no labelled emotion"), (("ANG", "HAP"), "show ANG, HAP; all six")]
)
def test_a_corpus_that_cannot_teach_them_teaches_nothing(parameters, tmp_path, emotions, words):
    with pytest.raises(NothingToLearn, match=words):
        recipe(parameters(), make_clips(tmp_path, emotions), "small")


def test_a_network_of_an_earlier_corpus_is_not_left_behind(train, tmp_path):
    folder, data = tmp_path / "trained" / "emotion_classifier@small", make_clips(tmp_path)
    train(data, epochs=1)
    labelled = pd.read_parquet(data / "clips" / "clips.parquet")
    labelled.assign(emotion=None).to_parquet(data / "clips" / "clips.parquet")
    assert train(data, epochs=1).empty and load(folder) is None
    labelled.to_parquet(data / "clips" / "clips.parquet")
    train(data, epochs=1)
    assert load(folder) is not None


def test_the_rate_falls_with_the_steps(train, tmp_path):
    """18 labelled training clips by fours are five steps an epoch; the rate is half after 150. Weights decay."""
    train(make_clips(tmp_path), epochs=2, weight_decay=0.03)
    (path,) = tmp_path.glob(".work/training/emotion_classifier@small/*.pt")
    (group,) = torch.load(path, weights_only=True)["optimizers"]["generator"]["param_groups"]
    assert group["lr"] == pytest.approx(SMALL["learning_rate"] / (1 + 10 / 150)) and group["weight_decay"] == 0.03


def test_a_missing_network_is_one_line(tmp_path):
    with pytest.raises(UserError, match="dvc repro emotion_classifier@small"):
        load(tmp_path / "trained" / "emotion_classifier@small")


def test_only_labelled_clips_are_shown_and_their_frames_are_from_all_over(tmp_path):
    store = ClipStore(make_clips(tmp_path), "small", "crops")
    store.clips = store.clips[store.clips["emotion"].notna()]
    clips = LabelledClips(store, 3, batch=4)
    batches = list(clips.epoch(0, 0))
    assert sum(len(batch.emotion) for batch in batches) == 18 and batches[0].frames.shape == (4, 3, 3, 64, 64)
    whole = next(clips.validation(0))
    frames = store.crops[store.validation[0]]
    # Thirds of six frames, the middle of each.
    assert torch.equal(whole.frames[0], images_to_tensor(frames[[1, 3, 5]]))


def test_what_an_epoch_shows_depends_on_the_seed_and_its_number_only(tmp_path):
    store = ClipStore(make_clips(tmp_path), "small", "crops")
    store.clips = store.clips[store.clips["emotion"].notna()]
    one, other = (LabelledClips(store, 2, batch=4) for _ in range(2))
    list(one.epoch(0, 0))
    for a, b in zip(one.epoch(0, 3), other.epoch(0, 3), strict=True):
        assert torch.equal(a.frames, b.frames) and torch.equal(a.emotion, b.emotion)
    assert not torch.equal(next(one.epoch(0, 3)).frames, next(one.epoch(0, 4)).frames)


def test_a_change_is_the_same_for_all_frames_and_small():
    frames = images_to_tensor(face("NEU", 150, np.random.default_rng(0))[:1].repeat(3, axis=0))
    moved = changed(frames, np.random.default_rng(5))
    assert torch.equal(moved[0], moved[2]) and not torch.equal(moved, frames)
    assert moved.abs().max() <= 1
    bar = moved[0].mean(0)[:, 24:40].mean(1).argmin().item()
    assert abs(bar - (12 + 8 * EMOTIONS.index("NEU") + 1.5)) <= 6
