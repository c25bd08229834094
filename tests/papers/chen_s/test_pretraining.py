"""Training of the two networks that recognise action units: what they are given, what they leave, and that they learn."""

from itertools import groupby

import numpy as np
import pytest
import torch

from pipeline.corpus.shards import in_shards, shard_of, write_shards
from pipeline.corpus.tables import frames_table, write_table_shard
from pipeline.errors import UserError
from pipeline.evaluation.au_recognition import recognition_scores
from pipeline.papers.chen_s.action_units import AUS, AudioToAU, AudioToAUSettings
from pipeline.papers.chen_s.au_classifier import FaceExcerpts, moved
from pipeline.papers.chen_s.audio_to_au import SpeechExcerpts
from pipeline.papers.chen_s.labels import au_labels
from pipeline.training.data import ClipStore
from pipeline.training.trained import load_network

TRAININGS = ("audio_to_au", "au_classifier")
SMALL = {
    "width": 0.125,
    "audio_to_au": {"epochs": 25, "learning_rate": 5e-3, "excerpt_frames": 8, "batch": 2},
    "au_classifier": {"epochs": 12, "learning_rate": 5e-3, "frames": 4, "batch": 2},
}
MISSING = slice(3, 5)  # frames of each clip without a face


def write_units(data, clips, missing=MISSING):
    """AU25 and AU26 where the mouth of `write_faces` is more than half open, and chins that are white there."""
    tables, crops = {}, {}
    for k, clip in enumerate(clips):
        n = 14 + k
        opened = np.sin(np.arange(n)) ** 2 > 0.5
        intensity = {au: np.where(opened & (au in (25, 26)), 3, 0).astype(np.float32) for au in (*AUS, 45)}
        for column in intensity.values():
            column[missing] = np.nan
        columns = {f"AU{au:02d}_r": column for au, column in intensity.items()}
        columns |= {f"AU{au:02d}_c": column >= 1 for au, column in intensity.items()}
        tables[clip] = frames_table(clip, columns)
        crops[clip] = np.zeros((n, 64, 64, 3), np.uint8)
        crops[clip][opened, 32:] = 255
    for name, members in groupby(in_shards(clips), key=shard_of):
        rows = [(clip, tables[clip], k) for k, clip in enumerate(members)]
        write_table_shard(data / "action_units" / "units", name, rows)
    write_shards(data / "alignment" / "small" / "crops", ((clip, crops[clip]) for clip in in_shards(clips)))


@pytest.fixture
def labelled(data):
    write_units(data, [f"clip{k}" for k in range(6)])
    return data


def store(data):
    return ClipStore(data, "small", "crops", "landmarks", "mfcc", "action_units")


def equal(a, b):
    return all(torch.equal(x.nan_to_num(9), y.nan_to_num(9)) for x, y in zip(a, b, strict=True))


def test_labels_are_presences_and_missing_frames_have_none(labelled):
    labels = au_labels(store(labelled), "clip2")
    assert labels.shape == (16, 5) and labels.dtype == np.float32
    assert np.isnan(labels[MISSING]).all() and np.isnan(labels).sum() == 2 * 5
    opened = np.delete(np.sin(np.arange(16)) ** 2 > 0.5, MISSING)
    known = np.delete(labels, MISSING, axis=0)
    assert not known[:, :3].any() and np.array_equal(known[:, 3:] == 1, np.stack([opened, opened], axis=1))


def test_occurrence_is_of_the_labelled_training_frames(labelled):
    excerpts = SpeechExcerpts(store(labelled), 8, 2)
    opened = np.concatenate([np.delete(np.sin(np.arange(14 + k)) ** 2 > 0.5, MISSING) for k in range(3)])
    torch.testing.assert_close(excerpts.occurrence, torch.tensor([0, 0, 0, opened.mean(), opened.mean()]).float())


def test_excerpts_of_speech_go_on_in_silence_where_the_clip_ends(labelled):
    excerpts = SpeechExcerpts(store(labelled), 20, 3)
    (batch,) = list(excerpts.epoch(0, 0))
    assert batch.windows.shape == (3, 20, 28, 12) and batch.labels.shape == (3, 20, 5) and batch.n_frames == 60
    lengths = sorted((~batch.labels.isnan()).any(dim=-1).sum(dim=1).tolist())
    assert lengths == [12, 13, 14]  # 14, 15 and 16 frames, two of each missing
    assert not batch.windows[:, -1].any()
    (validation,) = list(excerpts.validation(0))
    assert validation.windows.shape == (1, 17, 28, 12)


def test_faces_are_lower_halves_beside_their_own_labels(labelled):
    excerpts = FaceExcerpts(store(labelled), 6, 3)
    (batch,) = list(excerpts.epoch(0, 0))
    assert batch.images.shape == (3, 6, 3, 32, 64) and batch.n_frames == 18
    known = ~batch.labels.isnan().any(dim=-1)
    white = batch.images.mean(dim=(2, 3, 4)) > 0
    assert torch.equal(white[known], batch.labels[..., 3][known] == 1)


