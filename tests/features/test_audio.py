import numpy as np
import pytest

from pipeline.features.audio import log_mel
from pipeline.features.windows import columns_per_frame, mel_windows, window_columns, window_samples

RATE = 22_050


def test_window_and_hop_are_33_ms_and_half_of_it():
    assert window_samples(RATE, 33) == (728, 364)
    assert columns_per_frame(RATE, 33, 25) == pytest.approx(2.4231, abs=1e-4)


def test_a_tone_lies_in_the_band_of_its_frequency():
    """Slaney's mel scale is linear up to 1 kHz: 60 bands to 11,025 Hz, so that the centres are known."""
    import librosa

    time = np.arange(RATE) / RATE
    spectrum = log_mel(0.5 * np.sin(2 * np.pi * 1000 * time), RATE, 60, 33)
    centres = librosa.mel_frequencies(62, fmin=0, fmax=RATE / 2)[1:-1]
    assert abs(spectrum[30].argmax() - np.abs(centres - 1000).argmin()) <= 1


def test_a_tenth_of_the_amplitude_is_20_db():
    noise = np.random.default_rng(0).normal(0, 0.1, RATE)
    loud, quiet = log_mel(noise, RATE, 60, 33), log_mel(0.1 * noise, RATE, 60, 33)
    assert (loud - quiet)[5:-5].mean() == pytest.approx(20 / 110 * 2, rel=1e-3)
    assert log_mel(np.zeros(RATE), RATE, 60, 33) == pytest.approx(-1, abs=1e-6)


def test_a_click_is_in_the_window_of_its_frame_and_no_earlier():
    """The middle column of a frame's window is nearest to the frame's middle."""
    waveform = np.zeros(2 * RATE)
    waveform[int((20 + 0.5) / 25 * RATE)] = 1
    columns = columns_per_frame(RATE, 33, 25)
    windows = mel_windows(log_mel(waveform, RATE, 60, 33), 50, columns, context_frames=5)
    assert windows.shape == (50, window_columns(columns, 5), 60) == (50, 27, 60)
    energy = windows.mean(axis=2)
    assert abs(energy[20].argmax() - 13) <= 1
    assert energy[15].argmax() > 20 and energy[25].argmax() < 6
    assert energy[10] == pytest.approx(-1, abs=1e-3)


def test_beyond_the_speech_there_is_silence():
    windows = mel_windows(np.ones((10, 60), np.float32), 20, 2.4231, context_frames=5)
    assert (windows[0, :12] == -1).all() and (windows[-1] == -1).all() and (windows[2] == 1).any()
