"""The primary metric, group by group: an average hides who pays for it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.intervals import Interval, intervals

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

FEWEST_ROWS = 50


@dataclass(frozen=True)
class Slice:
    """One group's figure."""

    column: str
    value: str
    rows: int
    metric: Interval


def measure_slices(
    metric: str,
    columns: "pd.DataFrame",
    target: "np.ndarray[Any, Any]",
    predicted: "np.ndarray[Any, Any]",
    blocks: "np.ndarray[Any, Any]",
    *,
    confidence: float = 0.95,
    resamples: int = 200,
) -> list[Slice]:
    """Return ``metric`` for each value of each column that has at least 50 rows.

    Args:
        metric: Name of the metric.
        columns: The slicing columns, one row for each target.
        target: Encoded targets.
        predicted: Predictions.
        blocks: Block of each row, see :mod:`mlops_assets.evaluation.intervals`.
        confidence: Two-sided coverage of each interval.
        resamples: Number of resamples.
    """
    import numpy as np

    found = []
    for name in columns:
        values = columns[name].to_numpy()
        for value in columns[name].dropna().unique():
            mask = values == value
            if mask.sum() < FEWEST_ROWS or len(np.unique(target[mask])) < 2:
                continue
            figure = intervals(
                [metric],
                target[mask],
                predicted[mask],
                blocks[mask],
                confidence=confidence,
                resamples=resamples,
            )[metric]
            found.append(Slice(str(name), str(value), int(mask.sum()), figure))
    return found
