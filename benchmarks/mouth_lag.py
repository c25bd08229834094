"""How often is the lag of two mouths found? The sample cross-correlation against Pearson's correlation at each lag.

    python -m benchmarks.mouth_lag [--clips 400] [--frames 75]

On made-up openings with a known lag, random and smooth, that correlate by 0.5 and 0.7; and in time, but for a breath of 0.4 s
before the sentence, for which the generated mouth does not open. Shares of the clips whose lag is found within a frame, and
mean lags. The last line is of openings in time that correlate by 0.5; its deviation is the alternative's mean with a breath.
"""

import argparse

import numpy as np
from scipy.ndimage import gaussian_filter1d

from pipeline.evaluation.sync import REACH, mouth_lag

WIDTH = 2.0  # frames, σ of the Gaussian that smooths: syllables at 25 frames a second
BREATH = 10  # frames


def pearson_lag(truth: np.ndarray, generated: np.ndarray) -> int:
    """The lag within ±REACH of the largest Pearson correlation of the pairs (T,) that are left at it."""
    n = len(truth)

    def correlation(lag: int) -> float:
        return np.corrcoef(truth[max(0, -lag) : n - max(0, lag)], generated[max(0, lag) : n - max(0, -lag)])[0, 1]

    return max(range(-REACH, REACH + 1), key=correlation)


def openings(n_frames: int, correlation: float, lag: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A mouth's opening and a generated one's, (n_frames,) each, `lag` frames later; of deviation 1."""
    margin = REACH + BREATH
    speech, noise = gaussian_filter1d(rng.standard_normal((2, n_frames + 2 * margin)), WIDTH, axis=1)
    shown = slice(margin, margin + n_frames)
    truth, made, other = (_standard(x[shown]) for x in (speech, np.roll(speech, lag), noise))
    return truth, correlation * made + np.sqrt(1 - correlation**2) * other


def with_breath(truth: np.ndarray, generated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same in which nobody speaks in the first BREATH frames, and the real mouth stands open in them."""
    truth, generated = truth.copy(), generated.copy()
    truth[:BREATH], generated[:BREATH] = 2, -1
    return truth, generated


def _standard(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.mouth_lag", description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=400, help="so many of each kind (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=75, help="of each (default: %(default)s)")
    args = parser.parse_args()
    rng, found = np.random.default_rng(0), {}
    print(f"{'':<28}{'ours':>8}{'mean':>8}{'Pearson':>10}{'mean':>8}")
    for kind, prepare in {"": lambda *pair: pair, ", breath": with_breath}.items():
        for correlation in (0.5, 0.7):
            for lag in (0, 5, -5, 12) if not kind else (0,):
                pairs = [prepare(*openings(args.frames, correlation, lag, rng)) for _ in range(args.clips)]
                lags = [np.array([of(*pair) for pair in pairs]) for of in (mouth_lag, pearson_lag)]
                shares = [np.mean(np.abs(of - lag) <= 1) for of in lags]
                name = f"r {correlation}, lag {lag}{kind}"
                found[name] = (*shares, lags[1].mean())
                print(f"{name:<28}{shares[0]:8.2f}{lags[0].mean():8.2f}{shares[1]:10.2f}{lags[1].mean():8.2f}")
    ours, alternative, _ = found["r 0.5, lag 0"]
    deviation = found["r 0.5, lag 0, breath"][2]
    print(
        f"mouth_lag: ratio {ours / alternative:.2f} (ours {ours:.2f}, alternative {alternative:.2f} of the clips; "
        f"deviation {deviation:.2f})"
    )


if __name__ == "__main__":
    main()
