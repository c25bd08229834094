"""Training of the emotion-conditioned system: what it is given, its two phases, what it leaves, what it refuses."""

from itertools import count

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.blocks.images import tensor_to_images
from pipeline.corpus.layouts import EMOTIONS
from pipeline.corpus.shards import in_shards, write_shards
from pipeline.errors import UserError
from pipeline.features.landmarks import MOUTH
from pipeline.papers.maity import end_to_end
from pipeline.papers.maity.end_to_end import EmotionExcerpts
from pipeline.papers.maity.inputs import heard, prepared
from pipeline.papers.maity.networks import FRAME_SAMPLES, WINDOW, Generator, Settings
from pipeline.training import augmentation, runner
from pipeline.training.data import ClipStore
from pipeline.training.recipe import NothingToLearn
from pipeline.training.trained import load_network, read_trained

WEIGHTS = {"mouth": 100.0, "perceptual": 1.0, "frame": 0.01, "pair": 0.01, "emotion": 0.001}
JUDGES = {f"{name}_discriminator" for name in ("frame", "pair", "emotion")}
SMALL = {
    "excerpt_frames": 4,
    "batch": 2,
    "augmentation": 0.5,
    "weights": WEIGHTS,
    "warm_up": {"epochs": 1, "learning_rate": 1e-4},
    "adversarial": {"epochs": 1, "learning_rate": {"generator": 1e-4, "discriminator": 1e-4}},
}
# The cheapest judge alone.
CRITIC = {"perceptual": 0.0, "pair": 0.0, "emotion": 0.0}
LABELS = ["ANG", "HAP", "SAD", "HAP", "ANG", "NEU"]


@pytest.fixture
def data(data):
    """The made-up clips with emotions and waveforms at 8 kHz: a tone whose pitch is the clip's."""
    label(data, LABELS)
    crops = ClipStore(data, "small", "crops").crops
    waveforms = {}
    for k in range(6):
        n = len(crops[f"clip{k}"]) * 320
        waveforms[f"clip{k}"] = (8000 * np.sin(np.arange(n) * (k + 1) / 20)).astype(np.int16)
    write_shards(data / "audio_features" / "waveform_8000", ((clip, waveforms[clip]) for clip in in_shards(waveforms)))
    return data


def label(data, emotions):
    path = data / "clips" / "clips.parquet"
    pd.read_parquet(path).assign(emotion=emotions).to_parquet(path)


@pytest.fixture
def small(parameters):
    """SMALL with changes: small(weights={"pair": 0.0})."""

    def make(**changes):
        merged = {key: SMALL[key] | value if isinstance(value, dict) else value for key, value in changes.items()}
        return parameters(maity=SMALL | merged)

    return make


@pytest.fixture
def train(train_on, small):
    """Train SMALL with changes."""
    return lambda **changes: train_on("maity", "end_to_end", small(**changes))


@pytest.fixture
def keys(keys_of, train):
    """What the results of the two phases are kept by, for SMALL with changes; nothing is trained."""
    return lambda **changes: keys_of(lambda: train(**changes))


def excerpts(data, length=4, batch=2, augmentation=0.0):
    store = ClipStore(data, "small", "crops", "landmarks", "waveform_8000")
    return EmotionExcerpts(store, length, batch, augmentation)


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def find(store, image):
    for clip in store.clips.index:
        frames = np.flatnonzero((store.crops[clip] == tensor_to_images(image[None])[0]).all(axis=(1, 2, 3)))
        if len(frames):
            return clip, frames[0]
    raise AssertionError("a frame of no clip")


def test_a_batch_shows_hears_and_is_labelled_alike(data):
    batches = excerpts(data)
    store = batches.store
    for batch in (b for number in range(3) for b in batches.epoch(0, number)):
        for k in range(len(batch.photo)):
            clip, start = find(store, batch.frames[k, 0])
            assert EMOTIONS[batch.emotion[k]] == store.clips.at[clip, "emotion"]
            np.testing.assert_array_equal(tensor_to_images(batch.frames[k]), store.crops[clip][start : start + 4])
            waveform = prepared(store.waveform_8000[clip], 25)
            torch.testing.assert_close(batch.waveform[k], heard(waveform, start, start + 4))
            mouths = store.steadied(clip)[start : start + 4, MOUTH].mean(axis=1)
            for mask, centre in zip(batch.mask[k, :, 0], mouths, strict=True):
                row, column = divmod(int(mask.argmax()), 64)
                assert np.abs([column, row] - centre.clip(0, 63)).max() <= 0.5


