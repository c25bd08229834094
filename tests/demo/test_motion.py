import numpy as np
import pytest

from pipeline.demo.motion import FPS, SHUT, VISEME_OF, blink_track, mouth_tracks


def test_lips_are_shut_in_the_frame_of_p_b_and_m():
    """Each between two open vowels, wherever its short closure falls between the camera's moments."""
    for phoneme in SHUT:
        for offset in np.linspace(0, 0.04, 9):
            start = 0.4 + offset
            phonemes = [("A:", 0.0, start), (phoneme, start, start + 0.05), ("A:", start + 0.05, 1.0)]
            opening, _ = mouth_tracks(phonemes, 25)
            around = opening[int(start * FPS) - 1 : int((start + 0.05) * FPS) + 2]
            assert around.min() == 0
            assert opening[4] > 0.9


def test_neighbours_share_the_mouth():
    """Coarticulation: an s beside rounded vowels is rounder than one beside spread ones."""

    def width_of_s(vowel):
        _, width = mouth_tracks([(vowel, 0.0, 0.4), ("s", 0.4, 0.5), (vowel, 0.5, 0.9)], 23)
        return width[int(0.45 * FPS)]

    assert width_of_s("u:") < width_of_s("i:") - 0.4


def test_every_phoneme_has_one_viseme():
    assert len(VISEME_OF) == len(set(VISEME_OF))
    assert {"p", "b", "m"} == SHUT


def test_blinks_come_at_a_human_rate_and_length():
    rng = np.random.default_rng(0)
    clips = [blink_track(250, rng) for _ in range(400)]
    blinks = [blink for _, clip in clips for blink in clip]
    rate = len(blinks) / (400 * 10)
    durations = np.array([end - start for start, end in blinks])
    assert 0.28 <= rate <= 0.4
    assert durations.min() >= 0.2 and durations.max() <= 0.3
    # Closed where it says so, and open elsewhere.
    for closed, clip in clips[:50]:
        times = (np.arange(250) + 0.5) / FPS
        inside = np.zeros(250, bool)
        for start, end in clip:
            inside |= (times > start) & (times < end)
        assert not closed[~inside].any()
        assert all(closed[(times > s) & (times < e)].max() > 0.9 for s, e in clip if e < 10)


def test_mouth_rests_in_silence():
    opening, width = mouth_tracks([("_", 0.0, 1.0)], 25)
    assert opening == pytest.approx(0) and width == pytest.approx(0)
