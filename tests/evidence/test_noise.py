"""Noise is as loud as it is said to be, and of the kind; a system that hears it speaks worse."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from pipeline.evidence.noise import babble, draw, mixed, pink, power, withstood
from pipeline.evidence.trials import only, tried
from pipeline.report.comparison import row_figures

RATE, N = 22_050, 3 * 22_050


class Clips:
    """Four clips of two people, each a tone of its own."""

    sample_rate = RATE
    table = pd.DataFrame({"subject": ["one", "one", "two", "two"]}, index=["a", "b", "c", "d"])

    def speech(self, clip):
        return tone(100 * (1 + self.table.index.get_loc(clip)), 0.1 * (1 + self.table.index.get_loc(clip)))


def tone(hertz, amplitude):
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE)).astype(np.float32)


def strongest(sound, n):
    """The n strongest frequencies, in Hz, of sound that is a whole number of seconds long."""
    spectrum = np.abs(np.fft.rfft(sound))
    return {round(k * RATE / len(sound)) for k in np.argsort(spectrum)[-n:]}


@pytest.mark.parametrize("snr_db", [20, 10, 0, -5])
@pytest.mark.parametrize("kind", [babble, pink])
def test_the_signal_to_noise_ratio_is_what_was_asked_for(kind, snr_db):
    """By least squares of what is heard on speech and noise, also where it had to be made quieter."""
    rng, speech = np.random.default_rng(1), np.tile(tone(250, 0.6), 3)
    noise = kind(Clips(), "a", N, rng)
    heard = mixed(speech, noise, snr_db)
    assert np.abs(heard).max() <= 1
    (a, b), residual, *_ = np.linalg.lstsq(np.stack([speech, noise], axis=1), heard, rcond=None)
    assert residual[0] < 1e-6 * len(heard)
    assert 20 * np.log10(a / b) + 10 * np.log10(power(speech) / power(noise)) == pytest.approx(snr_db, abs=0.1)


def test_babble_is_of_other_people_who_are_equally_loud():
    noise = babble(Clips(), "a", N, np.random.default_rng(0))
    assert strongest(noise, 2) == {300, 400}
    # Each voice has power 1: of six tones, k are of one frequency, whose amplitudes add up by their phases.
    assert 0 < power(noise) <= 36


def test_pink_noise_has_equal_power_in_every_octave():
    noise = pink(Clips(), "a", 20 * RATE, np.random.default_rng(0))
    spectrum = np.abs(np.fft.rfft(noise)) ** 2
    frequencies = np.fft.rfftfreq(len(noise), 1 / RATE)
    octaves = [spectrum[(frequencies >= low) & (frequencies < 2 * low)].sum() for low in (40, 160, 640, 2560)]
    assert np.array(octaves) / np.mean(octaves) == pytest.approx(np.ones(4), abs=0.15)


CLIPS = ["one_a", "one_b"]


def test_a_system_that_hears_noise_speaks_worse(run):
    """Its clean speech makes the clips that pass for real."""
    clean = only(run, ["static", "sinha"], CLIPS)
    loud = tried(run, ["sinha"], CLIPS, partial(draw, kind="babble", snr_db=-10), "loud")
    faint = tried(run, ["sinha"], CLIPS, partial(draw, kind="babble", snr_db=60), "faint")
    lmd = [row_figures(one, one.rows[-1], CLIPS)["lmd"].value for one in (clean, faint, loud)]
    assert lmd[0] <= lmd[1] < 0.8 * lmd[2]


def test_the_evidence_has_a_table_of_every_figure_and_kind(run, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.evidence.noise.SNRS", (0,))
    monkeypatch.setattr("pipeline.evidence.noise.HEARD", ["clean", "0 dB"])
    monkeypatch.setattr("pipeline.evidence.noise.N_CLIPS", 1)
    made = withstood(run, tmp_path)
    assert len(made.tables) == 6 and all(list(rows[0]) == ["system", "clean", "0 dB"] for rows in made.tables.values())
    assert [row["system"] for row in next(iter(made.tables.values()))] == ["`sinha`"]
    assert all((tmp_path / name).stat().st_size > 5000 for name in made.pictures)
