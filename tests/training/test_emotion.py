"""Training of the emotion-conditioned system: what it is given, its two phases, what it leaves, what it refuses."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch

import pipeline.training.emotion as emotion
import pipeline.training.loop as loop
from pipeline.corpus.layouts import EMOTIONS
from pipeline.corpus.shards import in_shards, write_shards
from pipeline.errors import UserError
from pipeline.features.landmarks import MOUTH
from pipeline.models.emotion import FRAME_SAMPLES, WINDOW
from pipeline.training.data import ClipStore, tensor_to_images
from pipeline.training.emotion import (
    EmotionExcerpts,
    heard,
    prepared,
    train,
)

WEIGHTS = {"mouth": 100.0, "perceptual": 1.0, "frame": 0.01, "pair": 0.01, "emotion": 0.001}
SMALL = {
    "width": 0.0625,
    "excerpt_frames": 4,
    "batch": 2,
    "augmentation": 0.5,
    "weights": WEIGHTS,
    "warm_up": {"epochs": 1, "learning_rate": 1e-4},
    "adversarial": {"epochs": 2, "learning_rate": {"generator": 1e-4, "discriminator": 1e-4}},
}
LABELS = ["ANG", "HAP", "SAD", "HAP", "ANG", "NEU"]


@pytest.fixture
def data(data):
    """The made-up clips with emotions and waveforms at 8 kHz: a tone whose pitch is the clip's."""
    label(data, LABELS)
    crops = ClipStore(data, "crops").crops
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
    def make(**changes):
        return parameters(emotion=SMALL | changes, perceptual={"width": 0.0625})

    return make


def run(data, p, tmp_path):
    train(p, data, tmp_path / "emotion.csv")


def saved(data, name="last.pt"):
    return torch.load(data / "end_to_end" / "emotion" / name, weights_only=True)


def excerpts(data, length=4, batch=2, augmentation=0.0, seed=0):
    store = ClipStore(data, "crops", "landmarks", "waveform_8000")
    return EmotionExcerpts(store, length, seed, batch, 25, augmentation)


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
    for batch in (b for number in range(3) for b in batches.epoch(number)):
        for k in range(len(batch.photo)):
            clip, start = find(store, batch.frames[k, 0])
            assert EMOTIONS[batch.emotion[k]] == store.clips.at[clip, "emotion"]
            np.testing.assert_array_equal(tensor_to_images(batch.frames[k]), store.crops[clip][start : start + 4])
            waveform = prepared(store.waveform_8000[clip], 25)
            torch.testing.assert_close(batch.waveform[k], heard(waveform, start, start + 4))
            mouths = store.landmarks.landmarks(clip)[start : start + 4, MOUTH].mean(axis=1)
            for mask, centre in zip(batch.mask[k, :, 0], mouths, strict=True):
                row, column = divmod(int(mask.argmax()), 64)
                assert np.abs([column, row] - centre.clip(0, 63)).max() <= 0.5


def test_the_photo_is_of_the_same_person_in_another_training_clip(data):
    """Subject 1001 has clips 0 and 1; of 1002 only clip 2 is trained on, which validation's clip 3 takes its photo from."""
    batches, wanted = excerpts(data), {"clip0": "clip1", "clip1": "clip0", "clip2": "clip2", "clip3": "clip2"}
    for batch in (*batches.epoch(0), *batches.validation()):
        for photo, frames in zip(batch.photo, batch.frames, strict=True):
            assert find(batches.store, photo)[0] == wanted[find(batches.store, frames[0])[0]]
    (batch,) = batches.validation()
    assert find(batches.store, batch.photo[0])[1] == 0 and batch.n_frames == 17


def test_batches_depend_on_seed_and_epoch_only(data):
    drawn = [next(excerpts(data, augmentation=1.0, seed=seed).epoch(n)) for seed, n in ((0, 0), (0, 0), (0, 1), (1, 0))]
    assert equal(drawn[0], drawn[1]) and not equal(drawn[0], drawn[2]) and not equal(drawn[0], drawn[3])


def test_colours_are_changed_in_training_only(data, monkeypatch):
    monkeypatch.setattr(emotion, "change_colours", lambda images, rng: torch.zeros_like(images))
    batches = excerpts(data, augmentation=1.0)
    assert not any(batch.photo.any() or batch.frames.any() for batch in batches.epoch(0))
    assert all(batch.photo.any() and batch.frames.any() for batch in batches.validation())


def test_a_short_clip_is_held_at_its_end_in_silence(data):
    batch = next(excerpts(data, length=40, batch=3).epoch(0))
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


def test_it_trains_in_two_phases_and_leaves_what_it_says(data, tmp_path, small):
    run(data, small(), tmp_path)
    warm_up, whole = map(pd.read_csv, (data / "end_to_end/emotion/warm_up/losses.csv", tmp_path / "emotion.csv"))
    assert list(warm_up) == ["epoch", "generator_mouth", "generator_perceptual", "validation_error"]
    assert {f"generator_{name}" for name in WEIGHTS} < set(whole) and "discriminator_gradient_penalty" in whole
    assert list(whole["epoch"]) == [1, 2] and whole.notna().all(axis=None) and warm_up.notna().all(axis=None)
    generator, description = emotion.load(data / "end_to_end" / "emotion")
    assert not generator.training and description["weights"] == WEIGHTS
    assert description["perceptual"]["weights"] == "random" and description["preprocessing"]["fps"] == 25
    assert set(saved(data)["networks"]) == {
        "generator",
        *(f"{name}_discriminator" for name in ("frame", "pair", "emotion")),
    }


