"""A model's past, that is seen only as it was known at a time."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from mlops_assets.evaluation.expectation import ShownGain
from mlops_assets.evaluation.metrics import higher_is_better

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_RESAMPLES = 200
_FEWEST_ROWS = 2
_SMALLEST_LOSS = 1e-9


class Trained(Protocol):
    """A trained version."""

    @property
    def seconds(self) -> float:
        """Processor time of its training."""

    def predict(self, rows: "Array") -> "Array":
        """Return what it says of rows, given by their positions: shape (n,), or (n, classes)."""


class Trainer(Protocol):
    """Trains a version; the port through which a replay reaches a model's own training."""

    def train(self, rows: "Array") -> Trained:
        """Return a version that learned from these rows, given by their positions, and from no other."""


@dataclass(frozen=True, eq=False)
class History:
    """Rows that a model answered, and when their labels came.

    Attributes:
        model: Name of the model.
        metric: Its primary metric.
        target: Encoded targets, shape (n,), in order of time; see
            :func:`mlops_assets.evaluation.metrics.encode_target`.
        times: When the rows' events happened, datetime64, shape (n,).
        known_at: When their labels were known, datetime64, shape (n,).
        ticks: When it is decided: the ends of windows, the first of them that of the first training.
        incidents: What was found about labels or data, by number of the tick at which it was open.
        tolerance: Loss of the metric against the hold-out that is no harm yet; None if harm is not asked for.
        min_labels: Fewest labelled rows that allow a judgement of harm.
    """

    model: str
    metric: str
    target: "Array"
    times: "Array"
    known_at: "Array"
    ticks: tuple[datetime, ...]
    incidents: Mapping[int, str] = field(default_factory=dict)
    tolerance: float | None = None
    min_labels: int = 200

    def learned_from(self, at: datetime) -> "Array":
        """Return the positions of the rows whose label was known at a time."""
        import numpy as np

        return np.flatnonzero(self.known_at <= np.datetime64(at))

    def labelled(self, after: datetime, at: datetime) -> "Array":
        """Return the positions of the rows whose label came after one time and by another."""
        import numpy as np

        return np.flatnonzero((self.known_at > np.datetime64(after)) & (self.known_at <= np.datetime64(at)))

    def served(self, window: int) -> "Array":
        """Return the positions of the rows between the tick before and this one."""
        import numpy as np

        start, end = self.ticks[window - 1], self.ticks[window]
        return np.flatnonzero((self.times >= np.datetime64(start)) & (self.times < np.datetime64(end)))

    def compare(
        self, challenger: Trained, champion: Trained, rows: "Array", margin: float = 0.0
    ) -> "Comparison | None":
        """Return how much better one version is than another on some rows; None where that is not defined.

        Args:
            challenger: The one.
            champion: The other.
            rows: The rows, by their positions.
            margin: Gain of the metric that counts as none yet.
        """
        import pandas as pd

        from mlops_assets.evaluation.intervals import paired_difference, time_blocks
        from mlops_assets.evaluation.metrics import measure

        if len(rows) < _FEWEST_ROWS:
            return None
        target, old, new = self.target[rows], champion.predict(rows), challenger.predict(rows)
        before = loss_of(self.metric, measure(self.metric, target, old))
        after = loss_of(self.metric, measure(self.metric, target, new))
        if math.isnan(before) or math.isnan(after):
            return None
        blocks = time_blocks(pd.Series(self.times[rows]))
        found = paired_difference(self.metric, target, new, old, blocks, margin=margin, resamples=_RESAMPLES)
        # The interval is of 95 %; what it is wider for few blocks makes the error no smaller.
        before = max(before, _SMALLEST_LOSS)
        return Comparison(
            len(rows),
            math.log(before / max(after, _SMALLEST_LOSS)),
            (found.high - found.low) / (2 * 1.96) / before,
            found.p_value,
            math.log(before / max(before - margin, _SMALLEST_LOSS)),
        )

    def judge_harm(self, version: Trained, fresh: "Array", holdout: "Array") -> tuple[bool, str]:
        """Return whether a version does harm, and why: as in :mod:`mlops_assets.monitoring.assessment`.

        Args:
            version: The champion.
            fresh: The rows to judge it by.
            holdout: The rows that it is held against.
        """
        import pandas as pd

        from mlops_assets.evaluation.intervals import intervals, time_blocks

        if self.tolerance is None:
            return False, "harm is not asked for"
        if len(fresh) < self.min_labels:
            return False, f"{len(fresh)} labels, and harm is judged from {self.min_labels} on"
        promised = self.measure(version, holdout)
        blocks = time_blocks(pd.Series(self.times[fresh]))
        told = intervals(
            [self.metric], self.target[fresh], version.predict(fresh), blocks, resamples=_RESAMPLES
        )[self.metric]
        up = higher_is_better(self.metric)
        harm = told.high < promised - self.tolerance if up else told.low > promised + self.tolerance
        worse = "worse" if harm else "not shown to be worse"
        return harm, f"{self.metric} {told} against {promised:.4f} on the hold-out: {worse}"

    def measure(self, version: Trained, rows: "Array") -> float:
        """Return a version's primary metric on some rows; NaN where it is not defined."""
        from mlops_assets.evaluation.metrics import measure

        if len(rows) == 0:
            return math.nan
        return measure(self.metric, self.target[rows], version.predict(rows))


@dataclass(frozen=True)
class Comparison:
    """How much better a challenger is than a champion.

    Attributes:
        rows: On how many rows that neither learned from.
        gain: Logarithm of the champion's loss over the challenger's.
        error: Its standard error; NaN where there are too few blocks.
        p_value: One-sided, of "not better by more than the margin".
        margin: Gain that counts as none yet.
    """

    rows: int
    gain: float
    error: float
    p_value: float
    margin: float = 0.0

    @property
    def shown(self) -> ShownGain:
        """What the rows show, for weighing it with what was expected."""
        return ShownGain(self.gain, self.error, self.margin)


def loss_of(metric: str, value: float) -> float:
    """Return a metric as a loss, of which less is better: what is missing to 1 where more is better."""
    return 1 - value if higher_is_better(metric) else value
