import os
import tracemalloc
import weakref
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from pipeline.errors import ClipRejected, UserError
from pipeline.video import AHEAD, is_silent, probe, read_audio, read_frames, stream_frames, write_video

# Sound and pictures of test clips in each container, as they are usual there.
CODECS = {
    ".mp4": ("libx264", "aac"),
    ".flv": ("libx264", "aac"),
    ".mkv": ("libx264", "pcm_s16le"),
    ".avi": ("mpeg4", "pcm_s16le"),
    ".mpg": ("mpeg2video", "mp2"),
}


def write_clip(
    path,
    pictures,
    times,
    sound=(),
    codecs=None,
    pix_fmt="yuv420p",
    options=None,
    interlaced=False,
    matrix=None,
    aspect=None,
    layout="mono",
    audio_rate=44_100,
    muxer=None,
):
    """Write a clip as a camera might, with FFmpeg's muxers: any timestamps, any codec.

    pictures: uint8 RGB; times: their timestamps in s. sound: [(time in s, float samples (channels, n))]. matrix: the display
    matrix's a, b, c, d. interlaced: mark the frames as two fields.
    """
    video_codec, audio_codec = codecs or CODECS[path.suffix]
    tick = Fraction(1, 90_000)
    negative = {"avoid_negative_ts": "disabled"} if path.suffix == ".mp4" else {}  # the others cannot hold such times
    with av.open(str(path), "w", format=muxer, options=negative) as out:
        rate = 1 / Fraction(times[1] - times[0]).limit_denominator(90_000) if len(times) > 1 else 25
        video = out.add_stream(video_codec, rate=rate.limit_denominator(1001) if len(times) > 1 else 25)
        video.height, video.width = pictures[0].shape[:2]
        video.pix_fmt, video.options = pix_fmt, {"threads": "1", **(options or {})}
        if video_codec not in (
            "mpeg4",
            "mpeg2video",
            "mpeg1video",
            "dvvideo",
            "flv",
        ):  # whose headers hold a plain rate
            video.codec_context.time_base = tick
        if interlaced:
            video.options |= {"flags": "+ildct+ilme"}
        if matrix:
            a, b, c, d = (v * 65536 for v in matrix)
            video.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        if aspect:
            video.codec_context.sample_aspect_ratio = aspect
        audio = out.add_stream(audio_codec, rate=audio_rate, layout=layout) if len(sound) else None
        packets = list(_frames(video, pictures, times, interlaced)) + list(_samples(audio, sound, layout, audio_rate))
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            out.mux(packet)
    return path


def _frames(stream, pictures, times, interlaced):
    marked = av.filter.Graph()
    if interlaced:
        height, width = pictures[0].shape[:2]
        source = marked.add_buffer(width=width, height=height, format=stream.pix_fmt, time_base=Fraction(1, 90_000))
        marked.link_nodes(source, marked.add("setfield", "tff"), marked.add("buffersink"))
        marked.configure()
    for picture, time in zip(pictures, times, strict=True):
        frame = av.VideoFrame.from_ndarray(picture, format="gray" if picture.ndim == 2 else "rgb24")
        frame = frame.reformat(format=stream.pix_fmt, threads=1)  # swscale's threads race at 10 bits
        frame.pts, frame.time_base = round(time * 90_000), Fraction(1, 90_000)
        if interlaced:
            marked.push(frame)
            frame = marked.vpull()
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _samples(stream, sound, layout, rate):
    if stream is None:
        return
    for time, samples in sound:
        samples = np.atleast_2d(samples).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, round(time * rate), Fraction(1, rate)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def outcome(call, *arguments):
    """The reason of the rejection, or None."""
    try:
        call(*arguments)
    except ClipRejected as problem:
        return problem.reason


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


def test_few_frames_wait_for_the_encoder(tmp_path):
    pictures, most = [], 0

    def drawn():
        nonlocal most
        for _ in range(60):
            picture = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
            pictures.append(weakref.ref(picture))
            most = max(most, sum(known() is not None for known in pictures))
            yield picture

    write_video(tmp_path / "clip.mp4", drawn(), 25)
    assert most <= AHEAD + 3