def test_the_photo_is_of_the_same_person_in_another_training_clip(data):
    """Subject 1001 has clips 0 and 1; of 1002 only clip 2 is trained on, which validation's clip 3 takes its photo from."""
    batches, wanted = excerpts(data), {"clip0": "clip1", "clip1": "clip0", "clip2": "clip2", "clip3": "clip2"}
    for batch in (*batches.epoch(0, 0), *batches.validation(0)):
        for photo, frames in zip(batch.photo, batch.frames, strict=True):
            assert find(batches.store, photo)[0] == wanted[find(batches.store, frames[0])[0]]
    (batch,) = batches.validation(0)
    assert find(batches.store, batch.photo[0])[1] == 0 and batch.n_frames == 17


def test_batches_depend_on_seed_and_epoch_only(data):
    drawn = [next(excerpts(data, augmentation=1.0).epoch(*at)) for at in ((0, 0), (0, 0), (0, 1), (1, 0))]
    assert equal(drawn[0], drawn[1]) and not equal(drawn[0], drawn[2]) and not equal(drawn[0], drawn[3])


def test_colours_are_changed_in_training_only(data, monkeypatch):
    monkeypatch.setattr(augmentation, "augment", lambda images, rng: torch.zeros_like(images))
    batches = excerpts(data, augmentation=1.0)
    assert not any(batch.photo.any() or batch.frames.any() for batch in batches.epoch(0, 0))
    assert all(batch.photo.any() and batch.frames.any() for batch in batches.validation(0))


def test_a_short_clip_is_held_at_its_end_in_silence(data):
    batch = next(excerpts(data, length=40, batch=3).epoch(0, 0))
    assert batch.frames.shape[:2] == (3, 40) and torch.equal(batch.frames[:, 39], batch.frames[:, 20])
    assert not batch.waveform[:, -WINDOW:].any()


