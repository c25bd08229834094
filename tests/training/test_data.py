"""Clips as trainings see them: which, in what order, and what is known of how they were made."""

import shutil
import threading
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

from pipeline.blocks.images import heatmaps_to_tensor, images_to_tensor, tensor_to_images
from pipeline.corpus.about import read_about, write_about
from pipeline.corpus.shards import Shards, in_shards, write_shards
from pipeline.errors import UserError
from pipeline.training.data import ClipStore, Excerpts, ahead, held


class Excerpt(NamedTuple):
    """Where an excerpt comes from, a number drawn with it, and its frames."""

    clip: Tensor  # (), the clip's number
    span: Tensor  # (2,)
    drawn: Tensor  # ()
    frames: Tensor  # (T, 3, S, S)


class Drawing(Excerpts):
    def excerpt(self, clip, span, rng, augment):
        drawn = torch.tensor(rng.random() if augment else -1 - rng.random())
        frames = images_to_tensor(self.store.crops[clip][span])
        return Excerpt(torch.tensor(int(clip[-1])), torch.tensor([span.start, span.stop]), drawn, frames)


@pytest.fixture
def store(data):
    return ClipStore(data, "small", "crops", "heatmaps", "mel")


def equal(a, b):
    return all(torch.equal(x, y) for one, other in zip(a, b, strict=True) for x, y in zip(one, other, strict=True))


def test_images_survive_the_way_to_the_network_and_back():
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    tensor = images_to_tensor(images)
    assert tensor.min() == -1 and tensor.max() == 1 and tensor.shape == (1, 3, 16, 16)
    np.testing.assert_array_equal(tensor_to_images(tensor), images)
    assert heatmaps_to_tensor(np.full((2, 4, 4), 255, np.uint8)).max() == 1


def test_an_epoch_is_every_training_clip_once_in_any_order(store):
    excerpts, orders = Drawing(store, 8), set()
    assert len(excerpts) == 3
    for number in range(20):
        seen = [int(excerpt.clip) for excerpt in excerpts.epoch(0, number)]
        assert sorted(seen) == [0, 1, 2]
        orders.add(tuple(seen))
    assert len(orders) == 6


@pytest.mark.parametrize(("balance", "share"), [(0.5, 1 / (1 + 2**0.5)), (1, 1 / 2)])
def test_people_of_few_clips_are_seen_as_often_as_balance_says(store, balance, share):
    """Of three clips two are one person's: n clips have a share of n^(1 − balance)."""
    excerpts = Drawing(store, 8, balance=balance)
    epochs = [[int(excerpt.clip) for excerpt in excerpts.epoch(0, number)] for number in range(1000)]
    assert {len(seen) for seen in epochs} == {len(excerpts)}
    seen = np.bincount(np.concatenate(epochs)) / 3000
    np.testing.assert_allclose(seen, [(1 - share) / 2, (1 - share) / 2, share], atol=0.03)


def test_an_epoch_depends_on_seed_and_number_only(store):
    def epoch(seed, number):
        return list(Drawing(store, 8).epoch(seed, number))

    assert equal(epoch(0, 3), epoch(0, 3))
    assert not equal(epoch(0, 3), epoch(0, 4)) and not equal(epoch(0, 3), epoch(1, 3))
    # Not on what was drawn before, from the same excerpts or elsewhere.
    excerpts = Drawing(store, 8)
    next(excerpts.epoch(0, 0)), list(excerpts.validation(0)), np.random.random(5)
    assert equal(excerpts.epoch(0, 3), epoch(0, 3))