def test_what_the_encoder_stumbles_over_is_raised_where_frames_are_drawn(tmp_path):
    """A frame of float numbers among others: no video, and no more frames than those that waited."""
    drawn = []

    def pictures():
        for n in range(100):
            drawn.append(n)
            yield np.zeros((64, 64, 3), np.float32 if n == 5 else np.uint8)

    with pytest.raises(ValueError):
        write_video(tmp_path / "clip.mp4", pictures(), 25)
    assert len(drawn) <= 5 + AHEAD + 2 and not list(tmp_path.iterdir())


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


# Time.

FLASH = 1.2  # s


def flash_and_click(n, rate, size=(64, 96)):
    """Grey frames that turn white at FLASH for 0.2 s, and a click of 5 ms there: (pictures, times, samples at 44.1 kHz)."""
    return flash_at([Fraction(k) / Fraction(rate) for k in range(n)], size)


def flash_at(times, size=(64, 96)):
    start = min(t for t in times if t >= FLASH)
    pictures = [np.full((*size, 3), 235 if start <= t < start + 0.2 else 60, np.uint8) for t in times]
    clock = np.arange(int((times[-1] + 0.1) * 44_100)) / 44_100
    click = 0.8 * np.sin(2 * np.pi * 2000 * clock) * ((clock >= start) & (clock < start + 0.005))
    return pictures, times, click, float(start)


def assert_in_sync(path, start, fps=25):
    """Flash and click lie at `start`, within half a frame."""
    bright = read_frames(path, fps).mean(axis=(1, 2, 3)) > 150
    audio = np.abs(read_audio(path, 22_050))
    flash, click = bright.argmax() / fps, (audio > 0.5 * audio.max()).argmax() / 22_050
    assert abs(flash - click) <= 0.5 / fps + 0.001, (flash, click)
    assert abs(click - start) < 0.012 and abs(flash - start) <= 0.5 / fps + 1e-6  # MPEG-1 audio comes 11 ms late


@pytest.mark.parametrize("suffix", list(CODECS))
@pytest.mark.parametrize("rate", [25, Fraction(30_000, 1001), 30, 50])
def test_sound_and_picture_are_in_sync(tmp_path, rate, suffix):
    pictures, times, click, start = flash_and_click(int(2 * rate), rate)
    path = write_clip(tmp_path / f"clip{suffix}", pictures, times, [(0, click)])
    assert_in_sync(path, start)
    assert len(list(stream_frames(path, 25, grey=True))) == len(read_frames(path, 25)) == round(len(times) / rate * 25)


@pytest.mark.parametrize("suffix", [".mp4", ".flv", ".mkv"])
def test_our_own_clips_come_back_in_sync(tmp_path, suffix):
    """An FLV cannot tell of the 1024 samples that AAC puts before the first: its sound begins before its picture."""
    pictures, _, click, start = flash_and_click(50, 25)
    write_video(tmp_path / f"clip{suffix}", pictures, 25, click, 44_100)
    assert_in_sync(tmp_path / f"clip{suffix}", start)


@pytest.mark.parametrize("fps", [15, 25, 30])
def test_sync_at_a_variable_rate(tmp_path, fps):
    times = np.cumsum(np.random.default_rng(1).choice([1 / 60, 1 / 30, 1 / 25, 1 / 8], 60)) + 0.4
    pictures, times, click, start = flash_at([Fraction(t).limit_denominator(90_000) for t in times])
    path = write_clip(tmp_path / "clip.mkv", pictures, times, [(0, click)])
    assert_in_sync(path, start - float(times[0]), fps)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".flv", ".mpg"])
@pytest.mark.parametrize("offset", [-0.3, 0.3])
def test_sound_that_starts_before_or_after_the_picture(tmp_path, offset, suffix):
    pictures, times, click, start = flash_and_click(50, 25)
    late = 1 if suffix == ".mp4" else 5  # s; MP4 tells by an edit list, others by timestamps
    cut = click[round(0.3 * 44_100) :] if offset > 0 else np.concatenate([np.zeros(round(0.3 * 44_100)), click])
    path = write_clip(tmp_path / f"clip{suffix}", pictures, [late + t for t in times], [(late + offset, cut)])
    assert_in_sync(path, start)


