"""Intervals that grow when the labels show that they were too narrow.

How far off the audited windows were, in standard errors, is put beside what the estimator itself says, as
if that were twenty windows; the reach of the next interval is a quantile of all. Which quantile follows how
the intervals so far did: a miss moves it outwards, a hit a little back. Whatever happens in the world and
in whatever order, of T audited windows at most ``(1 - confidence) * T + (1 - confidence + STEP) / STEP``
are then missed; with 95 % that is one in twenty and 6 more. The price is paid in width: an interval that
has to hold and knows nothing is the whole range of the metric. Intervals never become narrower than the
estimator's own.

Source: Gibbs and Candès, "Adaptive Conformal Inference Under Distribution Shift", NeurIPS 2021, proposition
4.1, of which one side is left as the level is kept from rising above where it began.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence

from mlops_assets.monitoring.estimation.audit import AuditedWindow
from mlops_assets.monitoring.estimation.estimate import Estimate, reach

STEP = 0.01
_OWN_WINDOWS = 20


def widen(estimate: Estimate, audited: Sequence[AuditedWindow]) -> Estimate:
    """Return the estimate with the interval that the audits so far call for.

    Args:
        estimate: Of one metric, as the estimator gave it.
        audited: Earlier windows of the same metric and the same estimator, in the order in which their labels
            came. Their intervals are to have been widened likewise.
    """
    if not audited:
        return estimate
    own = reach(estimate.degrees, estimate.confidence)
    allowed = 1 - estimate.confidence
    level = allowed
    for window in audited:
        level = min(allowed, level + STEP * (allowed - (not window.covered)))
    if level <= 0:
        return estimate.within(math.inf)
    return estimate.within(max(own, _quantile(estimate.degrees, [w.distance for w in audited], 1 - level)))


def _quantile(degrees: float, distances: Sequence[float], share: float) -> float:
    """Return the distance that so large a share of audited and of the estimator's own windows keeps."""
    from scipy.special import stdtr

    ordered = sorted(distances)
    wanted = share * (_OWN_WINDOWS + len(ordered))

    def keep(distance: float) -> float:
        own = 2 * float(stdtr(degrees, distance)) - 1
        return _OWN_WINDOWS * own + bisect_right(ordered, distance)

    below, above = 0.0, 1.0
    while keep(above) < wanted and above < 1e9:
        below, above = above, 2 * above
    for _ in range(60):
        middle = (below + above) / 2
        below, above = (below, middle) if keep(middle) >= wanted else (middle, above)
    return above
