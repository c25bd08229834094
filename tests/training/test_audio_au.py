"""Training of Chen S.'s system: its two phases, what each begins with and leaves, and what it is given."""

import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import torch

import pipeline.training.loop as loop
from pipeline.corpus.shards import in_shards, shard_of
from pipeline.corpus.tables import frames_table, write_table_shard
from pipeline.errors import UserError
from pipeline.models.action_units import AUS, AUClassifier, AUClassifierSettings, AudioToAU, AudioToAUSettings
from pipeline.training.audio_au import TalkingExcerpts, load, optimizers, train, untrained
from pipeline.training.checkpoints import save
from pipeline.training.data import ClipStore, images_to_tensor

WIDTH = 0.0625
SMALL = {
    "width": WIDTH,
    "excerpt_frames": 6,
    "batch": 2,
    "epochs": {"without_discriminator": 2, "with_discriminator": 1},
    "learning_rate": {"generator": 1e-3, "audio_to_au": 1e-6, "au_classifier": 1e-7, "discriminator": 2e-4},
    "weights": {"reconstruction": 1.5, "identity": 1.5, "perceptual": 0.07, "au": 0.02, "adversarial": 0.002},
}


@pytest.fixture
def talking(data):
    """The made-up clips with action units, and the two pre-trained networks, untrained."""
    rng = np.random.default_rng(2)
    clips = [f"clip{k}" for k in range(6)]
    for name in {shard_of(clip) for clip in clips}:
        tables = []
        for clip in in_shards(clips):
            if shard_of(clip) == name:
                n = 14 + clips.index(clip)
                occurrence = {f"AU{au:02d}_c": rng.integers(2, size=n).astype(np.float32) for au in AUS}
                intensity = {f"AU{au:02d}_r": np.ones(n, np.float32) for au in AUS}
                for column in intensity.values():
                    column[3] = np.nan  # a frame in which the backend saw nothing
                tables.append((clip, frames_table(clip, occurrence | intensity), 0))
        write_table_shard(data / "action_units" / "units", name, tables)
    torch.manual_seed(1)
    parts = {
        "audio_to_au": AudioToAU(AudioToAUSettings(WIDTH)),
        "au_classifier": AUClassifier(AUClassifierSettings(64, WIDTH)),
    }
    for name, network in parts.items():
        description = {"system": name, "settings": asdict(network.settings), "occurrence": [0.5, 0.25, 0.1, 0.5, 0.5]}
        save(data / name / "best.pt", {"generator": network.state_dict(), "description": description})
    return data


@pytest.fixture
def small(parameters):
    """SMALL with changes: small(weights={"au": 0.0})."""

    def make(seed=0, **changes):
        group = {key: SMALL[key] | value if isinstance(value, dict) else value for key, value in changes.items()}
        p = parameters(audio_au=SMALL | group, perceptual={"width": 1 / 16}, training={"device": "cpu"})
        return p.model_copy(update={"seed": seed})

    return make


@pytest.fixture
def begun(monkeypatch):
    """What each phase's networks are when its training begins, phase by phase."""
    phases, make = [], loop._Trained.__init__

    def remember(self, *args):
        make(self, *args)
        networks = {name: net.module.state_dict() for name, net in self.networks.items()}
        phases.append({name: {k: v.clone() for k, v in state.items()} for name, state in networks.items()})

    monkeypatch.setattr(loop._Trained, "__init__", remember)
    return phases


def last(data, *folder):
    return torch.load(data.joinpath("end_to_end", "audio_au", *folder, "last.pt"), weights_only=True)


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_both_phases_leave_what_they_say(talking, tmp_path, small):
    train(small(), talking, tmp_path / "audio_au.csv")
    first = pd.read_csv(talking / "end_to_end/audio_au/warm_up/losses.csv")
    second = pd.read_csv(tmp_path / "audio_au.csv")
    assert list(first["epoch"]) == [1, 2] and list(second["epoch"]) == [1]
    terms = {f"generator_{name}" for name in ("reconstruction", "identity", "perceptual", "au")}
    assert set(first) == terms | {"epoch", "validation_error", "discriminator_au"}
    assert set(second) - set(first) == {"generator_adversarial", "discriminator_adversarial"}
    assert first.notna().all(axis=None) and second.notna().all(axis=None)
    network, description = load(talking / "end_to_end" / "audio_au")
    assert not network.training and description["weights"] == SMALL["weights"]
    assert description["perceptual"] == {"weights": "random", "detail": "seed 0, width 0.0625"}
    assert description["preprocessing"]["fps"] == 25 and description["preprocessing"]["image_size"] == 64
    json.dumps(description)


def test_the_first_phase_begins_with_the_pre_trained_parts_and_the_second_where_the_first_ended(
    talking, tmp_path, small, begun
):
    train(small(), talking, tmp_path / "l.csv")
    first, second = begun
    for name, part in (("audio_to_au", first["generator"]), ("au_classifier", first["au_classifier"])):
        pretrained = torch.load(talking / name / "best.pt", weights_only=True)["generator"]
        prefix = "audio_to_au." if name == "audio_to_au" else ""
        assert all(torch.equal(part[prefix + key], value) for key, value in pretrained.items())
    assert "frame_discriminator" not in first and "frame_discriminator" in second
    ended = last(talking, "warm_up")["networks"]
    assert all(equal(ended[name], second[name]) for name in ("generator", "au_classifier"))
    assert not equal(first["generator"], second["generator"])
    assert not equal(first["au_classifier"], second["au_classifier"])