def test_faces_are_moved_all_alike_and_within_bounds():
    ramp = torch.arange(64.0).expand(64, 64)
    images = torch.stack([ramp, ramp.T, ramp]).expand(2, 3, 64, 64)
    shifts = []
    for seed in range(30):
        faces = moved(images, np.random.default_rng(seed))
        assert faces.shape == images.shape and torch.equal(faces[0], faces[1])
        across, down = faces[0, 0, 0, 10:54], faces[0, 1, 10:54, 0]
        # Where each pixel was taken from is what a ramp shows.
        scale = across.diff().mean()
        torch.testing.assert_close(across.diff(), scale.expand(43), atol=1e-4, rtol=0)
        torch.testing.assert_close(down.diff(), scale.expand(43), atol=1e-4, rtol=0)
        assert 0.9 < scale < 1.1
        shifts += [across.mean() - 31.5, down.mean() - 31.5]
    assert 2.5 < max(shifts) < 3.21 and -3.21 < min(shifts) < -2.5  # 5 % of 64 pixels


def test_faces_are_validated_on_as_they_are(labelled):
    clips = store(labelled)
    (validation,) = FaceExcerpts(clips, 6, 3).validation(0)
    shown = torch.tensor(clips.crops[clips.validation[0]][:, 32:]).permute(0, 3, 1, 2) / 127.5 - 1
    torch.testing.assert_close(validation.images[0], shown)


@pytest.mark.parametrize("kind", [SpeechExcerpts, FaceExcerpts])
def test_what_an_epoch_draws_depends_on_the_seed_and_its_number_only(labelled, kind):
    one, other = (kind(store(labelled), 8, 2) for _ in range(2))
    list(one.epoch(0, 0))
    assert all(equal(a, b) for a, b in zip(one.epoch(0, 3), other.epoch(0, 3), strict=True))
    assert not equal(next(one.epoch(0, 3)), next(one.epoch(0, 4)))
    assert not equal(next(one.epoch(0, 3)), next(one.epoch(1, 3)))


def test_training_leaves_networks_that_recognise(labelled, parameters, train_on):
    p = parameters(chen_s=SMALL)
    listener, classifier = (train_on("chen_s", name, p) for name in TRAININGS)
    for trained in (listener, classifier):
        assert list(trained.losses) == ["phase", "epoch", "generator_bce", "generator_dice", "validation_error"]
        occurrence = trained.about["occurrence"]
        assert occurrence[:3] == [0, 0, 0] and occurrence[3] == occurrence[4] == pytest.approx(0.5, abs=0.1)
    assert listener.about["preprocessing"]["fps"] == 25 and listener.about["settings"] == {"width": 0.125}
    assert classifier.about["settings"] == {"image_size": 64, "width": 0.125}
    scores = recognition_scores(labelled, "small")
    for split, frames in {"train": 12 + 13 + 14, "test_sentences": 16, "test": 17}.items():
        for network in scores.values():
            assert network[split]["frames"] == frames and network[split]["absent"] == ["AU10", "AU14", "AU20"]
        assert scores["au_classifier"][split]["AU25"] == {"f1": 1, "accuracy": 1}
        # A network that calls them always present has some 0.65.
        assert scores["audio_to_au"][split]["mean_f1"] > 0.8


def test_the_module_knows_the_training_clips_speech(labelled, parameters, train_on):
    trained = train_on("chen_s", "audio_to_au", parameters(chen_s={"audio_to_au": {"epochs": 1}}))
    network, _ = load_network(trained.folder, AudioToAU, AudioToAUSettings)
    mfcc = np.concatenate([store(labelled).mfcc[f"clip{k}"] for k in range(3)])
    np.testing.assert_allclose(network.mean, mfcc.mean(axis=0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(network.deviation, mfcc.std(axis=0), rtol=1e-5)


def test_clips_without_action_units_are_left_out(data):
    write_units(data, [f"clip{k}" for k in (0, 1, 3)])
    assert SpeechExcerpts(store(data), 8, 2).train == ["clip0", "clip1"]


def test_mistakes_are_named(data, parameters, train_on):
    p = parameters()
    for name in TRAININGS:
        with pytest.raises(UserError, match=r"action_units/units holds no shards; `dvc repro` makes them"):
            train_on("chen_s", name, p)
    write_units(data, ["clip3"])
    with pytest.raises(UserError, match="no clip is left to train on"):
        train_on("chen_s", "audio_to_au", p)
    write_units(data, [f"clip{k}" for k in range(6)], missing=slice(None))
    with pytest.raises(UserError, match="no training clip has a frame with action units"):
        train_on("chen_s", "au_classifier", p)
