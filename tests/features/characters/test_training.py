import numpy as np
import pytest
import torch

from pipeline.errors import UserError
from pipeline.features.characters.ctc import BLANK, greedy_text
from pipeline.features.characters.network import CharacterNet
from pipeline.features.characters.training import (
    as_function,
    error_rate,
    load_ctc,
    save_ctc,
    train_ctc,
    usable_examples,
)

BANDS = 12
WORDS = ["ace", "bad", "cab", "dab", "fed", "gab", "bed", "face", "cage", "deaf"]


def say(text, rng):
    """A letter is four steps of its own band and two of pause."""
    rows = [np.full((4, BANDS), -1.0)]
    for letter in text:
        sound = np.full((6, BANDS), -0.9)
        sound[:4, "abcdefg".index(letter)] = 0.5
        rows.append(sound)
    steps = np.concatenate(rows)
    return (steps + rng.normal(0, 0.02, steps.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def spoken():
    rng = np.random.default_rng(0)
    texts = [str(word) for word in rng.choice(WORDS, 80)]
    return [(say(text, rng), text) for text in texts]


@pytest.fixture(scope="module")
def network(spoken):
    return train_ctc(spoken[:64], width=32, epochs=30, learning_rate=5e-3, seed=0)


def test_it_learns_to_read_what_it_never_heard(network, spoken):
    assert error_rate(as_function(network), spoken[64:]) < 0.1
    assert greedy_text(as_function(network)(say("face", np.random.default_rng(1)))) == "face"


def test_silence_is_blank(network):
    assert (as_function(network)(np.full((50, BANDS), -1, np.float32)).argmax(axis=1) == BLANK).all()


def test_a_saved_network_is_the_same(network, spoken, tmp_path):
    save_ctc(tmp_path / "ctc.pt", network)
    assert np.array_equal(load_ctc(tmp_path / "ctc.pt")(spoken[0][0]), as_function(network)(spoken[0][0]))
    with pytest.raises(UserError, match=r"missing\.pt is missing"):
        load_ctc(tmp_path / "missing.pt")
    (tmp_path / "junk.pt").write_bytes(b"junk")
    with pytest.raises(UserError, match="not a character network"):
        load_ctc(tmp_path / "junk.pt")


def test_the_same_seed_gives_the_same_network_and_leaves_the_random_state_alone(spoken):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second, other = (train_ctc(spoken[:8], 8, 2, 1e-3, seed) for seed in (0, 0, 1))
    assert torch.rand(1) == expected
    same = [torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True)]
    assert all(same) and not torch.equal(first.out[0].weight, other.out[0].weight)


def test_a_clip_s_scores_do_not_depend_on_its_batch(spoken):
    network = CharacterNet(torch.zeros(BANDS), torch.ones(BANDS), width=8).eval()
    short, long = torch.from_numpy(spoken[0][0][:20]), torch.from_numpy(spoken[1][0])
    both = torch.stack([torch.nn.functional.pad(short, (0, 0, 0, len(long) - 20), value=-1), long])
    together = network(both, torch.tensor([20, len(long)]))
    assert torch.allclose(together[0, :20], network(short[None], torch.tensor([20]))[0], atol=1e-5)


def test_examples_that_cannot_be_learnt_from_are_left_out_and_none_left_is_an_error():
    features = np.zeros((5, BANDS), np.float32)
    fits, doubled = (features, "abcde"), (features, "abbcd")
    assert usable_examples([fits, doubled, (features, None), (features, "…")]) == [fits]
    with pytest.raises(UserError, match="set the backend to phones"):
        train_ctc([doubled, (features, "")], 8, 1, 1e-3, 0)
