import numpy as np
import pytest

from pipeline.features.audio import COLUMNS, SAMPLES, log_mel, log_mel_steps, mfcc, resample
from pipeline.features.windows import columns_per_frame, mel_windows, mfcc_windows, window_columns, window_samples

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


def independent_mfcc(samples):
    """One column by the published recipe, step by step, with no audio library: 400 samples at 16 kHz, already emphasised."""
    spectrum = np.abs(np.fft.rfft(samples, 512)) ** 2 / 512
    mel = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 28)
    edges = 700 * (10 ** (mel / 2595) - 1)
    frequencies = np.fft.rfftfreq(512, 1 / 16_000)
    energies = []
    for low, centre, high in zip(edges, edges[1:], edges[2:], strict=False):
        triangle = np.minimum((frequencies - low) / (centre - low), (high - frequencies) / (high - centre))
        energies.append(np.maximum(triangle, 0) @ spectrum)
    n = np.arange(1, 13)
    basis = np.sqrt(2 / 26) * np.cos(np.pi * np.outer(n, np.arange(26) + 0.5) / 26)
    return basis @ np.log(energies) * (1 + 11 * np.sin(np.pi * n / 22))


def test_mfcc_against_the_recipe_written_out():
    speech = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    columns = mfcc(speech, 16_000)
    assert columns.shape == (100, 12) and columns.dtype == np.float32
    emphasised = np.append(speech[0], speech[1:] - 0.97 * speech[:-1])
    for k in (10, 50, 90):  # column k is centred on sample 160 k + 80
        assert columns[k] == pytest.approx(independent_mfcc(emphasised[160 * k - 120 : 160 * k + 280]), abs=2e-3)


def test_mfcc_of_silence_is_zero_and_so_is_stored_silence():
    assert np.abs(mfcc(np.zeros(RATE), RATE)).max() < 1e-4
    rounding = np.random.default_rng(0).uniform(-0.5, 0.5, RATE) / 32767
    assert np.abs(mfcc(rounding, RATE)).max() < 1e-4


@pytest.mark.parametrize("fps", [25, 30, 29.97])
def test_the_mfcc_window_is_centred_on_the_middle_of_its_frame(fps):
    """Noise starts at a frame's middle: in its window 14 columns come before, and 14 hold sound."""
    start = round((20 + 0.5) / fps * RATE)
    waveform = np.concatenate([np.zeros(start), np.random.default_rng(0).normal(0, 0.1, RATE)])
    windows = mfcc_windows(mfcc(waveform, RATE), 40, fps)
    assert windows.shape == (40, 28, 12)
    energy = np.abs(windows[20]).sum(axis=1)
    # A window of 25 ms reaches 12.5 ms to either side of its column.
    assert (energy[:12] < 1e-3).all() and (energy[15:] > 1).all()
    later = round(1000 / fps * 2 / 10)
    assert np.array_equal(windows[22, : 28 - later], windows[20, later:]) or fps != 25


def test_a_click_lies_in_the_columns_nearest_to_it():
    waveform = np.zeros(2 * 16_000)
    waveform[round(20.5 / 25 * 16_000)] = 1
    power = np.abs(mfcc_windows(mfcc(waveform, 16_000), 50, 25)).sum(axis=2)
    assert set(np.flatnonzero(power[20] > 1e-3)) == {13, 14}
    assert set(np.flatnonzero(power[18] > 1e-3)) == {21, 22}


@pytest.mark.parametrize("seconds", [0, 0.1, 0.999, 1, 3])
def test_features_have_the_video_s_frames_whatever_the_length_of_the_audio(seconds):
    waveform = np.random.default_rng(0).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)
    mel = mel_windows(log_mel(waveform, RATE, 60, 33), 25, columns_per_frame(RATE, 33, 25), context_frames=5)
    assert mel.shape == (25, 27, 60) and np.isfinite(mel).all() and mel[0, :11] == pytest.approx(-1, abs=1e-6)
    windows = mfcc_windows(mfcc(waveform, RATE), 25, 25)
    assert windows.shape == (25, 28, 12) and np.isfinite(windows).all()
    sounding = np.abs(windows).sum(axis=2) > 1e-3
    assert sounding[0, :12].sum() == 0  # before the start, from 20 − 140 ms
    # The last frame's window reaches 140 ms past its middle, to 1.12 s.
    assert sounding[-1].sum() == max(0, min(28, round(np.ceil(seconds * 100)) - 84))
    assert (mfcc_windows(mfcc(np.zeros(len(waveform)), RATE), 25, 25) == 0).all() or seconds > 0


