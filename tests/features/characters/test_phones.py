import numpy as np
import pocketsphinx
import pytest
from scipy.special import log_softmax

from pipeline.features.audio import resample
from pipeline.features.characters.phones import FRAMES, NATS, cepstra, phone_names, phone_scores, senone_scores
from pipeline.features.characters.steps import step_windows
from pipeline.video import read_audio

RATE = 16_000


def noise(seconds):
    return np.random.default_rng(0).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


def test_the_model_s_phones_are_cmudict_s_with_silence_and_noises():
    phones = phone_names()
    assert len(phones) == 42 and list(phones) == sorted(phones)
    assert {"SIL", "+NSN+", "+SPN+", "AA", "IY", "ZH", "NG"} <= set(phones)


def test_all_senones_are_scored_in_every_frame():
    (scores,) = senone_scores(cepstra([(noise(1) * 32767).astype(np.int16)]), 5126)
    assert scores.shape == (99, 5126)
    assert (scores.min(axis=1) == 0).all()  # distances from the best
    assert pytest.approx(0.1024, abs=1e-4) == NATS


def at_once(waveform, rate, folder):
    """The same scores by pocketsphinx's own way: the whole utterance in one call, from which it takes the mean itself."""
    model = pocketsphinx.get_model_path("en-us/en-us")
    allphone = pocketsphinx.get_model_path("en-us/en-us-phone.lm.bin")
    folder.mkdir()
    options = {"senlogdir": str(folder), "compallsen": True, "loglevel": "FATAL"}
    decoder = pocketsphinx.Decoder(hmm=model, allphone=allphone, dict=None, lm=None, **options)
    decoder.start_utt()
    decoder.process_raw(np.rint(resample(waveform, rate, RATE) * 32767).astype(np.int16).tobytes(), full_utt=True)
    decoder.end_utt()
    del decoder
    table = np.frombuffer(next(folder.iterdir()).read_bytes().partition(b"endhdr\n")[2][4:], "<i2").reshape(-1, 5127)
    best = -NATS * table[:, 1:127].reshape(-1, 42, 3).min(axis=2).astype(float)
    values = log_softmax(best, axis=1)
    return values[: len(values) // 2 * 2].reshape(-1, 2, 42).mean(axis=1).astype(np.float32)


@pytest.mark.parametrize(("seconds", "rate"), [(0.7, 16_000), (FRAMES / 100 + 2, 22_050)])
def test_pieces_give_the_bytes_that_the_whole_gives(seconds, rate, tmp_path):
    """Loud and soft in turn, so that a mean of a part would be another one."""
    rng = np.random.default_rng(1)
    loudness = 10 ** rng.uniform(-3, -0.7, 1 + int(3 * seconds)).repeat(-(-rate // 3))[: round(seconds * rate)]
    waveform = (loudness * rng.normal(0, 0.5, len(loudness))).clip(-1, 1).astype(np.float32)
    assert phone_scores(waveform, rate).values.tobytes() == at_once(waveform, rate, tmp_path / "log").tobytes()


def test_scores_are_log_probabilities_and_the_same_whatever_went_before():
    first = phone_scores(noise(1), RATE)
    phone_scores(0.01 * noise(0.5), RATE)
    again = phone_scores(noise(1), RATE)
    assert first.name == "phones" and first.values.shape == (49, 42) and first.values.dtype == np.float32
    assert np.array_equal(first.values, again.values)
    # Mean of two frames' logarithms: at most a probability.
    assert (np.exp(first.values).sum(axis=1) <= 1 + 1e-5).all() and (np.exp(first.values).sum(axis=1) > 0.3).all()


def test_silence_is_silence():
    silent = phone_scores(np.zeros(RATE, np.float32), RATE)
    sil = silent.symbols.index("SIL")
    assert len(silent.values) == 50 and (silent.values.argmax(axis=1) == sil).all() and silent.silence.argmax() == sil
    sound = np.concatenate([0.01 * noise(0.5), noise(0.5), 0.01 * noise(0.5), np.zeros(RATE, np.float32)])
    assert (phone_scores(sound, RATE).values[78:].argmax(axis=1) == sil).all()


def test_sound_is_heard_when_it_starts():
    """Noise begins after 0.8 s: phones change from silence there, within a step or two (differences look 40 ms ahead)."""
    scores = phone_scores(np.concatenate([0.001 * noise(0.8), noise(0.8), 0.001 * noise(0.8)]), RATE)
    loud = np.diff(scores.values, axis=0)
    changes = np.flatnonzero(np.linalg.norm(loud, axis=1) > 0.6 * np.linalg.norm(loud, axis=1).max())
    times = scores.first_s + (changes + 0.5) / 50
    assert np.abs(times[:, None] - [0.8, 1.6]).min(axis=1).max() < 0.06


@pytest.mark.parametrize("samples", [0, 1, 100, 1600, 15_999])
def test_short_and_empty_audio_has_a_window_per_frame_as_well(samples):
    windows = step_windows(phone_scores(noise(1)[:samples], RATE), 25, 25)
    assert windows.shape == (25, 16, 42) and np.isfinite(windows).all()


def test_clipped_sound_has_finite_scores():
    assert np.isfinite(phone_scores(np.clip(50 * noise(0.5), -1, 1), RATE).values).all()


def test_vowels_of_a_real_sentence_are_heard_as_vowels(real_clips):
    """GRID's s1 says "… two now": in `two` UW is among the likeliest, and the ends are silence."""
    video = real_clips.parent / "grid" / "s1" / "bbaf2n.mpg"
    alignment = real_clips.parent / "grid" / "align" / "s1" / "bbaf2n.align"
    if not alignment.exists():
        pytest.skip("no GRID corpus beside the clips")
    words = {
        word: (int(a) / 25_000, int(b) / 25_000) for a, b, word in map(str.split, alignment.read_text().splitlines())
    }
    scores = phone_scores(read_audio(video, 22_050), 22_050)
    times = scores.first_s + np.arange(len(scores.values)) / 50
    best = np.array(scores.symbols)[scores.values.argmax(axis=1)]
    start, end = words["two"]
    assert {"UW", "T"} & set(best[(times > start) & (times < end)])
    assert (best[times > words["now"][1] + 0.2] == "SIL").mean() > 0.6