def test_frames_before_the_edit_list_are_not_shown(tmp_path):
    """A cut without re-encoding keeps the frames from the last key frame on, at negative times that an edit list hides."""
    times = [Fraction(k - 20, 25) for k in range(55)]
    path = write_clip(tmp_path / "clip.mp4", shades(55), times)
    assert shown(read_frames(path, 25)).tolist() == list(range(20, 55))


def test_a_hole_in_the_sound_is_silence_and_an_overlap_is_not_heard_twice(tmp_path):
    pictures, times, click, start = flash_and_click(50, 25)
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(22_050) / 44_100)
    after = click[round(1.0 * 44_100) :]
    path = write_clip(tmp_path / "hole.mkv", pictures, times, [(0, tone), (1.0, after)])  # 0.5 … 1.0 s is missing
    assert_in_sync(path, start)
    heard = read_audio(path, 22_050)
    assert np.abs(heard[11_100:21_900]).max() < 1e-3 < 0.2 < np.abs(heard[:10_900]).max()
    pieces = [(0, tone), (0.4, click[round(0.4 * 44_100) :])]  # 0.4 … 0.5 s comes twice
    assert_in_sync(write_clip(tmp_path / "overlap.mkv", pictures, times, pieces), start)


def test_a_separate_sound_file_starts_at_its_own_zero(tmp_path):
    click = np.zeros(32_000)
    click[16_000:16_040] = 0.8
    soundfile.write(tmp_path / "clip.wav", click, 16_000)
    audio = read_audio(tmp_path / "clip.wav", 22_050)
    assert len(audio) == pytest.approx(44_100, abs=40)
    assert np.abs(audio).argmax() == pytest.approx(22_050, abs=60)


def write_tracks(path, *tracks):
    """A sound file with a track for each array of samples."""
    with av.open(str(path), "w") as out:
        streams = [out.add_stream("pcm_s16le", rate=22_050, layout="mono") for _ in tracks]
        for stream, samples in zip(streams, tracks, strict=True):
            for packet in _samples(stream, [(0, samples)], "mono", 22_050):
                out.mux(packet)
    return path


def test_of_two_tracks_the_one_that_is_not_silent_is_heard(tmp_path):
    silence, tone = np.zeros(22_050), 0.5 * np.sin(np.arange(22_050) * 0.1)
    for name, tracks in {"second": (silence, tone), "first": (tone, silence), "both": (tone, -tone / 2)}.items():
        path = write_tracks(tmp_path / f"{name}.mkv", *tracks)
        np.testing.assert_allclose(read_audio(path, 22_050), tone, atol=1e-4)
        assert not is_silent(path)
    path = write_tracks(tmp_path / "neither.mkv", silence, silence)
    assert is_silent(path) and not read_audio(path, 22_050).any()


def test_one_sample_ends_the_silence(tmp_path):
    samples = np.zeros(22_050)
    assert is_silent(write_tracks(tmp_path / "silence.mkv", samples))
    samples[-1] = 1 / 32768
    assert not is_silent(write_tracks(tmp_path / "sound.mkv", samples))


def retime(path, change):
    """Rewrite the timestamps of an FLV's video tags: change(number of the tag, ms) → ms."""
    content, at, n = bytearray(path.read_bytes()), 13, 0
    while at + 11 < len(content):
        size = int.from_bytes(content[at + 1 : at + 4], "big")
        if content[at] == 9:
            ms = change(n, int.from_bytes(content[at + 4 : at + 7], "big") | content[at + 7] << 24)
            content[at + 4 : at + 7], content[at + 7] = (ms & 0xFFFFFF).to_bytes(3, "big"), ms >> 24
            n += 1
        at += 11 + size + 4
    path.write_bytes(content)


def plain_flv(path, n=50):
    return write_clip(path, shades(n), [Fraction(k, 25) for k in range(n)], codecs=("flv", None))


