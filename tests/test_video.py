from fractions import Fraction

import av
import numpy as np
import pytest

from pipeline.errors import ClipRejected, UserError
from pipeline.video import probe, read_audio, read_frames, write_video


def shades(n, size=64):
    """Frames whose brightness tells their number."""
    return [np.full((size, size, 3), 20 + 4 * k, np.uint8) for k in range(n)]


def shown(frames):
    return np.rint((frames.mean(axis=(1, 2, 3)) - 20) / 4).astype(int)


@pytest.mark.parametrize("suffix", [".mp4", ".flv", ".mkv"])
def test_frames_and_sound_come_back(tmp_path, suffix):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(44_100) / 22_050)
    path = tmp_path / f"clip{suffix}"
    write_video(path, shades(50), 25, tone)
    assert shown(read_frames(path, 25)).tolist() == list(range(50))
    audio = read_audio(path, 22_050)
    assert abs(len(audio) - 44_100) < 2200
    spectrum = np.abs(np.fft.rfft(audio[4000:26050]))
    assert spectrum.argmax() == pytest.approx(440, abs=2)
    info = probe(path)
    assert (info.fps, info.width, info.height, info.sample_rate) == (25, 64, 64, 22_050)
    assert info.duration_s == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("rate", [12.5, 30, 50])
def test_other_rates_are_resampled_by_time(tmp_path, rate):
    """Frame k on the 25 fps clock shows what was shown at (k + ½)/25 s."""
    write_video(tmp_path / "clip.mp4", shades(50), rate)
    frames = shown(read_frames(tmp_path / "clip.mp4", 25))
    assert len(frames) == round(50 / rate * 25)
    expected = np.floor((np.arange(len(frames)) + 0.5) / 25 * rate + 1e-6)
    np.testing.assert_array_equal(frames, expected)


def test_a_variable_rate_is_not_assumed_constant(tmp_path):
    times = [0, 40, 80, 400, 440]  # ms: the third picture stands for 320 ms
    with av.open(str(tmp_path / "clip.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=1000)
        stream.width = stream.height = 64
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, 1000)
        for picture, ms in zip(shades(5), times, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = ms
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert shown(read_frames(tmp_path / "clip.mp4", 25))[:11].tolist() == [0, 1, *[2] * 8, 3]


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    def breaking():
        yield from shades(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(tmp_path / "clip.mp4", breaking(), 25)
    assert not list(tmp_path.iterdir())


def test_equal_frames_give_equal_files(tmp_path):
    noise = np.random.default_rng(0).integers(0, 60, (20, 72, 90, 3)).astype(np.uint8)
    for name in "ab":
        write_video(tmp_path / f"{name}.mp4", noise, 25, np.zeros(17_640))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_provenance_stands_in_the_container(tmp_path):
    write_video(tmp_path / "clip.mp4", shades(5), 25, metadata={"comment": "synthetic", "synthetic": "true"})
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert container.metadata["comment"] == "synthetic" and container.metadata["synthetic"] == "true"


def spoil(path, kind):
    content = path.read_bytes()
    path.write_bytes(
        {"empty_file": b"", "unreadable": b"not a video" * 50, "truncated": content[: len(content) // 2]}[kind]
    )


@pytest.mark.parametrize("kind", ["empty_file", "unreadable", "truncated"])
def test_broken_files_are_rejected_with_their_reason(tmp_path, kind):
    noise = np.random.default_rng(0).integers(0, 255, (60, 64, 64, 3)).astype(np.uint8)
    write_video(tmp_path / "clip.flv", noise, 25)
    spoil(tmp_path / "clip.flv", kind)
    with pytest.raises(ClipRejected) as rejection:
        read_frames(tmp_path / "clip.flv", 25)
    assert rejection.value.reason == kind and "clip.flv" in rejection.value.detail


def test_what_is_missing_is_named(tmp_path):
    write_video(tmp_path / "silent.mp4", shades(5), 25)
    with pytest.raises(ClipRejected, match="no_audio"):
        read_audio(tmp_path / "silent.mp4", 22_050)
    with pytest.raises(ClipRejected, match="missing"):
        probe(tmp_path / "nowhere.mp4")
    (tmp_path / "pointer.mp4").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(ClipRejected, match="lfs_pointer"):
        probe(tmp_path / "pointer.mp4")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="could not be written"):
        write_video(tmp_path / "file" / "clip.mp4", shades(2), 25)