def test_an_excerpt_may_begin_anywhere_and_is_all_of_a_shorter_clip(store):
    """Clips 0 to 2 have 14 to 16 frames; each of their frames is the first of some excerpt of 14, as far as one fits."""

    def spans(length):
        found = {0: set(), 1: set(), 2: set()}
        for number in range(40):
            for excerpt in Drawing(store, length).epoch(0, number):
                found[int(excerpt.clip)].add(tuple(excerpt.span.tolist()))
                start, stop = excerpt.span
                whole = images_to_tensor(store.crops[f"clip{excerpt.clip}"])
                assert torch.equal(excerpt.frames, whole[start:stop])
        return found

    assert spans(14) == {0: {(0, 14)}, 1: {(0, 14), (1, 15)}, 2: {(0, 14), (1, 15), (2, 16)}}
    assert spans(15) == {0: {(0, 14)}, 1: {(0, 15)}, 2: {(0, 15), (1, 16)}}
    assert spans(None) == {0: {(0, 14)}, 1: {(0, 15)}, 2: {(0, 16)}}


def test_batches_are_the_excerpts_stacked(store):
    """Two, and the one that is left."""
    single, batched = list(Drawing(store, 8).epoch(0, 5)), list(Drawing(store, 8, batch=2).epoch(0, 5))
    assert len(batched) == len(Drawing(store, 8, batch=2)) == 2
    assert batched[0].frames.shape == (2, 8, 3, 64, 64) and batched[1].frames.shape == (1, 8, 3, 64, 64)
    for field in Excerpt._fields:
        stacked = torch.cat([getattr(batch, field) for batch in batched])
        assert torch.equal(stacked, torch.stack([getattr(excerpt, field) for excerpt in single]))
    assert [len(Drawing(store, 8, batch=n)) for n in (1, 3, 4)] == [3, 1, 1]


@pytest.mark.parametrize("batch", [None, 2])
def test_validation_is_whole_clips_with_the_same_draws_every_time(store, batch):
    excerpts = Drawing(store, 8, batch)
    (first,), (again,) = excerpts.validation(0), excerpts.validation(0)
    assert equal([first], [again])
    assert first.clip.flatten() == 3 and first.span.flatten().tolist() == [0, 17] and first.drawn < 0
    assert not equal([first], excerpts.validation(1))


def test_a_part_of_each_clip_may_be_validated_on_the_same_every_time(store):
    class Watched(Drawing):
        validated = 5

    (first,), (again,) = Watched(store, 8).validation(0), Watched(store, 8).validation(0)
    assert equal([first], [again])
    (start, stop), places = first.span.tolist(), set()
    assert stop - start == 5 and 0 <= start <= 12
    for seed in range(20):
        places |= {tuple(excerpt.span.tolist()) for excerpt in Watched(store, 8).validation(seed)}
    assert len(places) > 5


def test_test_clips_are_never_trained_on(store):
    assert store.train == ["clip0", "clip1", "clip2"] and store.validation == ["clip3"]
    assert store.ids("test_sentences", "test") == ["clip4", "clip5"]


def test_a_corpus_without_validation_clips_is_validated_on_training_clips(data):
    splits(data, ["train"] * 5 + ["test"])
    assert ClipStore(data, "small", "crops").validation == ["clip0", "clip1", "clip2", "clip3"]


def test_a_corpus_without_training_clips_is_one_line(data):
    splits(data, ["test"] * 6)
    store = ClipStore(data, "small", "crops")
    with pytest.raises(UserError, match=r"no clip is left to train on; data/\*\*/rejected\.parquet says why"):
        Drawing(store, 8)


def splits(data, names):
    path = data / "clips" / "clips.parquet"
    pd.read_parquet(path).assign(split=names).to_parquet(path)


def test_a_clip_that_a_stage_rejected_is_not_used(data):
    shutil.rmtree(data / "audio_features" / "mel")
    write_shards(data / "audio_features" / "mel", [("clip0", np.zeros((30, 60), np.float32))])
    assert ClipStore(data, "small", "crops", "heatmaps", "mel").ids("train") == ["clip0"]
    assert ClipStore(data, "small", "crops", "heatmaps").ids("train") == ["clip0", "clip1", "clip2"]


def test_a_clip_has_as_many_frames_as_pictures_or_landmarks(data):
    for sources in (("crops",), ("landmarks",), ("crops", "landmarks")):
        assert [ClipStore(data, "small", *sources).n_frames(f"clip{k}") for k in range(6)] == list(range(14, 20))


