"""Training of Chen S.'s system: its two phases, what each begins with and leaves, and what it is given."""

from collections import defaultdict
from hashlib import sha256

import numpy as np
import pytest
import torch

from pipeline.blocks.images import images_to_tensor
from pipeline.corpus.shards import in_shards, shard_of
from pipeline.corpus.tables import frames_table, write_table_shard
from pipeline.errors import UserError
from pipeline.papers.chen_s.action_units import AUS, AUClassifier, AUClassifierSettings, AudioToAU, AudioToAUSettings
from pipeline.papers.chen_s.end_to_end import TalkingExcerpts
from pipeline.papers.chen_s.networks import Generator, Settings
from pipeline.training.data import ClipStore
from pipeline.training.trained import WEIGHTS as NETWORK
from pipeline.training.trained import fields_of, load_network, save_network

WIDTH = 0.0625
WEIGHTS = {"reconstruction": 1.5, "identity": 1.5, "perceptual": 0.07, "au": 0.02, "adversarial": 0.002}
SMALL = {
    "excerpt_frames": 6,
    "batch": 2,
    "epochs": {"without_discriminator": 2, "with_discriminator": 1},
    "learning_rate": {"generator": 1e-3, "audio_to_au": 1e-6, "au_classifier": 1e-7, "discriminator": 2e-4},
    "weights": WEIGHTS,
}


@pytest.fixture
def talking(data):
    """The made-up clips with action units, and the two pre-trained networks, untrained."""
    rng = np.random.default_rng(2)
    clips, shards = [f"clip{k}" for k in range(6)], defaultdict(list)
    for clip in in_shards(clips):
        n = 14 + clips.index(clip)
        occurrence = {f"AU{au:02d}_c": rng.integers(2, size=n).astype(np.float32) for au in AUS}
        intensity = {f"AU{au:02d}_r": np.ones(n, np.float32) for au in AUS}
        for column in intensity.values():
            column[3] = np.nan  # a frame in which the backend saw nothing
        shards[shard_of(clip)].append((clip, frames_table(clip, occurrence | intensity), 0))
    for name, tables in shards.items():
        write_table_shard(data / "action_units" / "units", name, tables)
    pretrained(data, seed=1)
    return data


def pretrained(data, seed):
    """Leave networks of action units as if they had been trained."""
    torch.manual_seed(seed)
    parts = {
        "audio_to_au": AudioToAU(AudioToAUSettings(WIDTH)),
        "au_classifier": AUClassifier(AUClassifierSettings(64, WIDTH)),
    }
    for name, network in parts.items():
        about = {"settings": fields_of(network.settings), "occurrence": [0.5, 0.25, 0.1, 0.5, 0.5]}
        save_network(data / "trained" / "chen_s" / name, network.state_dict(), about)


@pytest.fixture
def train(train_on, parameters):
    """Train SMALL with changes: train(weights={"au": 0.0})."""

    def run(**changes):
        group = {key: SMALL[key] | value if isinstance(value, dict) else value for key, value in changes.items()}
        return train_on("chen_s", "end_to_end", parameters(chen_s={"end_to_end": SMALL | group}))

    return run


@pytest.fixture
def keys(keys_of, train):
    """What the results of the two phases are kept by, for SMALL with changes; nothing is trained."""
    return lambda **changes: keys_of(lambda: train(**changes))


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_both_phases_leave_what_they_say(talking, train):
    trained = train()
    first, second = (rows for _, rows in trained.losses.groupby("phase"))
    assert list(first["epoch"]) == [1, 2] and list(second["epoch"]) == [3]
    terms = {f"generator_{name}" for name in ("reconstruction", "identity", "perceptual", "au")}
    everywhere = {"phase", "epoch", "validation_error", "discriminator_au", *terms}
    assert set(first.dropna(axis=1)) == everywhere
    assert set(second.dropna(axis=1)) == everywhere | {"generator_adversarial", "discriminator_adversarial"}
    network, about = load_network(trained.folder, Generator, Settings)
    assert hasattr(network, "audio_to_au") and about["parameters"]["weights"] == WEIGHTS
    assert about["perceptual"] == {"weights": "random", "detail": "seed 0, width 0.0625"}
    assert about["preprocessing"]["fps"] == 25 and about["preprocessing"]["image_size"] == 64
    parts = talking / "trained" / "chen_s"
    digests = {name: sha256((parts / name / NETWORK).read_bytes()).hexdigest() for name in about["pretrained"]}
    assert about["pretrained"] == digests and digests.keys() == {"audio_to_au", "au_classifier"}


def test_the_first_phase_begins_with_the_pre_trained_parts_and_the_second_where_the_first_ended(talking, train, begun):
    train()
    (ended, first), (_, second) = begun
    parts = talking / "trained" / "chen_s"
    listener, _ = load_network(parts / "audio_to_au", AudioToAU, AudioToAUSettings)
    classifier, _ = load_network(parts / "au_classifier", AUClassifier, AUClassifierSettings)
    heard = {key: value for key, value in first["generator"].items() if key.startswith("audio_to_au.")}
    assert equal(heard, {f"audio_to_au.{key}": value for key, value in listener.state_dict().items()})
    assert equal(first["au_classifier"], classifier.state_dict())
    assert first.keys() == {"generator", "au_classifier"} and second.keys() == {*first, "frame_discriminator"}
    for name in first:
        assert equal(second[name], ended.weights(name)) and not equal(second[name], first[name])


