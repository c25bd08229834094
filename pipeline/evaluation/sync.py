"""Does the generated mouth move as the real one does, and when the real one does?"""

import numpy as np

REACH = 15  # frames either way in which the lag is sought
LEAST_PAIRS = 10  # over fewer frames, 0.4 s, any two curves may correlate
STILL = 1e-9  # eye distances: an opening that varies by less does not
# What a judge of sync says of a clip, frames and distances of embeddings; in fewer frames any offset may be the nearest.
SYNC, LEAST_FRAMES = ("sync_offset", "sync_confidence", "sync_distance"), 30


def comparable(truth: np.ndarray, generated: np.ndarray) -> bool:
    """Whether both openings, (T,) each, vary where both have a face, in at least LEAST_PAIRS frames."""
    both = ~(np.isnan(truth) | np.isnan(generated))
    a, b = truth[both], generated[both]
    return len(a) >= LEAST_PAIRS and bool(min(np.ptp(a), np.ptp(b)) >= STILL)


def seen_often(truth: np.ndarray, generated: np.ndarray) -> bool:
    """Whether both openings, (T,) each, have a face in half of the frames."""
    return bool(2 * np.count_nonzero(~np.isnan(truth + generated)) >= len(truth))


def mouth_correlation(truth: np.ndarray, generated: np.ndarray) -> float:
    """Pearson correlation of mouth openings: (T,), (T,) → −1 … 1.

    Frames without a face (NaN) are left out. NaN where either opening does not vary, or fewer than LEAST_PAIRS are left.
    """
    if not comparable(truth, generated):
        return float("nan")
    both = ~(np.isnan(truth) | np.isnan(generated))
    return float(np.corrcoef(truth[both], generated[both])[0, 1])


def mouth_lag(truth: np.ndarray, generated: np.ndarray, reach: int = REACH) -> float:
    """The lag in frames, within ±reach, at which the openings' cross-correlation is greatest; positive: the generated is late.

    The sample cross-correlation (Box & Jenkins 1970) has means and deviations of the whole clip: a lag counts for less as fewer
    pairs are left. Pearson's of the pairs at each lag does not: where the real mouth opens to breathe in before the
    sentence and the generated one does not, it is best without these frames, and lags lean to the negative (docs/metrics.md).
    Frames without a face count for nothing; of equal lags the least is taken. NaN where either opening
    does not vary, or faces are missing in more than half of the frames.
    """
    n = len(truth)
    if not (comparable(truth, generated) and seen_often(truth, generated)):
        return float("nan")
    a, b = (np.nan_to_num(opening - np.nanmean(opening)) for opening in (truth, generated))
    reach = min(reach, n - 1)
    products = {
        lag: a[max(0, -lag) : n - max(0, lag)] @ b[max(0, lag) : n - max(0, -lag)] for lag in range(-reach, reach + 1)
    }
    return float(max(products, key=lambda lag: (products[lag], -abs(lag))))