def test_a_pause_holds_its_frame(tmp_path):
    path = plain_flv(tmp_path / "clip.flv")
    retime(path, lambda n, ms: ms + 2000 * (n >= 30))
    expected = [*range(30), *[29] * 50, *range(30, 50)]
    assert shown(read_frames(path, 25)).tolist() == expected


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda n, ms: ms + 5 * 3_600_000 * (n >= 30), "timestamps"),
        (lambda n, ms: ms + 2**30 * (n >= 2), "timestamps"),
        (lambda n, ms: ms * 225, "timestamps"),
        (lambda n, ms: ms - 1100 * (n >= 30), "timestamps"),
        (lambda n, ms: ms - 30 * (n % 7 == 3), None),
    ],
    ids=["hours", "weeks", "a frame in nine seconds", "back", "jitter"],
)
def test_damaged_timestamps_do_not_make_frames_without_end(tmp_path, change, reason):
    path = plain_flv(tmp_path / "clip.flv")
    retime(path, change)
    made = []
    assert outcome(lambda: made.extend(stream_frames(path, 25, grey=True))) == reason
    assert len(made) <= 50 + 25 * 20


def test_frames_without_timestamps_follow_each_other(tmp_path):
    path = write_clip(
        tmp_path / "clip.h264", shades(30), [Fraction(k, 25) for k in range(30)], codecs=("libx264", None)
    )
    assert shown(read_frames(path, 25)).tolist() == list(range(30))


def test_a_clip_of_one_frame(tmp_path):
    for suffix in CODECS:
        path = write_clip(tmp_path / f"clip{suffix}", shades(1), [0])
        assert shown(read_frames(path, 25)).tolist() == [0]


def test_a_long_clip_is_never_held_whole(tmp_path):
    path = tmp_path / "clip.mp4"
    write_video(path, (picture for _ in range(20) for picture in shades(20)), 25)
    tracemalloc.start()
    n = sum(1 for _ in stream_frames(path, 25))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n == 400 and peak < 10 * 64 * 64 * 3 + 200_000


# Pictures.


