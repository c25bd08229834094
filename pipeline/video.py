"""Reading and writing video and audio with PyAV: frames by timestamp, speech as float samples, MP4 with sound.

Both readers share one clock, whose zero is the moment of the first video frame shown. What cannot be read is a ClipRejected:

missing, empty_file, lfs_pointer   no such file; no bytes; a stand-in of git-lfs (see `check_file`)
unreadable     no regular file, no permission, no known container, no decoder, or not one frame can be decoded
no_video, no_audio                 the container holds no such stream
truncated      less than 0.9 of the length that the header states can be read
corrupted      more than MAX_BROKEN of the frames are damaged
timestamps     a jump ahead beyond MAX_HOLE_S (sound: MAX_SILENCE_S), one back beyond MAX_BACK_S (sound: MAX_HOLE_S), or less
               than a frame a second in the mean
too_large      more than MAX_PIXELS in a frame
size_changed   the frames' shape changes midway
"""

import contextlib
import errno
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from pipeline.errors import ClipRejected, UserError
from pipeline.files import check_file

# Containers that hold their own data. FFmpeg knows others that name files or addresses to read (concat, hls, dash, sdp, image
# sequences), and finds out which one it has by the content, whatever the file is called.
CONTAINERS = (
    "3gp,aac,ac3,aiff,asf,au,avi,caf,dv,eac3,flac,flv,gif,h264,hevc,ivf,kux,live_flv,m4v,matroska,mjpeg,mov,mp3,mp4,mpeg,"
    "mpegts,mpegvideo,mxf,nistsphere,nut,obu,ogg,rm,w64,wav,webm,wv,yuv4mpegpipe"
)
TIMEOUT_S = 60.0  # for the header, and again for each packet: a damaged index may send the reader round the whole file
MAX_PIXELS = 8192 * 4608  # 8K video has 7680 × 4320; a damaged header may state any size, and memory follows
MAX_BROKEN = 0.1  # share of the frames; GRID has clips with a single damaged spot, which are worth keeping
MAX_HOLE_S = 10.0  # a recording may pause; hours between two frames are a damaged timestamp
MAX_SILENCE_S = 60.0  # the same for sound, which some recorders leave out while the microphone is muted
MAX_BACK_S = 0.5  # jitter and reordering; further back, sound and picture no longer belong together
AUDIO_GAP_S = 0.02  # half a frame at 25 fps; containers round timestamps to 1 ms at the worst
LEAST_SAMPLE = 1 / 32768  # of 16 bits; decoders of compressed silence may leave less
# Full scale of float samples is 1. Recordings go beyond it by a few decibels; what goes beyond this, by 24, was written in the
# scale of whole numbers of 16, 24 or 32 bits.
MOST_FLOAT, WHOLE_NUMBERS = 16, (2.0**15, 2.0**23, 2.0**31)
# Energy of two channels' mean over the mean of theirs: 1 where they are equal, ½ where they have nothing in common.
OPPOSITE = 0.1
UNNAMED = {"6 channels": "5.1", "8 channels": "7.1"}
CENTRE = 0.01  # energy of the centre over the front pair's, from which on the centre is what speaks: -20 dB
SAMPLE_RATES = (4_000, 768_000)
ASPECTS = (Fraction(1, 4), Fraction(4))  # of a pixel; beyond, the header is damaged, and pixels are taken as square
AHEAD = 8  # frames that wait for the encoder, at most
RATES = (1, 240)  # plausible frames per second; else the measured mean counts, and `probe` says 0

# What PyAV raises on damaged data: FFmpeg's own errors, text that is no UTF-8, fractions with a zero below.
_FAULTS = (av.FFmpegError, OSError, ValueError, ArithmeticError, MemoryError)


class StreamInfo(NamedTuple):
    """What a container says of itself, its frames as they are shown; `sample_rate` is None where it has no audio."""

    fps: float
    width: int
    height: int
    duration_s: float
    sample_rate: int | None


@dataclass
class _Tally:
    """What was met on the way through a file: frames of one stream, and the span of all streams' packets in seconds."""

    good: int = 0
    broken: int = 0
    begun: float | None = None
    reached: float = 0.0
    stopped: str = ""

    def check(self, path: Path, kind: str) -> None:
        if self.broken > MAX_BROKEN * (self.good + self.broken):
            raise ClipRejected(
                "corrupted" if self.good else "unreadable",
                f"{path}: {self.broken} of {self.good + self.broken} {kind} frames could not be decoded",
            )


