"""Intervals of a proportion whose trials come in clusters.

The percentile interval of a share of .9 over 50 clusters holds the truth in .90 of samples; this
one in .94 to .96 (benchmarks/gate_calibration.py).
"""

import math


def wilson(share: float, trials: float, critical: float) -> tuple[float, float]:
    """The score interval of a share over independent trials (Wilson, JASA 1927).

    Its ends are the shares whose own standard error puts the observed one `critical` away.
    """
    shrink = critical * critical / trials
    middle = (share + 0.5 * shrink) / (1.0 + shrink)
    inside = share * (1.0 - share) / trials + 0.25 * shrink / trials
    half = critical * math.sqrt(max(inside, 0.0)) / (1.0 + shrink)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def effective_trials(share: float, error: float, clusters: float, rows: float) -> float:
    """How many independent trials would give a share this standard error.

    share (1 - share) / error^2 (Korn and Graubard, Survey Methodology 1998), and never more than
    the effective number of rows. A share of 0 or 1 has an error of 0 whatever was seen: there each
    cluster counts as one trial, as if its rows were all alike.
    """
    variance = share * (1.0 - share)
    if variance <= 0.0:
        return clusters
    return rows if error * error * rows <= variance else variance / (error * error)
