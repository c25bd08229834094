"""Which filter keeps speech and blinks, and takes the detector's trembling? On raw landmarks of real clips.

    python -m benchmarks.smoothing [CORPUS_FOLDER] [--clips 300]

For each filter: the share of the mouth opening's power that it leaves in bands of frequency, of what lies above the floor of
white noise; the noise that it leaves; how many of the raw landmarks' blinks are still found, and how deep they are.
The floor is that of still mouths: the half second of each clip in which the lips move least. The last line compares the filter
in use with the 5-point moving average, by the power of 4 to 7 Hz; its deviation is the share of blinks that the first loses.
Landmarks are kept in data/benchmarks.
"""

import argparse
import math
from functools import partial
from pathlib import Path

import numpy as np
from scipy.signal import periodogram, savgol_coeffs

from benchmarks.project import ROOT, add_corpus, videos
from pipeline.corpus.incremental import checksum
from pipeline.corpus.workers import each
from pipeline.errors import ClipRejected, UserError, one_line_errors
from pipeline.features.blinks import blink_events
from pipeline.features.jitter import blink_amplitude_kept
from pipeline.features.landmarks import eye_aspect_ratio, mouth_opening
from pipeline.features.smoothing import MOVING_AVERAGE, SHAPE_PRESERVING, smooth
from pipeline.features.tracking import detect_video

FPS = 25
BANDS = ((0.3, 2), (2, 4), (4, 7), (7, 12.5))  # Hz; below them heads and moods move
STILL = 12  # frames
CACHE = ROOT / "data" / "benchmarks" / "smoothing"
FILTERS = {
    "none": np.ones(1),
    "moving average of 5": MOVING_AVERAGE,
    "1-2-1": np.array([1, 2, 1]) / 4,
    "Savitzky-Golay 5, order 2": savgol_coeffs(5, 2),
    "Savitzky-Golay 7, order 2": savgol_coeffs(7, 2),
    "Savitzky-Golay 7, order 4": SHAPE_PRESERVING,
    "Savitzky-Golay 9, order 4": savgol_coeffs(9, 4),
    "Savitzky-Golay 9, order 6": savgol_coeffs(9, 6),
}


def raw_landmarks(video: str, cache: Path) -> np.ndarray:
    """A clip's landmarks (T, 68, 2) as detected, from the cache where they are there."""
    path = cache / f"{checksum(video)}.npy"
    if not path.exists():
        landmarks = detect_video(Path(video), FPS, "dlib", redetect_every=25, max_missing=0.1).landmarks
        cache.mkdir(parents=True, exist_ok=True)
        partial_path = path.with_suffix(".partial.npy")
        np.save(partial_path, landmarks)
        partial_path.rename(path)
    return np.load(path)


def power(openings: list[np.ndarray]) -> np.ndarray:
    """Power of mouth openings (T,) in each of BANDS, mean over clips."""
    total = np.zeros(len(BANDS))
    for opening in openings:
        frequency, density = periodogram(opening, FPS, window="hann", detrend="linear")
        step = frequency[1]
        total += [density[(frequency >= low) & (frequency < high)].sum() * step for low, high in BANDS]
    return total / len(openings)


def floor(openings: list[np.ndarray]) -> float:
    """Density of the noise of still mouths, power per Hz. White noise of variance s² has second differences of 6 s²."""
    variances = []
    for opening in openings:
        windows = np.lib.stride_tricks.sliding_window_view(opening, STILL)
        still = windows[windows.std(axis=1).argmin()]
        variances.append(np.diff(still, n=2).var() / 6)
    return float(np.median(variances)) / (FPS / 2)


def noise_kept(kernel: np.ndarray) -> np.ndarray:
    """The share of white noise's power that a filter leaves in each of BANDS."""
    frequency = np.linspace(0, FPS / 2, 1001)
    turns = np.exp(-2j * np.pi * frequency[:, None] / FPS * (np.arange(len(kernel)) - len(kernel) // 2))
    gain = np.abs(turns @ kernel) ** 2
    return np.array([gain[(frequency >= low) & (frequency < high)].mean() for low, high in BANDS])


def blinks_kept(clips: list[np.ndarray], kernel: np.ndarray) -> tuple[float, float]:
    """The share of the raw landmarks' blinks during which smoothed ones blink, too; and their depth, of the raw ones'."""
    found = total = 0
    for raw in clips:
        before, after = (blink_events(eye_aspect_ratio(landmarks), FPS) for landmarks in (raw, smooth(raw, kernel)))
        total += len(before)
        found += sum(any(a < stop and b > start for a, b in after) for start, stop in before)
    depths = np.array([blink_amplitude_kept(raw, smooth(raw, kernel), FPS) for raw in clips])
    depths = depths[~np.isnan(depths)]
    return (found / total, float(depths.mean())) if total else (1.0, math.nan)


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.smoothing", description=__doc__.splitlines()[0])
    add_corpus(parser)
    parser.add_argument("--clips", type=int, default=300, help="so many of its clips (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument(
        "--cache", type=Path, default=CACHE, help="folder of what was found before (default: %(default)s)"
    )
    args = parser.parse_args()
    paths = sorted(set(map(str, videos(args.corpus, args.clips))))
    found = [raw for _, raw in each(partial(raw_landmarks, cache=args.cache), paths, "landmarks", args.workers)]
    clips = [raw for raw in found if not isinstance(raw, ClipRejected) and len(raw) > STILL]
    if not clips:
        raise UserError(f"{args.corpus}: no clip in which a face is found")
    seconds = sum(map(len, clips)) / FPS
    raw_openings = [mouth_opening(raw) for raw in clips]
    noise = floor(raw_openings) * np.diff(BANDS)[:, 0]
    speech = power(raw_openings) - noise
    n_blinks = sum(len(blink_events(eye_aspect_ratio(raw), FPS)) for raw in clips)
    print(f"{len(clips)} clips, {seconds:.0f} s, {n_blinks} blinks ({n_blinks / seconds:.3f} per second)")
    times = [f"{low}-{high} Hz {1 + p / n:.1f} x" for (low, high), p, n in zip(BANDS, speech, noise, strict=True)]
    print("power of the opening, of the floor's:", ", ".join(times))
    header = "".join(f"{low}-{high} Hz".rjust(12) for low, high in BANDS)
    print(f"{'filter':<28}{header}{'noise':>8}{'blinks':>8}{'depth':>8}{'per s':>8}")
    kept, lost = {}, {}
    for name, kernel in FILTERS.items():
        smoothed = [smooth(raw, kernel) for raw in clips]
        shares = (power([mouth_opening(track) for track in smoothed]) - noise * noise_kept(kernel)) / speech
        blinks, depth = blinks_kept(clips, kernel)
        rate = sum(len(blink_events(eye_aspect_ratio(track), FPS)) for track in smoothed) / seconds
        kept[name], lost[name] = shares[2], 1 - blinks
        columns = "".join(f"{share:12.2f}" for share in shares)
        print(f"{name:<28}{columns}{np.sum(kernel**2):8.2f}{blinks:8.2f}{depth:8.2f}{rate:8.3f}")
    ours = next(name for name, kernel in FILTERS.items() if kernel is SHAPE_PRESERVING)
    average = kept["moving average of 5"]
    print(
        f"smoothing: ratio {kept[ours] / average:.2f} (ours {kept[ours]:.2f}, alternative {average:.2f} of the power; "
        f"deviation {lost[ours]:.3f})"
    )


if __name__ == "__main__":
    main()