def _open(path: Path) -> av.container.InputContainer:
    check_file(path)
    try:
        # A name alone may look like an address (`http:…`, `concat:…`); after `file:` it is a name, whatever is in it.
        return av.open(
            f"file:{path.absolute()}",
            options={
                "max_pixels": str(MAX_PIXELS)
            },  # for the frames that are decoded to find out what the header omits
            container_options={"format_whitelist": CONTAINERS, "protocol_whitelist": "file"},
            metadata_errors="replace",
            timeout=TIMEOUT_S,
        )
    except _FAULTS as error:
        if _ends_within_a_box(path):
            raise ClipRejected("truncated", f"{path}: the file ends before its index") from error
        what = getattr(error, "strerror", None) or error
        raise ClipRejected("unreadable", f"{path}: not in a known container of video or audio ({what})") from error


def _ends_within_a_box(path: Path) -> bool:
    """Whether an MP4 or QuickTime file, a row of boxes (ISO 14496-12, §4.2), ends within one, as a broken-off copy does."""
    with path.open("rb") as file:
        end, start = path.stat().st_size, 0
        for _ in range(1000):
            file.seek(start)
            header = file.read(16)
            if header[4:8] not in {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"wide", b"free", b"skip", b"uuid"}:
                return False
            size = int.from_bytes(header[:4], "big")
            if size == 1:  # a size of 64 bits follows
                size = int.from_bytes(header[8:16], "big")
            if size < 8:  # 0: to the end of the file
                return False
            start += size
            if start >= end:
                return start > end
    return False


def _pictures(container: av.container.InputContainer) -> av.video.stream.VideoStream | None:
    """The first video stream that is not the picture of a record's cover."""
    cover = av.stream.Disposition.attached_pic
    return next((stream for stream in container.streams.video if not stream.disposition & cover), None)


def _video(container: av.container.InputContainer, path: Path) -> av.video.stream.VideoStream:
    """The video stream, checked. Raises ClipRejected: no_video, unreadable, too_large."""
    stream = _pictures(container)
    if stream is None:
        raise ClipRejected("no_video", f"{path} has no video stream")
    _check_codec(stream, path)
    if stream.codec_context.width * stream.codec_context.height > MAX_PIXELS:
        raise ClipRejected("too_large", f"{path}: frames of {stream.codec_context.width}×{stream.codec_context.height}")
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    return stream


def _check_codec(stream: av.stream.Stream, path: Path) -> None:
    if stream.codec_context is None or not stream.time_base:
        raise ClipRejected("unreadable", f"{path}: its {stream.type} is in a codec that is not known")
    # Clips are read by a process per core. And concealing damage by several threads gives other pixels from run to run.
    stream.codec_context.thread_count = 1


def _decoded(container: av.container.InputContainer, stream: av.stream.Stream, tally: _Tally, path: Path) -> Iterator:
    """A stream's frames in the order of showing, without the damaged ones, which are counted."""
    read, limit = 0, 2 * path.stat().st_size
    for packet in _packets(container, tally):
        # An empty packet would tell the decoder that the stream has ended.
        if packet.stream_index != stream.index or not packet.size:
            continue
        read += packet.size
        if read > limit:
            raise ClipRejected("corrupted", f"{path}: its index names more data than it holds")
        yield from _undamaged(stream, packet, tally)
    yield from _undamaged(stream, None, tally)


def _undamaged(stream: av.stream.Stream, packet: av.Packet | None, tally: _Tally) -> Iterator:
    try:
        frames = stream.decode(packet)
    except _FAULTS as error:
        tally.broken += not isinstance(error, EOFError)
        return
    for frame in frames:
        if frame.is_corrupt:
            tally.broken += 1
        else:
            tally.good += 1
            frame.time_base = stream.time_base
            yield frame