def test_the_second_phase_begins_with_the_firsts_generator(data, tmp_path, small, monkeypatch):
    """With a learning rate too small to move a weight it ends as the first phase's best."""
    still = {"epochs": 1, "learning_rate": {"generator": 1e-30, "discriminator": 1e-4}}
    run(data, small(adversarial=still), tmp_path)
    first, second = (saved(data, name)["generator"] for name in ("warm_up/best.pt", "best.pt"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_finished_first_phase_is_not_trained_again_and_a_changed_one_begins_both_anew(data, tmp_path, small, capsys):
    run(data, small(), tmp_path)
    capsys.readouterr()
    longer = SMALL["adversarial"] | {"epochs": 3}
    run(data, small(adversarial=longer), tmp_path)
    assert "resuming after epoch 2" in capsys.readouterr().out
    before = (data / "end_to_end" / "emotion" / "last.pt").stat().st_mtime_ns
    (table,) = tmp_path.glob("*.csv")
    written = table.read_text()
    table.unlink()  # as DVC does before a stage runs
    run(data, small(adversarial=longer), tmp_path)
    assert table.read_text() == written
    assert (data / "end_to_end" / "emotion" / "last.pt").stat().st_mtime_ns == before
    run(data, small(adversarial=longer, warm_up={"epochs": 2, "learning_rate": 1e-4}), tmp_path)
    printed = capsys.readouterr().out
    assert printed.count("resuming after epoch 1\n") == 1  # the first phase
    assert saved(data)["state"]["epoch"] == 3 and "resuming after epoch 2" not in printed


def test_another_precision_trains_anew(data, tmp_path, small):
    p = small()
    run(data, p, tmp_path)
    key = saved(data)["key"]
    run(data, p.model_copy(update={"training": p.training.model_copy(update={"precision": "32-true"})}), tmp_path)
    assert saved(data)["key"] != key


def test_a_killed_second_phase_ends_the_same(data, tmp_path, tmp_path_factory, small, monkeypatch):
    other = shutil.copytree(data, tmp_path_factory.mktemp("copy") / "data")
    run(data, small(), tmp_path)
    validate, calls = loop.validation_error, []

    def killed(*args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt  # in the second phase's second epoch
        return validate(*args)

    monkeypatch.setattr(loop, "validation_error", killed)
    with pytest.raises(KeyboardInterrupt):
        run(other, small(), tmp_path)
    monkeypatch.setattr(loop, "validation_error", validate)
    run(other, small(), tmp_path)
    unbroken, resumed = saved(data)["networks"], saved(other)["networks"]
    for name, network in unbroken.items():
        assert all(torch.equal(value, resumed[name][key]) for key, value in network.items())


def test_without_judges_there_are_none(data, tmp_path, small):
    """The ablation of §4.2 without pair and emotion discriminator; and one with no discriminator at all."""
    run(data, small(weights=WEIGHTS | {"pair": 0, "emotion": 0}), tmp_path)
    assert set(saved(data)["networks"]) == {"generator", "frame_discriminator"}
    run(data, small(weights=WEIGHTS | {"frame": 0, "pair": 0, "emotion": 0}), tmp_path)
    assert set(saved(data)["networks"]) == {"generator"} and set(saved(data)["optimizers"]) == {"generator"}


def test_an_emotion_that_never_occurs_leaves_all_weights_finite(data, tmp_path, small):
    label(data, ["HAP"] * 6)
    run(data, small(), tmp_path)
    networks = saved(data)["networks"]
    assert all(value.isfinite().all() for network in networks.values() for value in network.values())


def test_clips_without_a_known_emotion_are_left_out(data, tmp_path, small, monkeypatch):
    label(data, ["ANG", None, "SURPRISED", "HAP", "ANG", "NEU"])
    seen = []
    monkeypatch.setattr(emotion, "fit", lambda *args: seen.append(args[4].train))
    with pytest.raises(FileNotFoundError):  # the first phase's checkpoint
        run(data, small(), tmp_path)
    assert seen == [["clip0"]]


@pytest.mark.parametrize("emotions", [[None] * 6, ["calm"] * 6, [None, None, None, "HAP", "HAP", "HAP"]])
def test_a_corpus_without_emotions_says_so_and_leaves_no_older_training(data, tmp_path, small, emotions, capsys):
    out = data / "end_to_end" / "emotion"
    run(data, small(), tmp_path)
    label(data, emotions)
    run(data, small(), tmp_path)
    assert "emotion: skipped: no training clip is labelled" in capsys.readouterr().out
    assert not list(out.rglob("*.pt")) and pd.read_csv(tmp_path / "emotion.csv").empty
    with pytest.raises(UserError, match="emotion could not be trained on this corpus: no training clip is labelled"):
        emotion.load(out)
    label(data, LABELS)
    run(data, small(), tmp_path)
    emotion.load(out)


def test_nothing_to_begin_with_is_one_line(data, tmp_path, small):
    with pytest.raises(UserError, match=r"emotion\.weights: mouth and perceptual are both 0"):
        run(data, small(weights=WEIGHTS | {"mouth": 0, "perceptual": 0}), tmp_path)
