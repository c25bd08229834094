"""Speech as people have it: how files are mixed to what is heard, and what is said of those that are hardly speech."""

import av
import numpy as np
import pytest
import soundfile

from pipeline.errors import UserError
from pipeline.speech import read_speech
from pipeline.video import is_silent, read_audio, write_video

RATE = 22_050
TIME = np.arange(2 * RATE) / RATE


def voice(seconds=2.0):
    """Something with a voice's pitch and its syllables: four in a second."""
    time = np.arange(int(seconds * RATE)) / RATE
    buzz = sum(np.sin(2 * np.pi * 120 * h * time) / h for h in range(1, 20))
    return 0.15 * buzz * (0.02 + np.abs(np.sin(2 * np.pi * 2 * time)))


def channels(path, samples, layout, codec="pcm_s16le"):
    """A file of float samples (channels, n) in a layout of FFmpeg's."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=RATE, layout=layout)
        packed = np.ascontiguousarray(np.transpose(samples).reshape(1, -1), np.float32)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
        frame.sample_rate = RATE
        for part in (frame, None):
            for resampled in av.AudioResampler(stream.format.name, layout, RATE).resample(part) if part else ():
                out.mux(stream.encode(resampled))
        out.mux(stream.encode(None))
    return path


def loudness(samples):
    return 10 * np.log10(np.mean(np.square(samples)))


@pytest.mark.parametrize(
    ("right", "heard"),
    [(1.0, 1.0), (-1.0, 1.0), (-0.9, 1.0), (0.0, 0.5), (0.5, 0.75)],
    ids=["equal", "opposite", "nearly opposite", "one alone", "panned"],
)
def test_two_channels_are_not_mixed_to_silence(tmp_path, right, heard):
    path = channels(tmp_path / "speech.wav", [voice(), right * voice()], "stereo")
    np.testing.assert_allclose(read_audio(path, RATE), heard * voice(), atol=1e-3)
    assert not is_silent(path)


@pytest.mark.parametrize(
    ("layout", "name", "codec"),
    [
        ("5.1", "film.wav", "pcm_s16le"),
        ("5.1", "film.mkv", "pcm_s16le"),  # in which channels have no names
        ("7.1", "film.wav", "pcm_s16le"),
        ("3.0", "film.wav", "pcm_s16le"),
        ("5.1", "film.mkv", "aac"),
        ("7.1", "film.mkv", "aac"),  # eight planes
    ],
)
def test_surrounds_centre_keeps_its_loudness(tmp_path, layout, name, codec):
    noise = np.random.default_rng(0).standard_normal((av.AudioLayout(layout).nb_channels, len(TIME))) * 0.03
    noise[2] = voice()  # left, right, centre …
    heard = read_audio(channels(tmp_path / name, noise, layout, codec), RATE)
    assert loudness(heard) == pytest.approx(loudness(voice()), abs=0.3)
    if codec != "aac":
        np.testing.assert_allclose(heard, voice(), atol=1e-3)


def test_surround_without_a_centre_is_its_front_pair(tmp_path):
    samples = np.random.default_rng(0).standard_normal((6, len(TIME))) * 0.03
    samples[:2], samples[2] = voice(), 0
    np.testing.assert_allclose(read_audio(channels(tmp_path / "film.mkv", samples, "5.1"), RATE), voice(), atol=1e-3)


@pytest.mark.parametrize(("scale", "most"), [(2**15, 1.0), (2**23, 1.0), (2**31, 1.0), (1, 1.0), (4, 1.0)])
@pytest.mark.parametrize("kind", ["FLOAT", "DOUBLE"])
def test_floats_in_the_scale_of_whole_numbers_are_scaled(tmp_path, scale, most, kind):
    loud = voice() / np.abs(voice()).max() * 0.9
    soundfile.write(tmp_path / "speech.wav", loud * scale, RATE, kind)
    expected = np.clip(loud * scale, -1, 1) if scale < 16 else loud
    np.testing.assert_allclose(read_audio(tmp_path / "speech.wav", RATE), expected, atol=1e-3)


@pytest.mark.parametrize("kind", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "ULAW"])
@pytest.mark.parametrize("rate", [8_000, 44_100, 192_000])
def test_every_depth_and_rate_is_as_loud(tmp_path, kind, rate):
    tone = 0.5 * np.sin(2 * np.pi * 300 * np.arange(rate) / rate)
    soundfile.write(tmp_path / "tone.wav", np.column_stack([tone, tone]), rate, kind)
    heard = read_audio(tmp_path / "tone.wav", RATE)
    assert len(heard) == pytest.approx(RATE, abs=20)
    assert loudness(heard) == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.2)


def test_clean_speech_is_read_without_a_word(tmp_path):
    soundfile.write(tmp_path / "speech.wav", voice(), RATE)
    waveform, notes = read_speech(tmp_path / "speech.wav", RATE)
    assert waveform.dtype == np.float32 and waveform.shape == (2 * RATE,) and notes == []


CHORD = sum(np.sin(2 * np.pi * f * TIME) for f in (220, 277, 330)) / 4


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (voice() * 1e-2, "very quiet, its loudest sample at -51 dB"),
        (np.clip(voice() * 10, -1, 1), "too loud when it was recorded"),
        (np.random.default_rng(0).standard_normal(len(TIME)) * 0.1, "hardly any voice is heard"),
        (CHORD, "as even as music or a hum"),
    ],
    ids=["quiet", "clipped", "noise", "music"],
)
def test_what_is_hardly_speech_is_said(tmp_path, samples, words):
    soundfile.write(tmp_path / "speech.wav", samples, RATE)
    _, notes = read_speech(tmp_path / "speech.wav", RATE)
    assert len(notes) == 1 and notes[0].startswith(f"{tmp_path / 'speech.wav'}: {words}")


@pytest.mark.parametrize("seconds", [0.001, 0.05])
def test_a_moment_of_sound_is_judged_as_well(tmp_path, seconds):
    soundfile.write(tmp_path / "speech.wav", voice(1)[5000 : 5000 + int(seconds * RATE)], RATE)
    assert len(read_speech(tmp_path / "speech.wav", RATE)[0]) == int(seconds * RATE)


def test_a_minute_of_silence_before_it_is_no_doubt(tmp_path):
    soundfile.write(tmp_path / "speech.wav", np.concatenate([np.zeros(61 * RATE), voice()]), RATE)
    assert read_speech(tmp_path / "speech.wav", RATE)[1] == []


def nothing(path):
    soundfile.write(path, np.zeros(0), RATE)


def silence(path):
    soundfile.write(path, np.zeros(RATE), RATE)


def silent_film(path):
    write_video(path.with_suffix(".mp4"), [np.zeros((64, 64, 3), np.uint8)] * 5, 25)
    path.with_suffix(".mp4").rename(path)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (nothing, "its audio stream holds no samples"),
        (silence, "is silent from beginning to end; was the microphone muted?"),
        (silent_film, "has no audio stream"),
        (lambda path: path.write_text("This is a letter."), "not in a known container of video or audio"),
        (lambda path: path.touch(), "has zero bytes"),
        (
            lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid"),
            "is a git-lfs pointer: run `git lfs pull`",
        ),
        (lambda path: path.mkdir(), "is not a file"),
        (lambda path: None, "does not exist"),
    ],
    ids=["0 s", "silence", "silent film", "text", "empty", "lfs", "folder", "missing"],
)
def test_what_has_no_speech_is_one_line(tmp_path, make, words):
    make(tmp_path / "speech.wav")
    with pytest.raises(UserError, match=rf"speech\.wav:? {words}") as refused:
        read_speech(tmp_path / "speech.wav", RATE)
    assert "\n" not in str(refused.value)


def test_real_speech_is_not_doubted(real_clips):
    """Two files with noise added among them, and those of five corpora."""
    for path in sorted((real_clips / "speech").iterdir()):
        assert read_speech(path, RATE)[1] == []
