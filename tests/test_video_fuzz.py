"""Damaged containers: whatever their bytes, reading ends soon, in frames or in a ClipRejected.

A decoder that crashes takes its process along, so the files are read in another one, which may use bounded memory and time.
"""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.test_video import CODECS, write_clip

ROOT = Path(__file__).parents[1]
MEMORY = 3 << 30  # bytes of address space; the libraries alone map about 1 GB
SECONDS = 15  # per file; the slowest of 40,000 took 1.2 s

READ = """
import faulthandler, resource, sys
from pathlib import Path
from pipeline.errors import ClipRejected
from pipeline.video import probe, read_audio, stream_frames

memory, seconds = int(sys.argv[1]), float(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

def attempt(call):
    try:
        return call()
    except ClipRejected as problem:
        return problem.reason

for path in map(Path, sys.stdin.read().split("\\n")):
    print(path.name, end=" ", flush=True)
    faulthandler.dump_traceback_later(seconds, exit=True)
    n = attempt(lambda: sum(1 for _ in stream_frames(path, 25, grey=True)))
    rgb = attempt(lambda: sum(1 for _ in stream_frames(path, 25)))
    assert n == rgb, (n, rgb)
    assert isinstance(n, str) or n < 2000, n
    print(n, attempt(lambda: len(read_audio(path, 16_000))), attempt(lambda: probe(path).width), flush=True)
"""


def read_all(paths):
    """Read the files in another process; returns {file name: [frames, samples, width, or reasons instead]}."""
    command = [sys.executable, "-c", READ, str(MEMORY), str(SECONDS)]
    text = "\n".join(map(str, paths))
    run = subprocess.run(command, input=text, capture_output=True, text=True, cwd=ROOT, timeout=600, check=False)
    assert run.returncode == 0, f"{run.stdout[-200:]}\n{run.stderr[-3000:]}"
    return {line.split()[0]: line.split()[1:] for line in run.stdout.splitlines()}


def damaged(content, rng):
    """The bytes of a file with one kind of damage."""
    content = bytearray(content)
    at = int(rng.integers(len(content)))
    # Headers are small and matter most.
    near = int(rng.integers(min(len(content), 2000)))
    length = int(rng.integers(1, max(2, len(content) // 8)))
    kind = rng.choice(["bits", "header", "tail", "cut", "zeros", "number", "twice", "lost", "noise"])
    if kind == "bits":
        for position in rng.integers(0, len(content), int(rng.integers(1, 40))):
            content[position] ^= 1 << int(rng.integers(8))
    elif kind == "header":
        for position in rng.integers(0, min(len(content), 2000), int(rng.integers(1, 6))):
            content[position] = int(rng.choice([0, 1, 127, 128, 255, rng.integers(256)]))
    elif kind == "tail":  # MP4 and AVI have their index there
        for position in rng.integers(max(0, len(content) - 3000), len(content), int(rng.integers(1, 6))):
            content[position] = int(rng.choice([0, 1, 127, 128, 255, rng.integers(256)]))
    elif kind == "cut":
        del content[at:]
    elif kind == "zeros":
        content[at : at + length] = bytes(len(content[at : at + length]))
    elif kind == "number":  # a size, a count, a duration
        value = int(rng.choice([0, 1, 2**24 - 1, 2**31 - 1, 2**31, 2**32 - 1]))
        tail = max(0, len(content) - 1 - int(rng.integers(2500)))
        position = [near, tail, at][int(rng.integers(3))]
        content[position : position + 4] = value.to_bytes(4, "big" if rng.integers(2) else "little")
    elif kind == "twice":
        content[at:at] = content[at : at + length]
    elif kind == "lost":
        del content[at : at + length]
    else:
        content[at : at + length] = rng.bytes(len(content[at : at + length]))
    return bytes(content)


def mutants(source, folder, n, seed):
    rng = np.random.default_rng(seed)
    content = source.read_bytes()
    for k in range(n):
        path = folder / f"{k:05d}{source.suffix}"
        path.write_bytes(damaged(content, rng))
        yield path


@pytest.mark.parametrize("suffix", list(CODECS))
def test_damaged_containers_end_in_frames_or_a_reason(tmp_path, suffix):
    rng = np.random.default_rng(0)
    pictures = [np.roll(rng.integers(0, 255, (48, 64, 3)).astype(np.uint8), k, axis=1) for k in range(15)]
    sound = [(0, 0.3 * rng.standard_normal(26_460).clip(-3, 3))]
    source = write_clip(tmp_path / f"clip{suffix}", pictures, [Fraction(k, 25) for k in range(15)], sound)
    outcomes = read_all([source, *mutants(source, tmp_path, 60, seed=1)])
    assert len(outcomes) == 61 and outcomes[source.name][0] == "15"
    assert len({frames for frames, *_ in outcomes.values()}) > 2  # the damage was felt


@pytest.mark.parametrize("folder", ["grid", "lrs3", "mead_noaudio"])
def test_damaged_real_clips_end_in_frames_or_a_reason(tmp_path, real_clips, folder):
    sources = sorted((real_clips / folder).glob("*.*"), key=lambda path: path.stat().st_size)[:1]
    outcomes = read_all([*sources, *mutants(sources[0], tmp_path, 10, seed=2)])
    assert len(outcomes) == 11 and outcomes[sources[0].name][0].isdigit()
