"""Reading and writing video and audio with PyAV: frames by timestamp, speech as float samples, MP4 with sound."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from pipeline.errors import ClipRejected, UserError


class StreamInfo(NamedTuple):
    """What a container says of itself; `sample_rate` is None where it has no audio."""

    fps: float
    width: int
    height: int
    duration_s: float
    sample_rate: int | None


def _open(path: Path) -> av.container.InputContainer:
    if not path.exists():
        raise ClipRejected("missing", str(path))
    if path.stat().st_size == 0:
        raise ClipRejected("empty_file", f"{path} has zero bytes")
    with path.open("rb") as file:
        # Corpora kept with git-lfs arrive as small text files where git-lfs was not installed.
        if file.read(40).startswith(b"version https://git-lfs"):
            raise ClipRejected("lfs_pointer", f"{path} is a git-lfs pointer; run `git lfs pull` in the corpus")
    try:
        return av.open(str(path))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ClipRejected("unreadable", f"{path}: {error}") from error


def read_frames(path: Path, fps: float) -> np.ndarray:
    """Decode a video onto a clock of `fps` frames per second.

    Frame k is the last one whose timestamp is at most (k + ½)/fps after the first, so that any constant or variable frame
    rate stays in sync; a container's own rate is never assumed.

    Returns uint8 RGB, shape (T, H, W, 3). Raises ClipRejected: missing, empty_file, unreadable, no_video, truncated.
    """
    with _open(path) as container:
        if not container.streams.video:
            raise ClipRejected("no_video", str(path))
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        rate = float(stream.average_rate or fps)
        times: list[float] = []
        images: list[np.ndarray] = []
        try:
            for frame in container.decode(stream):
                times.append(frame.time if frame.time is not None else len(times) / rate)
                images.append(frame.to_ndarray(format="rgb24"))
        except av.FFmpegError as error:
            if not images:
                raise ClipRejected("unreadable", f"{path}: {error}") from error
        declared = _duration_s(container)
    if not images:
        raise ClipRejected("unreadable", f"{path}: no frame could be decoded")
    start, duration = times[0], times[-1] - times[0] + 1 / rate
    if declared and duration < 0.9 * declared - 1 / rate:
        raise ClipRejected("truncated", f"{path}: {duration:.2f} s of {declared:.2f} s could be decoded")
    n_frames = max(1, round(duration * fps))
    moments = start + (np.arange(n_frames) + 0.5) / fps
    chosen = np.maximum(np.searchsorted(times, moments, side="right") - 1, 0)
    return np.stack([images[i] for i in chosen])


def read_audio(path: Path, sample_rate: int) -> np.ndarray:
    """Decode the first audio stream, mixed down to mono, resampled.

    Returns float32 in about −1…1, shape (samples,). Raises ClipRejected: missing, empty_file, unreadable, no_audio.
    """
    with _open(path) as container:
        if not container.streams.audio:
            raise ClipRejected("no_audio", f"{path} has no audio stream")
        resampler = av.AudioResampler(format="s16", layout="mono", rate=sample_rate)
        chunks: list[np.ndarray] = []
        try:
            for frame in container.decode(container.streams.audio[0]):
                chunks += [out.to_ndarray()[0] for out in resampler.resample(frame)]
            chunks += [out.to_ndarray()[0] for out in resampler.resample(None)]
        except av.FFmpegError as error:
            if not chunks:
                raise ClipRejected("unreadable", f"{path}: {error}") from error
    if not chunks or not sum(map(len, chunks)):
        raise ClipRejected("no_audio", f"{path}: its audio stream holds no samples")
    return np.concatenate(chunks).astype(np.float32) / 32768.0


def probe(path: Path) -> StreamInfo:
    """Read a container's headers only. Raises ClipRejected as `read_frames` does."""
    with _open(path) as container:
        if not container.streams.video:
            raise ClipRejected("no_video", str(path))
        stream = container.streams.video[0]
        audio = container.streams.audio[0].sample_rate if container.streams.audio else None
        return StreamInfo(
            float(stream.average_rate or 0), stream.width, stream.height, _duration_s(container) or 0.0, audio
        )


def _duration_s(container: av.container.InputContainer) -> float | None:
    """The video's length by its header; None where the container does not say."""
    stream = container.streams.video[0]
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    # FLV and Matroska state the whole file's length only. MPEG program streams guess theirs from the bit rate.
    if container.duration and "mpeg" not in container.format.name.split(","):
        return container.duration / av.time_base
    return None


def write_video(
    path: Path,
    frames: Iterable[np.ndarray],
    fps: float,
    audio: np.ndarray | None = None,
    sample_rate: int = 22_050,
    metadata: dict[str, str] | None = None,
    crf: int = 18,
) -> None:
    """Write H.264 (yuv420p) with AAC sound; the container follows the suffix (.mp4, .flv, .mkv). The file appears whole.

    frames: uint8 RGB (H, W, 3) each, H and W even. audio: float mono in −1…1, shape (samples,), written as it is long.
    metadata: container tags such as `comment`. Raises UserError where the file cannot be written.
    """
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(
            str(partial), "w", options={"movflags": "use_metadata_tags"} if path.suffix == ".mp4" else {}
        ) as out:
            out.metadata.update(metadata or {})
            _encode(out, iter(frames), fps, audio, sample_rate, crf)
        os.replace(partial, path)
    except (av.FFmpegError, OSError) as error:
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
    crf: int,
) -> None:
    first = next(frames)
    # Equal runs should give equal files: x264's output depends on its number of threads, and its macroblock tree varies
    # from run to run even with one.
    options = {"crf": str(crf), "threads": "1", "x264-params": "no-mbtree=1"}
    video = out.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options=options)
    video.height, video.width = first.shape[:2]
    video.pix_fmt = "yuv420p"
    sound = out.add_stream("aac", rate=sample_rate, layout="mono") if audio is not None else None
    if sound is not None:
        samples = np.clip(audio, -1, 1).astype(np.float32)[None]
        speech = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        speech.sample_rate, speech.pts, speech.time_base = sample_rate, 0, Fraction(1, sample_rate)
        out.mux(sound.encode(speech))
        out.mux(sound.encode(None))
    for image in _chain(first, frames):
        out.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
    out.mux(video.encode(None))


def _chain(first: np.ndarray, rest: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    yield first
    yield from rest