def test_clipped_sound_has_finite_features():
    square = np.clip(50 * np.sin(np.arange(RATE) * 0.05), -1, 1)
    assert np.isfinite(mfcc(square, RATE)).all() and np.isfinite(log_mel_steps(square, RATE, 40, 32, 20)).all()


def test_steps_are_centred_on_their_slots():
    waveform = np.zeros(16_000)
    waveform[16_000 * 410 // 1000] = 1  # the middle of slot 20 of 20 ms
    steps = log_mel_steps(waveform, 16_000, 40, 32, 20)
    assert steps.shape == (50, 40) and steps.mean(axis=1).argmax() == 20
    assert steps[[18, 22]] == pytest.approx(-1, abs=1e-6)
    assert log_mel_steps(np.zeros(0), RATE, 40, 32, 20).shape == (0, 40)


@pytest.mark.parametrize(("rate", "new"), [(44_100, 22_050), (22_050, 8_000), (8_000, 22_050), (22_050, 16_000)])
def test_resampling_keeps_a_tone_and_drops_what_the_new_rate_cannot_hold(rate, new):
    time = np.arange(rate) / rate
    tone = resample(np.sin(2 * np.pi * 440 * time), rate, new)
    assert tone.dtype == np.float32 and len(tone) == new
    middle = slice(new // 4, 3 * new // 4)
    assert tone[middle] == pytest.approx(np.sin(2 * np.pi * 440 * np.arange(new) / new)[middle], abs=1e-3)
    if new < rate:
        high = resample(np.sin(2 * np.pi * 0.49 * rate * time), rate, new)
        assert np.abs(high[middle]).max() < 1e-3
    assert resample(np.zeros(0), rate, new).shape == (0,)


@pytest.mark.parametrize(
    "feature",
    [lambda w: log_mel(w, RATE, 60, 33), lambda w: log_mel_steps(w, RATE, 40, 32, 20), lambda w: mfcc(w, RATE)],
)
def test_a_column_hears_what_is_about_it_whatever_comes_after(feature):
    """To the last bit, across the pieces in which long speech is worked on; but for a second that hears the cut's edge."""
    waveform = np.random.default_rng(0).normal(0, 0.1, SAMPLES + 2 * COLUMNS * 364).astype(np.float32)
    whole, columns_per_s = feature(waveform), len(feature(waveform[: 10 * RATE])) // 10
    for seconds in (3.3, 8.1):
        part = feature(waveform[: round(seconds * RATE)])
        sure = round((seconds - 1) * columns_per_s)
        assert part[:sure].tobytes() == whole[:sure].tobytes()


def test_long_speech_in_pieces_has_the_spectrum_of_the_whole():
    import librosa

    waveform = np.random.default_rng(0).normal(0, 0.1, 3 * COLUMNS * 364 + 100).astype(np.float32)
    power = librosa.feature.melspectrogram(
        y=waveform, sr=RATE, n_fft=728, hop_length=364, n_mels=60, center=True, pad_mode="constant"
    )
    np.testing.assert_allclose(
        log_mel(waveform, RATE, 60, 33), (10 * np.log10(np.maximum(power.T, 1e-8)) + 80) / 55 - 1, atol=1e-6
    )


@pytest.mark.parametrize("n", [1, SAMPLES, 3 * SAMPLES + 5])
def test_resampling_in_pieces_gives_the_samples_of_the_whole(n):
    import soxr

    waveform = np.random.default_rng(0).normal(0, 0.1, n).astype(np.float32)
    whole = soxr.resample(waveform, RATE, 16_000, quality="HQ")
    made = resample(waveform, RATE, 16_000)
    assert np.array_equal(made[: len(whole)], whole) and len(made) == -(-n * 16_000 // RATE)
    assert resample(waveform, RATE, RATE).tobytes() == waveform.tobytes()