def _packets(container: av.container.InputContainer, tally: _Tally) -> Iterator[av.Packet]:
    packets = container.demux()
    while True:
        try:
            packet = next(packets, None)
        except _FAULTS as error:
            tally.stopped = str(error)
            return
        if packet is None:
            return
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is not None and packet.time_base:
            start = float(stamp * packet.time_base)
            tally.begun = start if tally.begun is None else min(tally.begun, start)
            tally.reached = max(tally.reached, start + float((packet.duration or 0) * packet.time_base))
        yield packet


def _deinterlaced(frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """The frames, from the first interlaced one on through FFmpeg's bwdif: one whole frame for each of two fields."""
    graph, shape = None, None
    for frame in frames:
        if graph is None and not frame.interlaced_frame:
            yield frame
            continue
        if shape != (frame.width, frame.height, frame.format.name):
            if graph is not None:
                yield from _through(graph, None)
            shape = frame.width, frame.height, frame.format.name
            graph = av.filter.Graph()
            source = graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
            )
            graph.link_nodes(source, graph.add("bwdif", "send_frame:auto:interlaced"), graph.add("buffersink"))
            graph.configure()
        yield from _through(graph, frame)
    if graph is not None:
        yield from _through(graph, None)


def _through(graph: av.filter.Graph, frame: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
    graph.push(frame)
    with contextlib.suppress(av.BlockingIOError, av.EOFError):  # it wants the next frame; there is none
        while True:
            yield graph.vpull()


def _timed(frames: Iterator[av.VideoFrame], step: Fraction, path: Path) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """Frames with the seconds since the first, never falling. A missing timestamp is `step` after the one before."""
    origin, last = None, None
    for n, frame in enumerate(frames):
        expected = Fraction(0) if last is None else last + step
        time = expected
        if frame.pts is not None:
            stamp = frame.pts * frame.time_base
            origin = stamp - expected if origin is None else origin
            time = stamp - origin
        if last is not None:
            if not -MAX_BACK_S <= time - last <= MAX_HOLE_S or time > MAX_HOLE_S + n:
                raise ClipRejected(
                    "timestamps", f"{path}: from {float(last):.2f} s to {float(time):.2f} s at frame {n}"
                )
            time = max(time, last)
        yield time, frame
        last = time


def stream_frames(path: Path, fps: float, grey: bool = False) -> Iterator[np.ndarray]:
    """Decode a video onto a clock of `fps` frames per second, one frame in memory at a time.

    Frame k is the last one whose timestamp is at most (k + ½)/fps after the first, so that any constant or variable frame
    rate stays in sync; a container's own rate is never assumed. Frames come as a player shows them: upright, with square
    pixels (the height stays), whole frames of interlaced ones, all in the first one's size; for a damaged frame the one
    before stands in.

    Yields uint8 RGB (H, W, 3), or with `grey` the luma (H, W) in 0…255, in the same number; one that is held is the same array
    again. Raises ClipRejected with the reasons at the top of this file, some of them only at the end.
    """
    clock = Fraction(fps).limit_denominator(1001)
    with _open(path) as container:
        stream = _video(container, path)
        rate = _rate(stream)
        tally = _Tally()
        frames = _deinterlaced(_decoded(container, stream, tally, path))
        n, time, held, paint = 0, Fraction(0), None, None
        try:
            for time, frame in _timed(frames, 1 / (rate or clock), path):
                paint = paint or _painter(frame, stream, grey, path)
                image = None
                while held is not None and (n + Fraction(1, 2)) / clock < time:
                    image = paint(held) if image is None else image
                    yield image
                    n += 1
                held = frame
        except _FAULTS as error:
            raise ClipRejected("unreadable", f"{path}: {error}") from error
        tally.check(path, "video")
        if held is None:
            raise ClipRejected("unreadable", f"{path}: no frame could be decoded {tally.stopped}".rstrip())
        step = 1 / rate if rate else time / (tally.good - 1) if tally.good > 1 and time else 1 / clock
        _check_length(container, stream, time + step, step, tally, path)
        image = paint(held)
        for _ in range(n, max(1, round((time + step) * clock))):
            yield image


def _rate(stream: av.video.stream.VideoStream) -> Fraction | None:
    """The frames per second that the container states, if they can be true."""
    stated = stream.average_rate, stream.guessed_rate, stream.base_rate
    return next((rate for rate in stated if _plausible(rate, RATES)), None)


def _plausible(value: Fraction | int | None, limits: tuple) -> bool:
    return value is not None and limits[0] <= value <= limits[1]


def _painter(
    first: av.VideoFrame, stream: av.video.stream.VideoStream, grey: bool, path: Path
) -> Callable[[av.VideoFrame], np.ndarray]:
    """A function that makes the array of a frame, as `stream_frames` yields it."""
    aspect = stream.sample_aspect_ratio
    # Rounded to an even width: an odd one costs swscale its fast path, and a pixel's aspect is stated coarsely anyway.
    square = not _plausible(aspect, ASPECTS) or aspect == 1
    width = first.width if square else max(2, 2 * round(first.width * aspect / 2))
    if width * first.height > MAX_PIXELS:
        raise ClipRejected("too_large", f"{path}: frames of {width}×{first.height}")
    turn, reformatter = _orientation(first), VideoReformatter()

    def paint(frame: av.VideoFrame) -> np.ndarray:
        # Calls over the network change their resolution midway and keep the shape: those frames are scaled. Where the shape
        # changes, the picture is another one, and scaling would distort the face.
        if abs(frame.width * first.height - frame.height * first.width) > 0.05 * frame.height * first.width:
            raise ClipRejected("size_changed", f"{path}: {first.width}×{first.height} to {frame.width}×{frame.height}")
        # One thread: with several, swscale has been seen to give other pixels from run to run (at 10 bits).
        image = reformatter.reformat(frame, width, first.height, "gray" if grey else "rgb24", threads=1)
        return np.ascontiguousarray(turn(image.to_ndarray()))

    return paint


def _orientation(frame: av.VideoFrame) -> Callable[[np.ndarray], np.ndarray]:
    """How a stored picture is turned and mirrored to be shown upright, by the container's display matrix.

    The matrix takes the point (x, y) to (a·x + c·y, b·x + d·y), y downwards (ISO 14496-12, §6.2.2); the multiple of 90° next
    to it counts.
    """
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # a kind of side data that PyAV has no name for
        return lambda image: np.rot90(image, round(frame.rotation / 90))
    if matrix is None:
        return lambda image: image
    (a, b), (c, d) = np.frombuffer(bytes(matrix), np.int32).reshape(3, 3)[:2, :2].astype(float)
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return lambda image: image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return lambda image: np.swapaxes(image, 0, 1)[:: -1 if b < 0 else 1, :: -1 if c < 0 else 1]


def _check_length(
    container: av.container.InputContainer,
    stream: av.video.stream.VideoStream,
    shown: Fraction,
    step: Fraction,
    tally: _Tally,
    path: Path,
) -> None:
    """Raise ClipRejected("truncated") where the file has less than 0.9 of the length that its header states."""
    kinds = set(container.format.name.split(","))
    stated = None
    if kinds & {"mov", "avi"} and stream.duration:
        stated, read = float(stream.duration * stream.time_base), float(shown)
    elif kinds & {"flv", "live_flv", "kux", "matroska", "asf"} and container.duration:
        # The longest stream's length. Some count from zero, some from the first timestamp.
        stated, read = container.duration / av.time_base, max(tally.reached, tally.reached - (tally.begun or 0.0))
    # All others state none; FFmpeg estimates theirs from what is there.
    if stated is not None and read < 0.9 * stated - float(step):
        raise ClipRejected("truncated", f"{path}: {read:.2f} s of {stated:.2f} s could be decoded")
    if stated is None and tally.stopped:
        raise ClipRejected("truncated", f"{path}: reading stopped at {float(shown):.2f} s: {tally.stopped}")


def read_frames(path: Path, fps: float) -> np.ndarray:
    """All of `stream_frames` at once: uint8 RGB, shape (T, H, W, 3). Raises ClipRejected as that does."""
    return np.stack(list(stream_frames(path, fps)))


def read_audio(path: Path, sample_rate: int, most_s: float | None = None) -> np.ndarray:
    """Decode a file's sound on the video's clock, mixed down to mono (see `_mix`), resampled.

    Of several audio streams it is the first that is not digital silence: cameras have a track for each of their microphones.
    Sample 0 is the moment of the first video frame shown; a file without video starts with its first sample. Holes and a late
    start are silence, what comes before the video or overlaps is cut. most_s: so many seconds are enough (None: all).

    Returns float32 in −1…1, shape (samples,). Raises ClipRejected with the reasons at the top of this file.
    """
    with _open(path) as container:
        stream = _speech(container, path)
        _check_codec(stream, path)
        origin = _first_shown(path) if _pictures(container) else None
        tally = _Tally()
        try:
            mix = _mix(path, stream.index)
            frames = _decoded(container, stream, tally, path)
            chunks, enough = [], np.inf if most_s is None else most_s * sample_rate
            for chunk in _resampled(_placed(frames, mix, origin, path), sample_rate):
                chunks.append(chunk)
                if (enough := enough - len(chunk)) <= 0:
                    break
        except _FAULTS as error:
            raise ClipRejected("unreadable", f"{path}: {error}") from error
    tally.check(path, "audio")
    if not sum(map(len, chunks)):
        raise ClipRejected("no_audio", f"{path}: its audio stream holds no samples")
    # Resampling overshoots where the input clips, and float files may go beyond full scale.
    return np.clip(np.concatenate(chunks), -1, 1)


def _speech(container: av.container.InputContainer, path: Path) -> av.audio.stream.AudioStream:
    """The first audio stream that is not digital silence, or else the first. Raises ClipRejected("no_audio")."""
    streams = container.streams.audio
    if not streams:
        raise ClipRejected("no_audio", f"{path} has no audio stream")
    if len(streams) == 1:
        return streams[0]
    return next((stream for stream in streams if not _is_silent(path, stream.index)), streams[0])


def is_silent(path: Path) -> bool:
    """Whether all that a file's audio streams hold is digital silence: no sample of any channel reaches one of 16 bits.

    Files with sound are read up to its beginning only. Raises ClipRejected: missing … unreadable, no_audio, corrupted.
    """
    with _open(path) as container:
        streams = container.streams.audio
        if not streams:
            raise ClipRejected("no_audio", f"{path} has no audio stream")
        return all(_is_silent(path, stream.index) for stream in streams)


def _is_silent(path: Path, index: int) -> bool:
    with _open(path) as container:
        stream, tally = container.streams[index], _Tally()
        _check_codec(stream, path)
        try:
            frames = _decoded(container, stream, tally, path)
            if any(np.abs(_samples(frame)).max(initial=0) >= LEAST_SAMPLE for frame in frames):
                return False
        except _FAULTS as error:
            raise ClipRejected("unreadable", f"{path}: {error}") from error
    tally.check(path, "audio")
    return True


def _first_shown(path: Path) -> Fraction | None:
    """The timestamp of the first video frame shown, in seconds; None where no frame has one."""
    with _open(path) as container:
        frames = _decoded(container, _video(container, path), _Tally(), path)
        return next((frame.pts * frame.time_base for frame in frames if frame.pts is not None), None)


def _placed(
    frames: Iterator[av.AudioFrame], mix: np.ndarray, origin: Fraction | None, path: Path
) -> Iterator[tuple[np.ndarray, int]]:
    """Mono samples without hole or overlap from `origin` (seconds; None: from the first frame) on, with their rate in Hz."""
    placed = Fraction(0)
    for frame in frames:
        samples, rate = _mono(frame, mix), frame.sample_rate
        if not _plausible(rate, SAMPLE_RATES):
            raise ClipRejected("unreadable", f"{path}: states a sample rate of {rate} Hz")
        late = Fraction(0)
        if frame.pts is not None:
            stamp = frame.pts * frame.time_base
            origin = stamp if origin is None else origin
            late = stamp - origin - placed
        if late > MAX_SILENCE_S or (placed and late < -MAX_HOLE_S):
            raise ClipRejected(
                "timestamps", f"{path}: sound of {float(placed):.2f} s follows {float(late):+.2f} s late"
            )
        if not placed or abs(late) > AUDIO_GAP_S:
            shift = round(late * rate)
            samples = np.concatenate([np.zeros(shift, np.float32), samples]) if shift > 0 else samples[-shift:]
        placed += Fraction(len(samples), rate)
        if len(samples):
            yield samples, rate


def _mix(path: Path, index: int) -> np.ndarray:
    """What each channel of an audio stream counts in the mono mix, (channels,), by a look at all of it.

    The mean of the channels: FFmpeg's own mix adds them by weights, to float samples beyond full scale (1.41 for equal
    channels). Of surround sound it is the centre alone, where films have the voice, or where that is mute the front pair. Of
    two channels in opposite phase, whose mean would be silence, the louder. Whole numbers written as floats are scaled.
    """
    with _open(path) as container:
        stream = container.streams[index]
        _check_codec(stream, path)
        # Six or eight channels without names are what players take them for.
        layout = av.AudioLayout(UNNAMED[stream.layout.name]) if stream.layout.name in UNNAMED else stream.layout
        names, is_float = [channel.name for channel in layout.channels], stream.codec_context.name.startswith("pcm_f")
        products, peak = np.zeros((len(names), len(names))), 0.0
        if len(names) > 1 or is_float:
            for frame in _decoded(container, stream, _Tally(), path):
                samples = _samples(frame).astype(np.float64)
                if len(samples) == len(names):
                    products += samples @ samples.T
                    peak = max(peak, float(np.abs(samples).max(initial=0)))
    heard = _voices(names, products)
    mix = np.zeros(len(names))
    mix[heard] = 1 / max(1, len(heard))
    scale = next((scale for scale in WHOLE_NUMBERS if peak <= scale), 1.0) if is_float and peak > MOST_FLOAT else 1.0
    return (mix / scale).astype(np.float32)


def _voices(names: list[str], products: np.ndarray) -> list[int]:
    """Which channels are heard. names: FFmpeg's. products: of each two channels, summed over time, (channels, channels)."""
    energy, heard = np.diag(products), list(range(len(names)))
    if len(names) > 2 and {"FL", "FR"} <= {*names}:
        heard = [names.index("FL"), names.index("FR")]
        if "FC" in names and energy[centre := names.index("FC")] > CENTRE * energy[heard].max():
            heard = [centre]
    if len(heard) == 2 and products[np.ix_(heard, heard)].sum() / 4 < OPPOSITE * energy[heard].mean():
        heard = [heard[int(np.argmax(energy[heard]))]]
    return heard


def _mono(frame: av.AudioFrame, mix: np.ndarray) -> np.ndarray:
    """A frame's channels mixed: float32 (samples,), full scale −1…1. The mean where there are suddenly more or fewer."""
    samples = _samples(frame)
    return mix @ samples if len(samples) == len(mix) else samples.mean(axis=0, dtype=np.float32)


def _samples(frame: av.AudioFrame) -> np.ndarray:
    """A frame's samples, float32 (channels, samples), full scale −1…1; those of float files as they are, but finite."""
    if frame.format.is_planar and frame.layout.nb_channels >= 8:
        # PyAV reads beyond the last of the eight pointers that a frame has for its planes, and the process ends there.
        (frame,) = av.AudioResampler(frame.format.packed, frame.layout, frame.sample_rate).resample(frame)
    samples = frame.to_ndarray()
    if samples.dtype == np.uint8:
        samples = (samples.astype(np.float32) - 128) / 128
    elif samples.dtype.kind == "i":
        samples = samples.astype(np.float32) / -float(np.iinfo(samples.dtype).min)
    else:  # float files may hold anything, and one NaN would spread over the resampler's whole window
        most = WHOLE_NUMBERS[-1]
        samples = np.clip(np.nan_to_num(samples, nan=0, posinf=1, neginf=-1), -most, most).astype(np.float32)
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    return samples


def _resampled(chunks: Iterator[tuple[np.ndarray, int]], sample_rate: int) -> Iterator[np.ndarray]:
    """Chunks of mono samples with their rate → chunks at `sample_rate`."""
    resampler, current, n = None, 0, 0
    for samples, rate in chunks:
        if rate != current:
            yield from _resample(resampler, None)
            resampler, current, n = av.AudioResampler("fltp", "mono", sample_rate), rate, 0
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, n, Fraction(1, rate)
        n += len(samples)
        yield from _resample(resampler, frame)
    yield from _resample(resampler, None)


def _resample(resampler: av.AudioResampler | None, frame: av.AudioFrame | None) -> Iterator[np.ndarray]:
    for out in resampler.resample(frame) if resampler else ():
        if out is not None:  # where no rate changes, PyAV hands the flush itself back
            yield out.to_ndarray()[0]


def probe(path: Path) -> StreamInfo:
    """Read a container's headers and its first frame. Raises ClipRejected as `stream_frames` does before its first one."""
    with _open(path) as container:
        stream = _video(container, path)
        tally = _Tally()
        try:
            first = next(_decoded(container, stream, tally, path), None)
            if first is None:
                raise ClipRejected("unreadable", f"{path}: no frame could be decoded {tally.stopped}".rstrip())
            height, width = _painter(first, stream, True, path)(first).shape
        except _FAULTS as error:
            raise ClipRejected("unreadable", f"{path}: {error}") from error
        duration = stream.duration * stream.time_base if stream.duration else (container.duration or 0) / av.time_base
        audio = container.streams.audio
        rate = audio[0].codec_context.sample_rate if audio and audio[0].codec_context else None
        return StreamInfo(float(_rate(stream) or 0), width, height, float(duration), rate or None)


def write_video(
    path: Path,
    frames: Iterable[np.ndarray],
    fps: float,
    audio: np.ndarray | None = None,
    sample_rate: int = 22_050,
    metadata: dict[str, str] | None = None,
    crf: int = 18,
    preset: str = "medium",
) -> None:
    """Write H.264 (yuv420p) with AAC sound; the container follows the suffix (.mp4, .flv, .mkv). The file appears whole.

    frames: uint8 RGB (H, W, 3) each, H and W even. audio: float mono in −1…1, shape (samples,), written as it is long.
    metadata: container tags such as `comment`. crf, preset: x264's quality, and how long it looks for a smaller file.
    Frames and sound are written side by side, so that a video of any length takes the memory of its sound; and frames are
    encoded while the next ones are made, so none may be changed once it is handed over. Raises UserError where the file cannot
    be written; OSError where the disk is full; and what `frames` raises.
    """
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(
            str(partial), "w", options={"movflags": "use_metadata_tags"} if path.suffix.lower() == ".mp4" else {}
        ) as out:
            out.metadata.update(metadata or {})
            _encode(out, iter(frames), fps, audio, sample_rate, {"crf": str(crf), "preset": preset})
        os.replace(partial, path)
    except (av.FFmpegError, OSError) as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):  # no file is to blame, and no other would fare better
            raise OSError(error.errno, f"{path} could not be written") from error
        raise UserError(f"{path} could not be written: {error}; choose another output with --output") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def _encode(
    out: av.container.OutputContainer,
    frames: Iterator[np.ndarray],
    fps: float,
    audio: np.ndarray | None,
    sample_rate: int,
    quality: dict[str, str],
) -> None:
    first = next(frames)
    # Equal runs should give equal files: x264's output depends on its number of threads, and its macroblock tree varies
    # from run to run even with one.
    options = quality | {"threads": "1", "x264-params": "no-mbtree=1"}
    video = out.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options=options)
    video.height, video.width = first.shape[:2]
    video.pix_fmt = "yuv420p"
    sound = out.add_stream("aac", rate=sample_rate, layout="mono") if audio is not None else None
    seconds = _seconds(audio, sample_rate) if sound is not None else iter(())

    def write(image: np.ndarray, speech: list[av.AudioFrame]) -> None:
        for second in speech:
            out.mux(sound.encode(second))
        out.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))

    # In a thread of its own, since FFmpeg works without Python's lock.
    with ThreadPoolExecutor(1, "encoder") as encoder:
        waiting: deque[Future] = deque()
        begun = 0  # seconds
        for n, image in enumerate(chain([first], frames)):
            begins = n >= begun * fps
            begun += begins
            waiting.append(encoder.submit(write, image, list(islice(seconds, int(begins)))))
            if len(waiting) > AHEAD:
                waiting.popleft().result()
        for written in waiting:
            written.result()
    for speech in seconds:
        out.mux(sound.encode(speech))
    for stream in filter(None, (sound, video)):
        out.mux(stream.encode(None))


def _seconds(audio: np.ndarray, sample_rate: int) -> Iterator[av.AudioFrame]:
    """A waveform as frames of a second each."""
    for start in range(0, len(audio), sample_rate):
        samples = np.clip(audio[start : start + sample_rate], -1, 1).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = sample_rate, start, Fraction(1, sample_rate)
        yield frame