def test_a_finished_first_phase_is_not_trained_again(talking, tmp_path, small, begun, capsys):
    train(small(), talking, tmp_path / "l.csv")
    table = talking / "end_to_end/audio_au/warm_up/losses.csv"
    losses = table.read_text()
    table.unlink()
    train(small(weights={"adversarial": 0.01}), talking, tmp_path / "l.csv")
    assert len(begun) == 3 and "has its 2 epochs behind it" in capsys.readouterr().out
    assert table.read_text() == losses
    train(small(weights={"identity": 1.0}), talking, tmp_path / "l.csv")
    assert len(begun) == 5
    p = small(weights={"identity": 1.0})
    exact = p.model_copy(update={"training": p.training.model_copy(update={"precision": "32-true"})})
    train(exact, talking, tmp_path / "l.csv")
    assert len(begun) == 7


def test_the_second_phase_depends_on_the_first(talking, tmp_path, small):
    train(small(), talking, tmp_path / "l.csv")
    key = last(talking)["key"]
    train(small(weights={"identity": 1.0}), talking, tmp_path / "l.csv")
    other = last(talking)["key"]
    train(small(weights={"identity": 1.0}, epochs={"without_discriminator": 1}), talking, tmp_path / "l.csv")
    assert len({key, other, last(talking)["key"]}) == 3


def test_a_run_killed_in_the_second_phase_ends_the_same(talking, tmp_path, small, monkeypatch, capsys):
    p = small(epochs={"with_discriminator": 2})
    train(p, talking, tmp_path / "whole.csv")
    whole = last(talking)
    for path in (talking / "end_to_end" / "audio_au").rglob("*.pt"):
        path.unlink()
    validate, calls = loop.validation_error, []

    def killed(*args):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt  # in the second epoch of the second phase, before its checkpoint
        return validate(*args)

    monkeypatch.setattr(loop, "validation_error", killed)
    with pytest.raises(KeyboardInterrupt):
        train(p, talking, tmp_path / "broken.csv")
    monkeypatch.setattr(loop, "validation_error", validate)
    train(p, talking, tmp_path / "broken.csv")
    assert "resuming after epoch 1" in capsys.readouterr().out
    assert all(equal(whole["networks"][name], last(talking)["networks"][name]) for name in whole["networks"])
    assert (tmp_path / "whole.csv").read_text() == (tmp_path / "broken.csv").read_text()


def test_each_network_has_its_own_rate(talking, small):
    p = small()
    model = untrained(p, talking, dict(p.audio_au.weights), None)
    found = {
        id(parameter): group["lr"]
        for optimizer in optimizers(model, p).values()
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    rates = p.audio_au.learning_rate
    fine_tuned = {id(x) for x in model.generator.audio_to_au.parameters()}
    expected = {
        id(x): rates.audio_to_au if id(x) in fine_tuned else rates.generator for x in model.generator.parameters()
    }
    expected |= {id(x): rates.au_classifier for x in model.au_classifier.parameters()}
    expected |= {id(x): rates.discriminator for x in model.frame_discriminator.parameters()}
    assert found == expected


def test_without_action_units_nothing_of_theirs_is_needed(data, tmp_path, small):
    """The first four rows of Table 2: no labels, no pre-trained networks."""
    p = small(weights={"au": 0.0}, au_features=False)
    train(p, data, tmp_path / "l.csv")
    network, description = load(data / "end_to_end" / "audio_au")
    assert description["settings"]["audio_to_au"] is None and not hasattr(network, "audio_to_au")
    assert "generator_au" not in pd.read_csv(tmp_path / "l.csv")


def test_a_baseline_has_nothing_that_judges(data, tmp_path, small):
    """The first row: reconstruction alone."""
    nought = dict.fromkeys(("identity", "perceptual", "au", "adversarial"), 0.0)
    train(small(weights=nought, au_features=False), data, tmp_path / "l.csv")
    assert set(pd.read_csv(tmp_path / "l.csv")) == {"epoch", "generator_reconstruction", "validation_error"}
    assert set(last(data)["networks"]) == {"generator"} and set(last(data)["optimizers"]) == {"generator"}
    assert load(data / "end_to_end" / "audio_au")[1]["perceptual"] is None


@pytest.fixture
def excerpts(talking):
    return TalkingExcerpts(ClipStore(talking, "crops", "mfcc", "action_units"), 6, seed=0, batch=2, fps=25)


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


def test_mistakes_are_one_line(talking, tmp_path, small):
    nought = dict.fromkeys(("reconstruction", "identity", "perceptual", "au"), 0.0)
    with pytest.raises(UserError, match=r"audio_au\.weights: all but adversarial are 0"):
        train(small(weights=nought), talking, tmp_path / "l.csv")
    for part in ("audio_to_au", "au_classifier"):
        (talking / part / "best.pt").rename(talking / part / "kept.pt")
        with pytest.raises(UserError, match=f"does not exist; train it with `dvc repro {part}`"):
            train(small(), talking, tmp_path / "l.csv")
        (talking / part / "kept.pt").rename(talking / part / "best.pt")
    with pytest.raises(UserError, match="does not exist; train it with `dvc repro end_to_end@audio_au`"):
        load(talking / "end_to_end" / "audio_au")