def marked(height=48, width=64, matrix=()):
    """A grey picture with one white corner, top left."""
    picture = np.full((height, width, 3), 80, np.uint8)
    picture[: height // 4, : width // 4] = 235
    return picture


def white_corner(image):
    height, width = (size // 5 for size in image.shape[:2])
    corners = {
        "top left": image[:height, :width],
        "top right": image[:height, -width:],
        "bottom left": image[-height:, :width],
        "bottom right": image[-height:, -width:],
    }
    return max(corners, key=lambda corner: corners[corner].mean())


# (x, y) → (a·x + c·y, b·x + d·y), y downwards. A quarter turn clockwise brings right (1, 0) down to (0, 1).
@pytest.mark.parametrize(
    ("matrix", "shape", "corner"),
    [
        ((1, 0, 0, 1), (48, 64), "top left"),
        ((0, 1, -1, 0), (64, 48), "top right"),  # 90° clockwise, as phones held upright write
        ((-1, 0, 0, -1), (48, 64), "bottom right"),
        ((0, -1, 1, 0), (64, 48), "bottom left"),
        ((-1, 0, 0, 1), (48, 64), "top right"),  # mirrored
        ((1, 0, 0, -1), (48, 64), "bottom left"),
        ((0, 1, 1, 0), (64, 48), "top left"),  # transposed
    ],
)
def test_rotation_and_mirroring_by_the_container(tmp_path, matrix, shape, corner):
    path = write_clip(tmp_path / "clip.mp4", [marked()] * 5, [Fraction(k, 25) for k in range(5)], matrix=matrix)
    frames, grey = read_frames(path, 25), np.stack(list(stream_frames(path, 25, grey=True)))
    assert frames.shape == (5, *shape, 3) and grey.shape == (5, *shape)
    assert white_corner(frames[0]) == white_corner(grey[0]) == corner
    info = probe(path)
    assert (info.height, info.width) == shape


@pytest.mark.parametrize(("suffix", "aspect", "width"), [(".mp4", Fraction(3, 2), 96), (".mkv", Fraction(8, 9), 56)])
def test_pixels_become_square(tmp_path, suffix, aspect, width):
    """A square stays one: half of the picture's width is white before and after."""
    picture = np.full((64, 64, 3), 16, np.uint8)
    picture[:, :32] = 235
    path = write_clip(tmp_path / f"clip{suffix}", [picture] * 3, [Fraction(k, 25) for k in range(3)], aspect=aspect)
    frames = read_frames(path, 25)
    assert frames.shape == (3, 64, width, 3) and probe(path).width == frames.shape[2]
    assert (frames[0, 32, :, 0] > 128).mean() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("suffix", [".mpg", ".avi", ".mp4"])
def test_interlaced_video_has_no_comb(tmp_path, suffix):
    """A bar that moves 6 px from field to field: its edge differs from line to line until the fields are taken apart."""
    pictures = []
    for k in range(40):
        picture = np.full((96, 160, 3), 40, np.uint8)
        for field in (0, 1):
            left = 4 + (6 * (2 * k + field)) % 120
            picture[field::2, left : left + 30] = 220
        pictures.append(picture)
    times = [Fraction(k, 25) for k in range(40)]
    codecs = ("mpeg2video", None) if suffix == ".mpg" else ("mpeg4", None)
    path = write_clip(tmp_path / f"clip{suffix}", pictures, times, codecs=codecs, interlaced=True, options={"b": "4M"})
    frames = read_frames(path, 25).mean(axis=-1)
    assert len(frames) == 40

    def comb(images):
        return np.abs(images[:, 1:-1] - (images[:, 2:] + images[:, :-2]) / 2)[:, 8:-8].mean()

    assert comb(np.stack(pictures).mean(axis=-1)) > 10 > 3 > comb(frames)
    edges = [(frame[48] > 130).argmax() for frame in frames]
    expected = [4 + 12 * k % 120 for k in range(40)]
    assert np.median(np.abs(np.array(edges) - expected)) <= 6  # each at its own field's moment


def test_interlaced_video_is_in_sync(tmp_path):
    pictures, times, click, start = flash_and_click(50, 25)
    path = write_clip(tmp_path / "clip.mpg", pictures, times, [(0, click)], interlaced=True)
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).interlaced_frame
    assert_in_sync(path, start)


@pytest.mark.parametrize(
    ("pix_fmt", "size"),
    [("gray", (64, 64)), ("yuv422p", (64, 66)), ("yuv420p10le", (50, 70)), ("yuv444p", (49, 65)), ("bgr0", (33, 41))],
)
def test_every_pixel_format_comes_as_rgb_and_as_grey(tmp_path, pix_fmt, size):
    ramp = np.tile(np.linspace(0, 255, size[1]).astype(np.uint8), (size[0], 1))
    times = [Fraction(k, 25) for k in range(3)]
    picture = np.repeat(ramp[..., None], 3, axis=2)
    path = write_clip(tmp_path / "clip.mkv", [picture] * 3, times, codecs=("ffv1", None), pix_fmt=pix_fmt)
    for frames in (read_frames(path, 25).mean(axis=-1), np.stack(list(stream_frames(path, 25, grey=True)))):
        assert frames.shape == (3, *size)
        assert np.abs(frames - ramp.astype(float)).max() <= 3  # the whole range, whatever the codec's


def test_grey_is_the_luma_of_rgb(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (8, 8, 3)).astype(np.uint8)
    picture = noise.repeat(8, axis=0).repeat(8, axis=1)
    write_video(tmp_path / "clip.mp4", [picture] * 3, 25, crf=1)
    luma = picture @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
    grey = next(stream_frames(tmp_path / "clip.mp4", 25, grey=True))
    assert grey.dtype == np.uint8 and np.abs(grey[2::8, 2::8] - luma[2::8, 2::8]).max() <= 4


@pytest.mark.parametrize(("matrix", "tag"), [("ITU601", "smpte170m"), ("ITU709", "bt709")])
def test_colours_follow_the_matrix_that_the_stream_names(tmp_path, matrix, tag):
    colours = np.array([[200, 60, 50], [40, 190, 70], [50, 60, 200], [180, 180, 60]], np.uint8)
    picture = np.repeat(np.repeat(colours[None], 64, axis=0), 16, axis=1)
    with av.open(str(tmp_path / "clip.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "1", "x264-params": f"colormatrix={tag}"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv444p"
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        out.mux(stream.encode(frame.reformat(format="yuv444p", dst_colorspace=matrix)))
        out.mux(stream.encode(None))
    seen = read_frames(tmp_path / "clip.mp4", 25)[0][:, 8::16].astype(int)
    assert np.abs(seen - colours).max() <= 4


def joined(path, *sizes):
    """An MPEG transport stream whose frame size changes midway, as broadcasts' do."""
    content = b""
    for k, (height, width) in enumerate(sizes):
        times = [Fraction(25 * k + n, 25) + 1 for n in range(25)]
        part = path.with_suffix(f".{k}.ts")
        write_clip(part, [marked(height, width)] * 25, times, codecs=("mpeg2video", None), muxer="mpegts")
        content += part.read_bytes()
    path.write_bytes(content)
    return path


def test_frames_of_another_size_come_in_the_first_ones(tmp_path):
    frames = read_frames(joined(tmp_path / "clip.ts", (48, 64), (96, 128)), 25)
    assert frames.shape == (50, 48, 64, 3)
    assert {white_corner(frame) for frame in frames} == {"top left"}
    assert np.abs(frames[10].astype(int) - frames[40]).mean() < 6


def test_frames_of_another_shape_are_rejected(tmp_path):
    with pytest.raises(ClipRejected, match=r"size_changed.*64×48 to 48×64"):
        read_frames(joined(tmp_path / "clip.ts", (48, 64), (64, 48)), 25)


# Damage.


def zero_frames(path, numbers):
    """Overwrite the compressed data of some frames by zeros."""
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    content, spans, end = bytearray(path.read_bytes()), [], 0
    for packet in packets:
        start = content.index(packet, end)
        spans.append(slice(start, end := start + len(packet)))
    for n in numbers:
        content[spans[n]] = bytes(len(packets[n]))
    path.write_bytes(content)


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "libx264"), (".mkv", "mjpeg"), (".avi", "mjpeg")])
def test_a_damaged_frame_is_stood_in_for_by_the_one_before(tmp_path, suffix, codec):
    times = [Fraction(k, 25) for k in range(50)]
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    options = {} if codec == "mjpeg" else {"g": "1"}
    path = tmp_path / f"clip{suffix}"
    write_clip(path, shades(50), times, codecs=(codec, None), pix_fmt=pix_fmt, options=options)
    zero_frames(path, [10, 11, 30])
    expected = np.arange(50)
    expected[[10, 11]], expected[30] = 9, 29
    assert shown(read_frames(path, 25)).tolist() == expected.tolist()
    zero_frames(path, range(20, 26))
    with pytest.raises(ClipRejected, match=r"corrupted.*9 of 50"):
        read_frames(path, 25)


