"""Bootstrap confidence intervals that respect time.

Rows of one day share weather, crews and mistakes, so resampling single rows would promise more
certainty than there is. Whole blocks (days) are drawn instead. A hold-out has a few dozen of them,
for which plain percentile intervals are too narrow, so the percentiles are moved outwards by as much
as Student's t is wider than the normal distribution.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13 (percentile
intervals); Davison and Hinkley, "Bootstrap Methods and their Application" (1997), section 3.8
(resampling of clusters); Hesterberg, "What Teachers Should Know About the Bootstrap", The American
Statistician 69 (2015), section 5.2 (expanded percentile intervals).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.metrics import higher_is_better, prepare

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]

RESAMPLES = 500
_FEWEST_BLOCKS = 5


@dataclass(frozen=True)
class Interval:
    """A figure and the bounds of its two-sided confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True)
class PairedDifference:
    """How much better a challenger is than the champion, on the same rows.

    Attributes:
        gain: Difference of the metric, positive where the challenger is better.
        low: Lower bound of the gain's two-sided interval.
        high: Its upper bound.
        p_value: One-sided p-value of "not better by more than the margin", from the share of resamples
            in which it is not, and where there is none from their spread; 1 where the metric is not
            defined.
    """

    gain: float
    low: float
    high: float
    p_value: float


def intervals(
    metrics: Sequence[str],
    target: "Array",
    predicted: "Array",
    blocks: "Array",
    *,
    confidence: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Interval]:
    """Return each metric with its interval.

    Args:
        metrics: Names of metrics.
        target: Encoded targets, shape (n,).
        predicted: Predictions, shape (n,) or (n, classes).
        blocks: Which block each row belongs to, such as its date; shape (n,).
        confidence: Two-sided coverage.
        seed: Seed of the resampling.
        resamples: Number of resamples.
    """
    import numpy as np

    member, n_blocks = _members(blocks)
    prepared = {name: prepare(name, target, predicted) for name in metrics}
    ones = np.ones(len(target))
    draws: dict[str, list[float]] = {name: [] for name in metrics}
    for weights in _resamples(member, n_blocks, seed, resamples):
        for name, metric in prepared.items():
            draws[name].append(metric(weights))
    found = {}
    for name, metric in prepared.items():
        low, high = _bounds(np.asarray(draws[name]), n_blocks, confidence)
        found[name] = Interval(metric(ones), low, high)
    return found


def paired_difference(
    metric: str,
    target: "Array",
    challenger: "Array",
    champion: "Array",
    blocks: "Array",
    *,
    margin: float = 0.0,
    confidence: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> PairedDifference:
    """Return how much better the challenger is; both are measured on every same resample."""
    import numpy as np

    sign = 1.0 if higher_is_better(metric) else -1.0
    member, n_blocks = _members(blocks)
    pair = (
        prepare(metric, target, challenger),
        prepare(metric, target, champion),
    )
    draws = [sign * (pair[0](w) - pair[1](w)) for w in _resamples(member, n_blocks, seed, resamples)]
    ones = np.ones(len(target))
    gain = sign * (pair[0](ones) - pair[1](ones))
    low, high = _bounds(np.asarray(draws), n_blocks, confidence)
    return PairedDifference(gain, low, high, _p_value(np.asarray(draws), margin, n_blocks))


def time_blocks(times: "pd.Series[Any]") -> "Array":
    """Return the block of each row: its day, or its hour where there are fewer than five days."""
    for length in ("D", "h"):
        blocks = times.dt.floor(length)
        if blocks.nunique() >= _FEWEST_BLOCKS:
            break
    found: Array = blocks.to_numpy()
    return found


def _members(blocks: "Array") -> "tuple[Array, int]":
    """Return the number of each row's block, and how many there are."""
    import numpy as np

    found, member = np.unique(blocks, return_inverse=True)
    if len(found) < _FEWEST_BLOCKS:
        # Too few blocks to resample; fall back to rows, which is all the data allow.
        return np.arange(len(blocks)), len(blocks)
    return member, len(found)


def _resamples(member: "Array", n_blocks: int, seed: int, count: int) -> "Iterator[Array]":
    """Yield row weights: how often each row's block was drawn."""
    import numpy as np

    generator = np.random.default_rng(seed)
    for _ in range(count):
        drawn = np.bincount(generator.integers(0, n_blocks, n_blocks), minlength=n_blocks)
        yield drawn[member].astype(float)


def _bounds(draws: "Array", n_blocks: int, confidence: float) -> tuple[float, float]:
    """Return the expanded percentile interval."""
    import numpy as np
    from scipy.stats import norm, t

    draws = draws[~np.isnan(draws)]
    if len(draws) == 0 or n_blocks < 2:
        return float("nan"), float("nan")
    wanted = t.ppf((1 + confidence) / 2, n_blocks - 1) * math.sqrt(n_blocks / (n_blocks - 1))
    tail = norm.sf(wanted)
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def _p_value(draws: "Array", margin: float, n_blocks: int) -> float:
    """Return the p-value that goes with :func:`_bounds`."""
    import numpy as np
    from scipy.stats import norm, t

    draws = draws[~np.isnan(draws)]
    if len(draws) == 0 or n_blocks < 2:
        return 1.0
    # The +1 keeps a finite number of resamples from ever claiming certainty.
    share = (1 + int((draws <= margin).sum())) / (1 + len(draws))
    distance = float(norm.isf(share))
    if share * (1 + len(draws)) == 1 and (spread := float(draws.std(ddof=1))) > 0:
        # Beyond the furthest resample only the shape of all of them tells how far it still is.
        distance = max(distance, (float(draws.mean()) - margin) / spread)
    return float(t.sf(distance / math.sqrt(n_blocks / (n_blocks - 1)), n_blocks - 1))
