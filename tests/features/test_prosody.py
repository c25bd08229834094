import numpy as np
import pytest

from pipeline.features.prosody import COLUMNS, prosody, silent_share

RATE, FPS = 22_050, 25
FORMANTS, BANDWIDTHS = (500, 1500, 2500), (60, 90, 120)


@pytest.fixture(scope="module")
def vowel():
    """A second of a vowel by source and filter: pulses at 120 Hz, falling by 6 dB an octave, through five resonances."""
    from scipy.signal import lfilter

    rng = np.random.default_rng(0)
    sound = (np.arange(RATE) % round(RATE / 120) == 0).astype(float) + rng.normal(0, 1e-4, RATE)
    sound = lfilter([1], [1, -0.98], sound)
    for frequency, bandwidth in zip((*FORMANTS, 3500, 4500), (*BANDWIDTHS, 150, 200), strict=True):
        radius, angle = np.exp(-np.pi * bandwidth / RATE), 2 * np.pi * frequency / RATE
        sound = lfilter([1], [1, -2 * radius * np.cos(angle), radius**2], sound)
    return 0.3 * sound / np.abs(sound).max()


def test_a_vowel_has_the_pitch_and_the_formants_that_it_was_made_with(vowel):
    rows = prosody(vowel, RATE, 25, FPS)[3:-3]
    assert list(rows) == COLUMNS and rows["voiced"].all()
    assert rows["f0_hz"].to_numpy() == pytest.approx(RATE / round(RATE / 120), rel=0.01)
    for number, frequency in enumerate(FORMANTS, start=1):
        assert rows[f"f{number}_hz"].median() == pytest.approx(frequency, rel=0.06)
    assert (rows["harmonicity_db"] > 15).all()


def test_the_intensity_of_a_sine_is_its_root_mean_square():
    sine = 0.1 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)
    rows = prosody(sine, RATE, 25, FPS)[3:-3]
    assert rows["intensity_db"].to_numpy() == pytest.approx(20 * np.log10(0.1 / np.sqrt(2) / 2e-5), abs=0.1)
    assert rows["f0_hz"].to_numpy() == pytest.approx(200, rel=0.005)


def test_noise_is_unvoiced():
    rows = prosody(np.random.default_rng(0).normal(0, 0.1, RATE), RATE, 25, FPS)
    assert rows["voiced"].mean() < 0.2 and rows["f0_hz"].isna().equals(~rows["voiced"])
    assert not rows["intensity_db"].isna().any()


@pytest.mark.parametrize("samples", [0, 1, RATE // 10, RATE])
def test_silence_is_unvoiced_whatever_its_length(samples):
    rows = prosody(np.zeros(samples), RATE, 25, FPS)
    assert len(rows) == 25 and not rows["voiced"].any()
    assert rows.drop(columns="voiced").isna().all(axis=None)


def test_a_tenth_of_a_second_stands_at_its_place(vowel):
    rows = prosody(vowel[: RATE // 10], RATE, 25, FPS)
    assert len(rows) == 25 and rows["voiced"][1] and not rows["voiced"][6:].any()
    assert len(prosody(vowel, RATE, 2, FPS)) == 2  # audio longer than the video


def test_sound_starts_at_the_frame_in_which_it_starts(vowel):
    rows = prosody(np.concatenate([np.zeros(10 * RATE // FPS), vowel]), RATE, 35, FPS)
    assert not rows["voiced"][:9].any() and rows["voiced"][11:].all()


def test_clipped_sound_is_measured_as_well(vowel):
    rows = prosody(np.clip(20 * vowel, -1, 1), RATE, 25, FPS)
    assert rows["voiced"][3:-3].all() and np.isfinite(rows["f1_hz"][3:-3]).all()


def test_pauses_are_silence():
    """25 dB below the loudest frame, or nothing at all."""
    assert silent_share(np.array([70.0, 60.0, 46.0, 44.0, np.nan])) == pytest.approx(2 / 5)
    assert silent_share(np.full(4, np.nan)) == 1