def test_the_first_phase_is_kept_while_only_its_successor_changes(talking, keys):
    first, second = keys()
    for change in ({"weights": {"adversarial": 0.01}}, {"learning_rate": {"discriminator": 1e-3}}):
        same, other = keys(**change)
        assert same == first and other != second
    for change in ({"weights": {"identity": 1.0}}, {"learning_rate": {"audio_to_au": 1e-5}}, {"au_features": False}):
        assert first not in keys(**change)


def test_other_pre_trained_networks_train_both_phases_anew(talking, keys):
    first, second = keys()
    pretrained(talking, seed=2)
    assert not {first, second} & set(keys())


def test_each_network_has_its_own_rate(talking, train, begun):
    train()
    networks, _ = begun[-1]
    found = {
        id(parameter): group["lr"]
        for optimizer in networks.optimizers.values()
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    rates, generator = SMALL["learning_rate"], networks.trained["generator"]
    expected = {id(x): rates["generator"] for x in generator.parameters()}
    expected |= {id(x): rates["audio_to_au"] for x in generator.module.audio_to_au.parameters()}
    expected |= {id(x): rates["au_classifier"] for x in networks.trained["au_classifier"].parameters()}
    expected |= {id(x): rates["discriminator"] for x in networks.trained["frame_discriminator"].parameters()}
    assert found == expected


def test_without_action_units_nothing_of_theirs_is_needed(data, train):
    """The first four rows of Table 2: no labels, no pre-trained networks."""
    trained = train(weights={"au": 0.0}, au_features=False)
    network, about = load_network(trained.folder, Generator, Settings)
    assert about["settings"]["audio_to_au"] is None and not hasattr(network, "audio_to_au")
    assert about["pretrained"] == {} and "generator_au" not in trained.losses


def test_a_baseline_has_nothing_that_judges(data, train, begun):
    """The first row: reconstruction alone."""
    nought = dict.fromkeys(("identity", "perceptual", "au", "adversarial"), 0.0)
    trained = train(weights=nought, au_features=False)
    assert set(trained.losses) == {"phase", "epoch", "generator_reconstruction", "validation_error"}
    assert all(set(networks.trained) == set(networks.optimizers) == {"generator"} for networks, _ in begun)
    assert trained.about["perceptual"] is None


@pytest.fixture
def excerpts(talking):
    return TalkingExcerpts(ClipStore(talking, "small", "crops", "mfcc", "action_units"), 6, batch=2)


def test_the_photo_is_the_first_frame_and_all_else_of_the_excerpt(excerpts):
    rng = np.random.default_rng(0)
    whole, part = (excerpts.excerpt("clip0", span, rng, augment=False) for span in (slice(0, 14), slice(5, 11)))
    frames = images_to_tensor(excerpts.store.crops["clip0"])
    assert torch.equal(whole.frames, frames) and torch.equal(part.photo, frames[0])
    for name in ("frames", "mfcc"):
        assert torch.equal(getattr(part, name), getattr(whole, name)[5:11])
    assert part.mfcc.shape == (6, 28, 12) and part.action_units.shape == (6, 5)
    torch.testing.assert_close(part.action_units, whole.action_units[5:11])
    occurs = excerpts.store.action_units["clip0"]["AU25_c"]
    np.testing.assert_array_equal(whole.action_units[4:, AUS.index(25)], occurs[4:])
    assert whole.action_units[3].isnan().all()


def test_half_of_the_excerpts_are_mirrored_whole(excerpts):
    rng, mirrored = np.random.default_rng(0), []
    straight = excerpts.excerpt("clip0", slice(2, 8), rng, augment=False)
    for _ in range(60):
        drawn = excerpts.excerpt("clip0", slice(2, 8), rng, augment=True)
        flip = not torch.equal(drawn.photo, straight.photo)
        assert torch.equal(drawn.frames.flip(-1) if flip else drawn.frames, straight.frames)
        assert torch.equal(drawn.photo.flip(-1) if flip else drawn.photo, straight.photo)
        assert torch.equal(drawn.mfcc, straight.mfcc)
        mirrored.append(flip)
    assert np.mean(mirrored) == pytest.approx(0.5, abs=0.2)


def test_a_short_clip_is_held_at_its_last_frame(excerpts):
    excerpts.length = 20
    drawn = excerpts.excerpt("clip0", slice(0, 14), np.random.default_rng(0), augment=True)
    assert drawn.frames.shape[0] == drawn.mfcc.shape[0] == 20
    assert all(torch.equal(frame, drawn.frames[13]) for frame in drawn.frames[13:])


def test_mistakes_are_one_line(talking, train):
    nought = dict.fromkeys(("reconstruction", "identity", "perceptual", "au"), 0.0)
    with pytest.raises(UserError, match=r"chen_s\.end_to_end\.weights: .* nothing to begin with"):
        train(weights=nought)
    for part in ("audio_to_au", "au_classifier"):
        folder = talking / "trained" / "chen_s" / part
        kept = folder.rename(folder.with_name("kept"))
        with pytest.raises(UserError, match=f"no trained network; make it with `dvc repro chen_s_{part}`"):
            train()
        kept.rename(folder)
