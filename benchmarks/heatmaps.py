"""Heatmaps read from their shards, against drawing them in the training step.

    python -m benchmarks.heatmaps [--size 64] [--sigma 1]

What is chosen by it: shards. Drawing is fast enough for a CPU's training, which takes 150 frames a second at 64 px, and would
hold up a GPU's at 128; reading is not noticed by either, and costs a byte a pixel where the crop costs three.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from pipeline.corpus.shards import Shards, in_shards, write_shards
from pipeline.features.heatmap import landmark_heatmaps

FRAMES, EXCERPT = 75, 15


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.heatmaps", description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=64, help="pixels of the crop (default: %(default)s)")
    parser.add_argument("--clips", type=int, default=64, help="that the shards hold (default: %(default)s)")
    parser.add_argument("--excerpts", type=int, default=400, help="that are read and drawn (default: %(default)s)")
    parser.add_argument("--sigma", type=float, default=1.0, help="pixels (default: %(default)s)")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    landmarks = {f"clip{k}": rng.uniform(0, args.size, (FRAMES, 68, 2)).astype(np.float32) for k in range(args.clips)}
    spans = [(f"clip{rng.integers(args.clips)}", int(rng.integers(FRAMES - EXCERPT))) for _ in range(args.excerpts)]
    with tempfile.TemporaryDirectory() as folder:
        drawn = ((clip, landmark_heatmaps(landmarks[clip], args.size, args.sigma)) for clip in in_shards(landmarks))
        write_shards(Path(folder), drawn)
        shards = Shards(Path(folder))
        start = time.perf_counter()
        read = [np.array(shards[clip][k : k + EXCERPT]) for clip, k in spans]
        middle = time.perf_counter()
        made = [landmark_heatmaps(landmarks[clip][k : k + EXCERPT], args.size, args.sigma) for clip, k in spans]
        end = time.perf_counter()
    deviation = max(int(np.abs(a.astype(int) - b).max()) for a, b in zip(read, made, strict=True))
    ours, alternative = (EXCERPT * len(spans) / seconds for seconds in (middle - start, end - middle))
    rates = f"ours {ours:.0f}, alternative {alternative:.0f} frames/s"
    print(f"heatmaps: ratio {ours / alternative:.1f} ({rates}; deviation {deviation} grey levels)")


if __name__ == "__main__":
    main()
