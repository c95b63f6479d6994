"""Bootstrap confidence intervals that respect time.

Rows of one day share weather, crews and mistakes, so resampling single rows would promise more
certainty than there is. Whole blocks (days) are drawn instead.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13 (percentile
intervals); Davison and Hinkley, "Bootstrap Methods and their Application" (1997), section 3.8
(resampling of clusters).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.metrics import higher_is_better, prepare

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

RESAMPLES = 500


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
        p_value: Share of resamples in which the challenger is not better by more than the margin,
            an upper bound of the one-sided p-value of "no better".
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

    prepared = {name: prepare(name, target, predicted) for name in metrics}
    ones = np.ones(len(target))
    draws: dict[str, list[float]] = {name: [] for name in metrics}
    for weights in _resamples(blocks, seed, resamples):
        for name, metric in prepared.items():
            draws[name].append(metric(weights))
    tail = (1 - confidence) / 2
    found = {}
    for name, metric in prepared.items():
        low, high = np.nanquantile(draws[name], [tail, 1 - tail])
        found[name] = Interval(metric(ones), float(low), float(high))
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
    pair = (
        prepare(metric, target, challenger),
        prepare(metric, target, champion),
    )
    gains = np.array([sign * (pair[0](w) - pair[1](w)) for w in _resamples(blocks, seed, resamples)])
    gains = gains[~np.isnan(gains)]
    ones = np.ones(len(target))
    tail = (1 - confidence) / 2
    low, high = np.quantile(gains, [tail, 1 - tail])
    # The +1 keeps a finite number of resamples from ever claiming certainty.
    p_value = (1 + int((gains <= margin).sum())) / (1 + len(gains))
    return PairedDifference(sign * (pair[0](ones) - pair[1](ones)), float(low), float(high), float(p_value))


def _resamples(blocks: "Array", seed: int, count: int) -> "Iterator[Array]":
    """Yield row weights: how often each row's block was drawn."""
    import numpy as np

    _, member = np.unique(blocks, return_inverse=True)
    n_blocks = int(member.max()) + 1
    if n_blocks < 5:
        # Too few blocks to resample; fall back to rows, which is all the data allow.
        member, n_blocks = np.arange(len(blocks)), len(blocks)
    generator = np.random.default_rng(seed)
    for _ in range(count):
        drawn = np.bincount(generator.integers(0, n_blocks, n_blocks), minlength=n_blocks)
        yield drawn[member].astype(float)
