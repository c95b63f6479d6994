"""How a version did in one window, by the labels that are there; or what is missing to tell."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.metrics import metrics_of
from mlops_assets.monitoring.performance.blocks import blocks_of
from mlops_assets.monitoring.performance.label_arrival import LabelArrival, label_arrival
from mlops_assets.monitoring.performance.measured import Measured, measure_metrics
from mlops_assets.specs.tasks import Task

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class WindowPerformance:
    """What the labels of a window say.

    Attributes:
        arrival: Which labels there are.
        metrics: Each metric that is defined on the judged rows.
        rests_on: What the intervals rest on.
        missing: What is missing for a judgement; empty if nothing is.
    """

    arrival: LabelArrival
    metrics: Mapping[str, Measured] = field(default_factory=dict)
    rests_on: str = ""
    missing: str = ""


def measure_window(
    task: Task,
    outputs: "Array",
    target: "Array",
    times: "Array",
    *,
    as_of: datetime,
    label_delay: timedelta,
    min_labels: int,
    entities: "Array | None" = None,
    confidence: float = 0.95,
) -> WindowPerformance:
    """Return every metric of the task on the rows of a window that can be judged.

    Args:
        task: What is predicted.
        outputs: What one version answered, shape (n,) or (n, classes).
        target: The rows' labels as :func:`.labels.encode_labels` returns them, NaN where unknown; shape (n,).
        times: When each row's event happened; datetime64, naive UTC, shape (n,).
        as_of: What was known when; naive UTC.
        label_delay: How long after its event a label is known.
        min_labels: Fewest rows that allow a judgement.
        entities: As for :func:`.blocks.blocks_of`.
        confidence: Two-sided coverage of each interval.
    """
    import numpy as np

    arrival = label_arrival(
        outputs, ~np.isnan(target), times, as_of=as_of, label_delay=label_delay, entities=entities
    )
    judged = arrival.judged
    missing = _missing(arrival, min_labels, times, label_delay)
    if arrival.labelled < 2:
        return WindowPerformance(arrival, missing=missing)
    blocks = blocks_of(times[judged], None if entities is None else entities[judged])
    metrics = measure_metrics(
        metrics_of(task),
        target[judged],
        outputs[judged],
        blocks,
        confidence=confidence,
        weights=arrival.weights,
    )
    return WindowPerformance(arrival, metrics, blocks.rests_on, missing)


def _missing(arrival: LabelArrival, min_labels: int, times: "Array", label_delay: timedelta) -> str:
    """Return what a judgement lacks, and when it can come."""
    if arrival.labelled >= min_labels:
        return ""
    told = f"{arrival.labelled:,} labels of {arrival.due:,} due rows, and a judgement needs {min_labels:,}"
    if arrival.due == arrival.served:
        return f"{told}; all rows are due, so these labels are late or nobody sends them"
    last = times.max().astype("datetime64[us]").item() + label_delay
    return f"{told}; {arrival.served - arrival.due:,} rows more become due until {last:%Y-%m-%d %H:%M}"
