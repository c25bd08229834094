"""Does the generated mouth move as the real one does, and when the real one does?"""

import numpy as np

REACH = 15  # frames either way in which the lag is sought
LEAST_PAIRS = 10  # over fewer frames, 0.4 s, any two curves may correlate


def mouth_correlation(truth: np.ndarray, generated: np.ndarray, lag: int = 0, least_pairs: int = LEAST_PAIRS) -> float:
    """Pearson correlation of mouth openings, the generated one taken `lag` frames later: (T,), (T,) → −1 … 1.

    Frames without a face (NaN) are left out. NaN where either opening does not vary, or fewer than `least_pairs` are left.
    """
    n = len(truth)
    a, b = truth[max(0, -lag) : n - max(0, lag)], generated[max(0, lag) : n - max(0, -lag)]
    both = ~(np.isnan(a) | np.isnan(b))
    a, b = a[both], b[both]
    if len(a) < least_pairs or np.ptp(a) < 1e-9 or np.ptp(b) < 1e-9:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def mouth_lag(truth: np.ndarray, generated: np.ndarray, reach: int = REACH) -> float:
    """The lag in frames, within ±reach, at which the openings correlate most; positive: the generated mouth is late.

    Lags that leave faces on both sides in less than half of the clip's frames are not tried: chance alone correlates short
    pieces. Of equal correlations the least lag counts. NaN where there is none at all.
    """
    # At most half the clip is shifted out, even where no face is missing.
    reach, least_pairs = min(reach, len(truth) // 2), max(LEAST_PAIRS, -(-len(truth) // 2))
    lags = range(-reach, reach + 1)
    correlations = {lag: mouth_correlation(truth, generated, lag, least_pairs) for lag in lags}
    known = {lag: r for lag, r in correlations.items() if not np.isnan(r)}
    return float(max(known, key=lambda lag: (known[lag], -abs(lag)))) if known else float("nan")
