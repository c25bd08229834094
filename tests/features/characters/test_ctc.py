import numpy as np
import pytest

from pipeline.errors import ClipRejected
from pipeline.features.characters.ctc import (
    ALPHABET,
    BLANK,
    SYMBOLS,
    character_error_rate,
    ctc_features,
    ctc_scores,
    encode,
    greedy_text,
    normalise_transcript,
)


def test_the_alphabet_is_deepspeech_s():
    assert (len(SYMBOLS), SYMBOLS[0], SYMBOLS[1], SYMBOLS[26], SYMBOLS[27], SYMBOLS[BLANK]) == (
        29,
        " ",
        "a",
        "z",
        "'",
        "",
    )
    assert encode("a z'") == [1, 0, 26, 27]


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Don't forget a jacket.", "don't forget a jacket"),
        ("sil bin blue sp at f two now sil", "bin blue at f two now"),
        ("Set  white\nby Z 4 – please", "set white by z four please"),
        ("It’s 11 o’clock", "it's one one o'clock"),
        ("Café", "cafe"),
    ],
)
def test_transcripts_become_characters(text, normal):
    assert normalise_transcript(text) == normal
    assert set(normal) <= set(ALPHABET)


@pytest.mark.parametrize("text", [None, "", "  ", "…", "' '", "sil sp", "你好"])
def test_a_transcript_without_letters_is_named(text):
    with pytest.raises(ClipRejected, match="no_transcript"):
        normalise_transcript(text)


def test_repetitions_fall_together_unless_a_blank_is_between():
    path = [BLANK, 8, 8, 5, 12, BLANK, 12, 12, 15, BLANK, BLANK, 0, 1]
    assert greedy_text(np.eye(29)[path]) == "hello a"
    assert greedy_text(np.zeros((0, 29))) == ""


def test_character_error_rates_counted_by_hand():
    assert character_error_rate([("kitten", "sitting")]) == pytest.approx(3 / 6)
    assert character_error_rate([("abcd", "abcd"), ("abcd", "")]) == pytest.approx(4 / 8)


@pytest.mark.parametrize("samples", [0, 1, 1600, 16_000, 16_001])
def test_scores_have_a_step_for_every_20_ms_begun(samples):
    waveform = np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)
    scores = ctc_scores(waveform, 16_000, lambda features: np.repeat(features.mean(axis=1)[:, None], 29, axis=1))
    assert scores.name == "ctc" and scores.values.shape == (-(-samples // 320), 29) and scores.first_s == 0.01
    assert scores.silence == pytest.approx(np.full(29, -1))
    assert len(ctc_features(waveform, 16_000)) == len(scores.values)
