import numpy as np
import pytest

from pipeline.demo.speech import SAMPLE_RATE, Utterance, speak_all

SENTENCE = Utterance("maybe tomorrow it will be cold", "en-us+f1", 165, 50, 50)


@pytest.fixture(scope="module")
def spoken():
    other = Utterance("the surface is slick", "en-us+m3", 165, 35, 50)
    return speak_all([SENTENCE, other, SENTENCE], workers=2)


def test_equal_utterances_are_equal_whatever_was_said_between(spoken):
    np.testing.assert_array_equal(spoken[0].waveform, spoken[2].waveform)
    assert spoken[0].phonemes == spoken[2].phonemes


def test_phonemes_follow_each_other_and_end_with_the_sound(spoken):
    _, starts, ends = zip(*spoken[0].phonemes, strict=True)
    np.testing.assert_allclose(starts[1:], ends[:-1], atol=2e-3)
    assert ends[-1] == pytest.approx(len(spoken[0].waveform) / SAMPLE_RATE)


def test_a_fricative_is_noisier_than_a_vowel(spoken):
    """The times belong to the sound: in "slick" the s crosses zero far more often than the vowel."""
    waveform = spoken[1].waveform

    def crossings(name):
        _, start, end = next(p for p in spoken[1].phonemes if p[0] == name)
        samples = waveform[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)]
        return np.mean(np.diff(np.sign(samples)) != 0)

    assert crossings("s") > 3 * crossings("I")
