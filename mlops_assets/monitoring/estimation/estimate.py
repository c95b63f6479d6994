"""An estimated metric and the interval in which it will be measured.

Three things part what will be measured from what is estimated. Labels are thrown; days are good or bad as a
whole; and what the estimate rests on was learnt from a hold-out that has an end. Each gives a variance, and
they add up. The second and the third are known from a few days only, for which Student's t pays.

Source: Tukey, "Bias and Confidence in Not-quite Large Samples", Annals of Mathematical Statistics 29
(1958), for the third; Satterthwaite, "An Approximate Distribution of Estimates of Variance Components",
Biometrics Bulletin 2 (1946), for the degrees of freedom of their sum; Kish, "Survey Sampling" (1965),
chapter 5, for rows that go together.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# So many degrees of freedom are those of the normal distribution.
_NORMAL = 1e9
_LARGEST_LOG_LOSS = 52 * math.log(2)
_RANGES = {
    "roc_auc": (0.0, 1.0),
    "brier": (0.0, 1.0),
    "accuracy": (0.0, 1.0),
    "macro_recall": (0.0, 1.0),
    "log_loss": (0.0, _LARGEST_LOG_LOSS),
    "r2": (-math.inf, 1.0),
    "mae": (0.0, math.inf),
    "rmse": (0.0, math.inf),
}


@dataclass(frozen=True)
class Estimate:
    """What a metric of a window will be measured to be.

    Attributes:
        metric: Name of the metric.
        value: The estimate.
        low: Lower bound of the measured value.
        high: Its upper bound.
        confidence: How often such bounds are to hold.
        label_error: Standard error from labels, if each row were by itself.
        block_error: Standard error from days that are good or bad as a whole.
        own_error: Standard error of the estimate, from a hold-out that has an end.
        degrees: Degrees of freedom of the three together.
        support: How many labels of rows like these the hold-out is worth.
    """

    metric: str
    value: float
    low: float
    high: float
    confidence: float
    label_error: float
    block_error: float
    own_error: float
    degrees: float
    support: float

    @property
    def error(self) -> float:
        """Standard error of the measured value about the estimate."""
        return math.hypot(self.label_error, self.block_error, self.own_error)

    def within(self, reach: float) -> "Estimate":
        """Return the same with bounds that lie so many standard errors off, as far as the metric goes."""
        least, most = _RANGES[self.metric]
        # Infinitely many standard errors of nothing are infinitely far as well.
        half = reach * self.error if math.isfinite(reach) else math.inf
        bounds = {"low": max(least, self.value - half), "high": min(most, self.value + half)}
        return Estimate(**{**vars(self), **bounds})

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True, eq=False)
class Expectation:
    """What is expected of a metric of a window.

    Attributes:
        value: The metric.
        label_variance: Its variance if each row were by itself.
        shifts: How much the value differs without each block of the hold-out, shape (blocks,).
    """

    value: float
    label_variance: float
    shifts: "Array"


@dataclass(frozen=True)
class BlockEffect:
    """How alike the rows of one block are.

    Attributes:
        covariance: Of what two rows of one block add to a metric, times the number of all rows squared.
        rows: Rows of a block, on average over rows.
        blocks: How many blocks of equal size would tell as much.
        carry: How many times the variance is because what a day is like carries over into the next.
    """

    covariance: float
    rows: float
    blocks: float
    carry: float

    @classmethod
    def of(cls, residuals: "Array", blocks: "Array") -> "BlockEffect":
        """Return the effect that a hold-out shows.

        Args:
            residuals: What each row added to the metric beyond what was expected of it, times the number
                of rows; shape (n,).
            blocks: Block of each row, such as its day.
        """
        import numpy as np

        member = np.unique(blocks, return_inverse=True)[1]
        rows, sums = np.bincount(member), np.bincount(member, residuals)
        squares = float(rows @ rows)
        pairs = squares - len(residuals)
        covariance = float(sums @ sums - residuals @ residuals) / pairs if pairs and len(rows) > 1 else 0.0
        total = float(sums @ sums)
        carry = 1 + 2 * max(float(sums[1:] @ sums[:-1]) / total, 0.0) if total > 0 else 1.0
        return cls(max(covariance, 0.0), squares / len(residuals), len(residuals) ** 2 / squares, carry)

    def variance(self, rows: int, block_rows: "Array | None") -> float:
        """Return what it adds to the variance of a metric.

        Args:
            rows: Rows of the window.
            block_rows: Rows of each of its blocks; None where they are like those of the hold-out.
        """
        alike = min(self.rows, rows) if block_rows is None else float(block_rows @ block_rows) / rows
        return self.carry * self.covariance * max(alike - 1, 0.0) / rows


@dataclass(frozen=True, eq=False)
class Window:
    """The rows that an estimate is about.

    Attributes:
        rows: How many.
        block_rows: How many each of their blocks has, shape (blocks,); None if that is not known.
        support: How many labels of rows like these the hold-out is worth.
    """

    rows: int
    block_rows: "Array | None"
    support: float


def make_estimate(
    metric: str,
    expectation: Expectation,
    effect: BlockEffect,
    window: Window,
    confidence: float,
) -> Estimate:
    """Return the estimate that follows from what is expected.

    Args:
        metric: Name of the metric.
        expectation: What is expected of it.
        effect: How alike the rows of a block are.
        window: The rows that it is about.
        confidence: How often the bounds are to hold.
    """
    shifts, label = expectation.shifts, expectation.label_variance
    learnt = float(shifts.var()) * (len(shifts) - 1)
    own = max(effect.carry * learnt, label * window.rows / window.support)
    block = effect.variance(window.rows, window.block_rows)
    told = block**2 / max(effect.blocks - 1, 1) + own**2 / max(len(shifts) - 1, 1)
    degrees = min((label + block + own) ** 2 / told, _NORMAL) if told > 0 else _NORMAL
    draft = Estimate(
        metric=metric,
        value=expectation.value,
        low=expectation.value,
        high=expectation.value,
        confidence=confidence,
        label_error=math.sqrt(label),
        block_error=math.sqrt(block),
        own_error=math.sqrt(own),
        degrees=degrees,
        support=window.support,
    )
    return draft.within(reach(degrees, confidence))


def reach(degrees: float, confidence: float) -> float:
    """Return how many standard errors off the bounds are, by Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + confidence) / 2))
