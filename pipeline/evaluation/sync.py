"""Does the generated mouth move as the real one does, and when the real one does?"""

import numpy as np

REACH = 15  # frames either way in which the lag is sought


def mouth_correlation(truth: np.ndarray, generated: np.ndarray, lag: int = 0) -> float:
    """Pearson correlation of mouth openings, the generated one taken `lag` frames later: (T,), (T,) → −1 … 1.

    Frames without a face (NaN) are left out. NaN where either opening does not vary, or fewer than 5 frames are left.
    """
    n = len(truth)
    a, b = truth[max(0, -lag) : n - max(0, lag)], generated[max(0, lag) : n - max(0, -lag)]
    both = ~(np.isnan(a) | np.isnan(b))
    a, b = a[both], b[both]
    if len(a) < 5 or np.ptp(a) < 1e-9 or np.ptp(b) < 1e-9:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def mouth_lag(truth: np.ndarray, generated: np.ndarray, reach: int = REACH) -> float:
    """The lag in frames, within ±reach, at which the openings correlate most; positive: the generated mouth is late.

    Lags that leave less than half of the clip to compare are not tried. NaN where there is no correlation at all.
    """
    reach = min(reach, len(truth) // 2)
    correlations = {lag: mouth_correlation(truth, generated, lag) for lag in range(-reach, reach + 1)}
    known = {lag: r for lag, r in correlations.items() if not np.isnan(r)}
    return float(max(known, key=lambda lag: (known[lag], -abs(lag)))) if known else float("nan")
