"""A metric of a window with the interval in which its long-run value lies.

The error is that of blocks left out one at a time, and the interval Student's with one degree less than there
are blocks of equal weight. It is laid where errors are symmetric and then taken back: at the logarithm of a
loss, at the log odds of a share, at the logarithm of what R² lacks to 1. So no bound lies where the metric
cannot be. A share of none or all, which no block seems to contradict, has the error that independent rows
would have, after a success and a failure were added.

Source: MacKinnon, Nielsen and Webb, "Fast and Reliable Jackknife and Bootstrap Methods for Cluster-Robust
Inference", Journal of Applied Econometrics 38 (2023); Miller, "The Jackknife - A Review", Biometrika 61
(1974), for the change of scale; Agresti and Caffo, The American Statistician 54 (2000), for the added rows;
Birnbaum and Klose, "Bounds for the Variance of the Mann-Whitney Statistic", Annals of Mathematical Statistics
28 (1957), for the error of an area of 0 or 1.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.block_jackknife import critical
from mlops_assets.evaluation.intervals import Interval
from mlops_assets.monitoring.performance.block_metrics import BlockMetric, block_metrics
from mlops_assets.monitoring.performance.blocks import Blocks

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_SHARES = frozenset({"roc_auc", "accuracy", "macro_recall"})


@dataclass(frozen=True)
class Measured(Interval):
    """A figure with its interval, and what else is needed to compare it with others.

    Attributes:
        error: Its standard error; NaN where it cannot be told, as all below.
        blocks: How many blocks of equal weight it rests on.
    """

    error: float
    blocks: float

    @property
    def interval(self) -> Interval:
        """The figure and its bounds alone."""
        return Interval(self.value, self.low, self.high)


def measure_metrics(
    metrics: Sequence[str],
    target: "Array",
    predicted: "Array",
    blocks: Blocks,
    *,
    confidence: float = 0.95,
    weights: "Array | None" = None,
) -> dict[str, Measured]:
    """Return each metric with its interval; one that is not defined on these rows is left out.

    Args:
        metrics: Names of metrics.
        target: Encoded targets, shape (n,).
        predicted: Predictions, shape (n,) or (n, classes).
        blocks: What the interval is to rest on.
        confidence: Two-sided coverage.
        weights: How much each row counts, shape (n,); all alike if not given.
    """
    found = block_metrics(metrics, target, predicted, blocks.member, weights)
    every = {name: _measured(name, each, confidence) for name, each in found.items()}
    return {name: each for name, each in every.items() if not math.isnan(each.value)}


def measure_mean(values: "Array", blocks: Blocks, *, confidence: float = 0.95) -> Measured:
    """Return the mean of any values with its interval.

    Args:
        values: Shape (n,).
        blocks: What the interval is to rest on.
        confidence: Two-sided coverage.
    """
    return _measured("", block_metrics(["mean"], values, values, blocks.member)["mean"], confidence)


def _measured(metric: str, found: BlockMetric, confidence: float) -> Measured:
    import numpy as np

    value = float(found.jackknife.value)
    steps = float(critical((1 - confidence) / 2, 1, np.asarray(found.blocks)))
    low, high = _bounds(metric, found, steps)
    if metric in _SHARES and math.isfinite(value):
        edge = _error_by_rows(value, found.units) * steps if value in (0.0, 1.0) else 0.0
        low, high = max(min(low, value - edge), 0.0), min(max(high, value + edge), 1.0)
    return Measured(value, low, high, float(found.jackknife.error), found.blocks)


def _bounds(metric: str, found: BlockMetric, steps: float) -> tuple[float, float]:
    import numpy as np

    for there, back in (_scale(metric), (_as_it_is, _as_it_is)):
        with np.errstate(divide="ignore", invalid="ignore"):
            on_scale = found.jackknife.derive(there)
        if np.isfinite(on_scale.value) and np.isfinite(on_scale.without).all() and found.blocks > 1:
            margin = steps * on_scale.error
            ends = sorted(float(back(on_scale.value + side * margin)) for side in (-1, 1))
            return ends[0], ends[1]
    return math.nan, math.nan


_Change = Callable[[Any], Any]


def _scale(metric: str) -> tuple[_Change, _Change]:
    """Return the way to the scale on which errors of a metric are symmetric, and the way back."""
    import numpy as np
    from scipy.special import expit, logit

    if metric in _SHARES:
        return logit, expit
    if not metric:
        return _as_it_is, _as_it_is
    if metric == "r2":
        return lambda value: np.log(1 - value), lambda value: 1 - np.exp(value)
    return np.log, np.exp


def _as_it_is(value: Any) -> Any:
    return value


def _error_by_rows(share: float, units: float) -> float:
    """Return the standard error of a share of independent rows."""
    drawn = (share * units + 1) / (units + 2)
    return math.sqrt(drawn * (1 - drawn) / (units + 2))