@pytest.mark.parametrize("suffix", [".mp4", ".flv", ".mkv", ".avi"])
def test_half_a_file_is_truncated(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (60, 64, 64, 3)).astype(np.uint8)
    times = [Fraction(k, 25) for k in range(60)]
    path = write_clip(tmp_path / f"clip{suffix}", noise, times, [(0, np.zeros(105_840))])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert outcome(read_frames, path, 25) == "truncated"


@pytest.mark.parametrize("suffix", list(CODECS))
def test_sound_that_outlasts_the_picture_is_no_truncation(tmp_path, suffix):
    path = write_clip(
        tmp_path / f"clip{suffix}", shades(25), [Fraction(k, 25) for k in range(25)], [(0, np.zeros(132_300))]
    )
    assert len(read_frames(path, 25)) == 25


@pytest.mark.parametrize("size", ["W65000 H65000", "W2000000000 H3", "W-5 H5", "W0 H0"])
def test_absurd_sizes_are_refused_before_memory_is_asked_for(tmp_path, size):
    (tmp_path / "clip.mp4").write_bytes(f"YUV4MPEG2 {size} F25:1 Ip C420\nFRAME\n".encode() + bytes(10_000))
    for read in (probe, lambda path: read_frames(path, 25)):
        assert outcome(read, tmp_path / "clip.mp4") in {"too_large", "unreadable"}


# Sound.


@pytest.mark.parametrize(
    ("subtype", "step"), [("PCM_U8", 1 / 128), ("PCM_16", 1 / 32768), ("PCM_24", 1e-6), ("FLOAT", 1e-6)]
)
def test_samples_keep_their_scale(tmp_path, subtype, step):
    tone = 0.7 * np.sin(2 * np.pi * 440 * np.arange(22_050) / 22_050)
    soundfile.write(tmp_path / "clip.wav", np.stack([tone, tone], 1), 22_050, subtype)
    audio = read_audio(tmp_path / "clip.wav", 22_050)
    assert audio.dtype == np.float32
    np.testing.assert_allclose(audio, tone, atol=1.1 * step)