def test_what_is_heard_lies_about_the_frame_and_is_silent_beyond_the_ends():
    """A click in the middle of frame 3 is in the middle of that frame's window."""
    waveform = np.zeros(10 * FRAME_SAMPLES, np.float32)
    waveform[3 * FRAME_SAMPLES + FRAME_SAMPLES // 2] = 1
    assert heard(waveform, 3, 4).argmax() == WINDOW // 2
    everything = heard(np.ones(10 * FRAME_SAMPLES, np.float32), 0, 10)
    assert len(everything) == 9 * FRAME_SAMPLES + WINDOW and everything.sum() == 10 * FRAME_SAMPLES
    assert not heard(waveform, 100, 102).any()
    torch.testing.assert_close(heard(waveform, 2, 6)[FRAME_SAMPLES:][:WINDOW], heard(waveform, 3, 4))


@pytest.mark.parametrize("fps", [20, 25, 30])
def test_a_second_of_speech_has_320_samples_a_frame_on_any_clock(fps):
    samples = (10_000 * np.sin(np.arange(8000) * 2 * np.pi * 100 / 8000) + 500).astype(np.int16)
    waveform = prepared(samples, fps)
    assert len(waveform) == 320 * fps and np.abs(waveform).max() == pytest.approx(1, abs=1e-3)
    assert waveform.mean() == pytest.approx(0, abs=1e-3)
    assert (np.diff(np.sign(waveform)) > 0).sum() == pytest.approx(100, abs=1)  # still a hundred periods
    assert not prepared(np.zeros(800, np.int16), fps).any()


def test_the_noise_of_a_silent_recording_is_not_made_as_loud_as_speech():
    noise = (np.random.default_rng(0).standard_normal(8000) * 30).astype(np.int16)  # 60 dB below full scale
    assert np.abs(prepared(noise, 25)).max() < 0.25
    assert np.abs(prepared(100 * noise, 25)).max() == pytest.approx(1)


def test_it_trains_in_two_phases_and_leaves_what_it_says(data, train, begun):
    trained = train()
    warm_up, whole = (rows for _, rows in trained.losses.groupby("phase"))
    assert list(warm_up["epoch"]) == [1] and list(whole["epoch"]) == [2]
    first = {"phase", "epoch", "generator_mouth", "generator_perceptual", "validation_error"}
    assert set(warm_up.dropna(axis=1)) == first
    judged = {f"{side}_{name}" for side in ("generator", "discriminator") for name in ("frame", "pair", "emotion")}
    assert set(whole.dropna(axis=1)) == {*first, *judged, "discriminator_gradient_penalty"}
    _, about = load_network(trained.folder, Generator, Settings)
    assert about["parameters"]["weights"] == WEIGHTS and about["preprocessing"]["fps"] == 25
    assert about["perceptual"] == {"weights": "random", "detail": "seed 0, width 0.0625"}
    assert [set(networks.trained) for networks, _ in begun] == [{"generator"}, {"generator", *JUDGES}]


def test_the_second_phase_begins_with_the_firsts_best_generator(data, train, begun, monkeypatch):
    """With errors that only grow, that is its first epoch's, not its last."""
    errors = count(1.0)
    monkeypatch.setattr(runner, "validation_error", lambda *args: next(errors))
    train(warm_up={"epochs": 2}, weights=CRITIC)
    (ended, _), (_, second) = begun
    saved = [torch.load(path, weights_only=True) for path in data.glob(".work/training/maity_end_to_end/*.pt")]
    (first,) = [state for state in saved if state["networks"].keys() == {"generator"}]
    assert first["best"]["epoch"] == 1
    for name, value in second["generator"].items():
        assert torch.equal(value, first["best"]["generator"][name])
    assert not all(torch.equal(value, ended.weights("generator")[name]) for name, value in second["generator"].items())


def test_the_first_phase_is_kept_while_only_its_successor_changes(data, keys):
    first, second = keys()
    for change in (
        {"weights": {"frame": 0.1, "pair": 0.0}},
        {"adversarial": {"learning_rate": {"generator": 1e-5, "discriminator": 1e-4}}},
    ):
        same, other = keys(**change)
        assert same == first and other != second
    for change in ({"weights": {"mouth": 50.0}}, {"augmentation": 0.0}):
        assert first not in keys(**change)


def test_without_judges_there_are_none(data, train, begun):
    """The ablation of §4.2 without pair and emotion discriminator; and one with no discriminator at all."""
    train(weights=CRITIC)
    assert set(begun[-1][0].trained) == {"generator", "frame_discriminator"}
    train(weights=CRITIC | {"frame": 0.0})
    networks, _ = begun[-1]
    assert set(networks.trained) == set(networks.optimizers) == {"generator"}


def test_an_emotion_that_never_occurs_leaves_all_weights_finite(data, train, begun):
    label(data, ["HAP"] * 6)
    train()
    networks, _ = begun[-1]
    assert all(value.isfinite().all() for name in networks.trained for value in networks.weights(name).values())


def test_clips_without_a_known_emotion_are_left_out(data, small):
    label(data, ["ANG", None, "SURPRISED", "HAP", "ANG", "NEU"])
    recipe = end_to_end.recipe(small(), data)
    assert recipe.batches.train == ["clip0"] and recipe.store.validation == ["clip3"]


def test_of_a_corpus_without_emotions_nothing_is_learned(data, small):
    """Where none is labelled, or none as is known, or none to train on."""
    for emotions in ([None] * 6, ["calm"] * 6, [None, None, None, "HAP", "HAP", "HAP"]):
        label(data, emotions)
        with pytest.raises(NothingToLearn, match="no training clip is labelled with an emotion"):
            end_to_end.recipe(small(), data)


def test_a_corpus_without_emotions_leaves_no_older_training(data, train):
    train(weights=CRITIC)
    label(data, [None] * 6)
    trained = train(weights=CRITIC)
    assert trained.losses.empty
    with pytest.raises(UserError, match="could not be trained on this corpus: no training clip is labelled"):
        read_trained(trained.folder)
    label(data, LABELS)
    assert train(weights=CRITIC).about["training"] == "maity_end_to_end"


def test_nothing_to_begin_with_is_one_line(data, train):
    with pytest.raises(UserError, match=r"maity\.weights: .* nothing to begin with"):
        train(weights={"mouth": 0.0, "perceptual": 0.0})