def test_a_short_clip_is_held_at_its_last_frame():
    assert held(slice(2, 5), 6, 5).tolist() == [2, 3, 4, 4, 4, 4]
    assert held(slice(2, 5), 3, 9).tolist() == [2, 3, 4]


def test_the_sources_say_how_they_were_made(data):
    faces = {"fps", "landmarks", "face_parsing", "transform", "image_size", "template"}
    assert ClipStore(data, "small", "crops").preprocessing.keys() == faces
    how = ClipStore(data, "small", "crops", "heatmaps", "mel", "characters").preprocessing
    assert how.keys() == faces | {"sigma", "mel", "characters"}
    assert how["fps"] == 25 and how["image_size"] == 64 and how["sigma"] == 1 and how["mel"]["mel_bands"] == 60
    write_about(data / "heatmaps", sigma=2.5)
    assert ClipStore(data, "small", "crops", "heatmaps").preprocessing["sigma"] == 2.5
    # MFCC are made in one way only.
    assert ClipStore(data, "small", "mfcc").preprocessing == {}


def test_a_digest_is_of_the_sources_and_the_table_of_clips(data, tmp_path_factory):
    def digest(folder=data):
        return ClipStore(folder, "small", "crops", "mel").digest()

    before = digest()
    assert digest(shutil.copytree(data, tmp_path_factory.mktemp("elsewhere") / "data")) == before
    rewrite(data / "heatmaps" / "images", "clip5")
    assert digest() == before
    rewrite(data / "audio_features" / "mel", "clip5")
    assert digest() != before
    before = digest()
    splits(data, ["train"] * 6)
    assert digest() != before


def rewrite(folder, clip):
    """Change the first number of a clip."""
    shards = Shards(folder)
    arrays = {name: np.array(shards[name]) for name in (f"clip{k}" for k in range(6))}
    arrays[clip].flat[0] += 1
    write_shards(folder, ((name, arrays[name]) for name in in_shards(arrays)))


def test_faces_of_another_name_are_other_crops(data):
    """Speech is the same for all; what was cut, and how, is each one's own."""
    shutil.copytree(data / "alignment" / "small", data / "alignment" / "large")
    write_about(data / "alignment" / "large", **read_about(data / "alignment" / "small") | {"image_size": 128})
    rewrite(data / "alignment" / "large" / "crops", "clip0")
    small, large = (ClipStore(data, name, "crops", "mel") for name in ("small", "large"))
    assert (small.preprocessing["image_size"], large.preprocessing["image_size"]) == (64, 128)
    assert small.digest() != large.digest() and not np.array_equal(small.crops["clip0"], large.crops["clip0"])
    assert np.array_equal(small.mel["clip0"], large.mel["clip0"])


def test_batches_are_drawn_ahead_in_order_and_as_far_as_the_next():
    drawn = []

    def draw():
        for k in range(5):
            drawn.append((k, threading.current_thread()))
            yield k

    for seen, k in enumerate(ahead(draw())):
        assert k == seen
    assert [k for k, _ in drawn] == list(range(5)) and threading.main_thread() not in {by for _, by in drawn}
    drawn.clear()
    first = ahead(draw())
    assert next(first) == 0
    first.close()
    assert [k for k, _ in drawn] in ([0], [0, 1])


def test_what_ends_the_drawing_of_a_batch_comes_where_it_was_asked_for():
    def draw():
        yield 1
        raise UserError("gone")

    batches = ahead(draw())
    assert next(batches) == 1
    with pytest.raises(UserError, match="gone"):
        next(batches)


def test_a_table_is_read_once(data, monkeypatch):
    store = ClipStore(data, "small", "landmarks")
    first = store.steadied("clip0")
    monkeypatch.setattr(pq.ParquetFile, "read_row_group", None)
    np.testing.assert_array_equal(store.steadied("clip0"), first)