def test_clipping_and_missing_numbers_stay_within_full_scale(tmp_path):
    samples = 5 * np.sign(np.sin(2 * np.pi * 300 * np.arange(16_000) / 16_000))
    samples[[100, 200, 300]] = np.nan, np.inf, -np.inf
    soundfile.write(tmp_path / "clip.wav", samples, 16_000, "FLOAT")
    audio = read_audio(tmp_path / "clip.wav", 22_050)
    assert len(audio) > 20_000 and np.isfinite(audio).all() and np.abs(audio).max() == 1


# Names and files that are none.

NAMES = [
    "a clip.mp4",
    'it\'s "one".mp4',
    "two\nlines.mp4",
    "%03d.mp4",
    "file:clip.mp4",
    "concat:a|b.mp4",
    "http:clip.mp4",
    "subfile,,start,9,end,99,,:clip.mp4",
    "-i.mp4",
    "[1-3]*?.mp4",
    "glück.mp4",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_a_plain_file(tmp_path, monkeypatch, name):
    write_clip(tmp_path / "plain.mp4", shades(3), [Fraction(k, 25) for k in range(3)], [(0, np.full(9000, 0.1))])
    os.rename(tmp_path / "plain.mp4", tmp_path / name)
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path / "folder")
    for path in (tmp_path / name, Path("..", name)):
        assert len(read_frames(path, 25)) == 3 and len(read_audio(path, 22_050)) and probe(path).fps == 25


@pytest.mark.parametrize(
    "content",
    [
        "ffconcat version 1.0\nfile real.mp4\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nreal.mp4\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static'></MPD>",
        "A text about something else.\n" * 100,
    ],
    ids=["concat", "hls", "sdp", "dash", "text"],
)
def test_a_playlist_under_a_videos_name_reads_no_other_file(tmp_path, content):
    write_clip(tmp_path / "real.mp4", shades(3), [Fraction(k, 25) for k in range(3)], [(0, np.full(9000, 0.1))])
    (tmp_path / "list.mp4").write_text(content)
    for read in (probe, lambda path: read_frames(path, 25), lambda path: read_audio(path, 22_050)):
        with pytest.raises(ClipRejected, match=r"unreadable: .*list\.mp4: not in a known container"):
            read(tmp_path / "list.mp4")


def test_what_is_no_readable_file_is_said(tmp_path, monkeypatch):
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")  # opening it would wait for ever
    for name in ("folder.mp4", "pipe.mp4"):
        with pytest.raises(ClipRejected, match=r"unreadable.*is not a file"):
            probe(tmp_path / name)
    (tmp_path / "link.mp4").symlink_to(tmp_path / "nowhere.mp4")
    assert outcome(probe, tmp_path / "link.mp4") == "missing"

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "clip.mp4").write_bytes(b"x")
    monkeypatch.setattr(Path, "open", refuse)  # whoever runs the tests may be allowed everything
    with pytest.raises(ClipRejected, match=r"unreadable: .*clip\.mp4: Permission denied"):
        probe(tmp_path / "clip.mp4")


def test_the_cover_of_a_sound_file_is_no_video(tmp_path):
    with av.open(str(tmp_path / "song.mp3"), "w") as out:
        sound = out.add_stream("libmp3lame", rate=44_100, layout="mono")
        cover = out.add_stream("mjpeg", rate=25)
        cover.width = cover.height = 64
        cover.pix_fmt, cover.disposition = "yuvj420p", av.stream.Disposition.attached_pic
        out.mux(cover.encode(av.VideoFrame.from_ndarray(marked(64), format="rgb24").reformat(format="yuvj420p")))
        for packet in _samples(sound, [(0, np.full(44_100, 0.1))], "mono", 44_100):
            out.mux(packet)
    assert outcome(probe, tmp_path / "song.mp3") == outcome(read_frames, tmp_path / "song.mp3", 25) == "no_video"
    assert len(read_audio(tmp_path / "song.mp3", 22_050)) == pytest.approx(22_050, abs=1200)
