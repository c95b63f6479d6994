"""Which rows of a window can be judged: whose labels are due and there, and whether they are like the rest.

A label that came before it was due is left out, as what becomes known early is rarely like what takes its
time: a default is seen before the loan could be paid back. Of the labels that are due and did not come,
nobody knows what they would say. What is known is what the model said of those rows. If that differs between
rows with and without a label by more than chance, the labels are selective, and rows are weighted so that the
labelled ones are as all that are due, tenth by tenth of what the model said. That mends a selection by the
output, or by anything that it tells, and no other.

Source: Little and Rubin, "Statistical Analysis with Missing Data" (2019), chapters 1 and 3, for what can be
known of missing values and for weighting classes; Holt and Smith, "Post Stratification", Journal of the Royal
Statistical Society A 142 (1979), for the weights.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.block_jackknife import block_sums, critical, effective_blocks, jackknife
from mlops_assets.monitoring.performance.blocks import Blocks, blocks_of
from mlops_assets.specs.durations import format_duration

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_FEWEST = 30
_ALPHA = 0.01
# In places of a hundred: what shifts the labelled rows by less hardly moves a metric.
_LEAST_SHIFT = 1.0
_STRATA = 10
_MOST_CLASSES = 10


@dataclass(frozen=True, eq=False)
class LabelArrival:
    """What is known of a window's labels.

    Attributes:
        served: Rows that were answered.
        due: Of these, whose label should be known.
        early: Rows that are not due and have one all the same.
        judged: Which rows are due and have one, as truth values; shape (served,).
        shift: By how many places of a hundred the outputs of labelled rows lie from those of all due rows.
        selective: Whether that is more than chance explains and enough to matter.
        weights: How much each judged row counts; None if they count alike.
        beyond: Share of the due rows that no labelled row is like, for which no weight can make up.
        told: All of this in a sentence or two.
    """

    served: int
    due: int
    early: int
    judged: "Array"
    shift: float
    selective: bool
    weights: "Array | None"
    beyond: float
    told: str

    @property
    def labelled(self) -> int:
        """How many rows are judged."""
        return int(self.judged.sum())

    @property
    def share(self) -> float:
        """Share of the due rows that have a label; 0 if none is due."""
        return self.labelled / self.due if self.due else 0.0


def label_arrival(
    outputs: "Array",
    known: "Array",
    times: "Array",
    *,
    as_of: datetime,
    label_delay: timedelta,
    entities: "Array | None" = None,
) -> LabelArrival:
    """Return which rows can be judged, and whether they are like the others.

    Args:
        outputs: Predictions, shape (n,) or (n, classes).
        known: Whether a label that can be used is known; shape (n,).
        times: When each row's event happened; datetime64, naive UTC, shape (n,).
        as_of: What was known when; naive UTC.
        label_delay: How long after its event a label is known.
        entities: As for :func:`mlops_assets.monitoring.performance.blocks.blocks_of`.
    """
    import numpy as np

    due = times.astype("datetime64[us]") <= np.datetime64(as_of - label_delay, "us")
    judged, missing = due & known, due & ~known
    shift, selective, weights, beyond = 0.0, False, None, 0.0
    if judged.sum() >= _FEWEST and missing.sum() >= _FEWEST:
        blocks = blocks_of(times[due], None if entities is None else entities[due])
        shift, selective = _shift(outputs[due], known[due], blocks)
        if selective:
            weights, beyond = _strata_weights(outputs[due], known[due])
    told = [_counts_told(len(due), int(due.sum()), int(judged.sum()), label_delay)]
    if (gap := _gap_told(times[due], known[due])) is not None:
        told.append(gap)
    if selective:
        told.append(
            f"labels look selective: what the model said of labelled rows lies {abs(shift):.0f} places of a "
            f"hundred from all that are due, and rows are weighted to make up for it"
        )
    if beyond > 0:
        told.append(f"of {beyond:.0%} of the due rows nothing can be told, as none like them has a label")
    early = int((known & ~due).sum())
    return LabelArrival(
        len(due), int(due.sum()), early, judged, shift, selective, weights, beyond, "; ".join(told)
    )


def _counts_told(served: int, due: int, labelled: int, delay: timedelta) -> str:
    if not due:
        return f"none of {served:,} rows is due: a label takes {format_duration(delay)}"
    told = f"{labelled:,} of {due:,} due rows have labels ({labelled / due:.0%})"
    waiting = served - due
    return told + (f", and {waiting:,} rows are not due yet" if waiting else "")


def _gap_told(times: "Array", known: "Array") -> str | None:
    """Return what is to be said if labels stopped coming at some time."""
    import numpy as np

    if not known.any() or known.all():
        return None
    last = times[known].max()
    after = int((times > last).sum())
    # So many in a row without one are no chance.
    if (1 - known.mean()) ** after > _ALPHA / len(times):
        return None
    return f"no label came of the {after:,} rows after {np.datetime_as_string(last, 'm')}"


def _shift(outputs: "Array", known: "Array", blocks: Blocks) -> tuple[float, bool]:
    """Return by how much the labelled rows' outputs are moved against those of all, and whether surely."""
    import numpy as np

    places = _places(outputs)
    # As what lacks a label may be what is extreme either way, distance from the middle counts as well.
    figures = np.column_stack([places, 2 * np.abs(places - 50)])
    summands = np.column_stack([figures, figures * known[:, None], np.ones(len(known)), known])
    width = figures.shape[1]
    sums = block_sums(summands, np.zeros(len(known), dtype=int), 1, blocks.member)
    found = jackknife(
        lambda each: each[..., width : 2 * width] / each[..., -1:] - each[..., :width] / each[..., -2:-1],
        sums,
    )
    count = np.minimum(effective_blocks(sums[:, 0, -1]), effective_blocks(sums[:, 0, -2]))
    margin = critical(_ALPHA / 2, width, count) * found.error[0]
    shifts = found.value[0]
    most = int(np.abs(shifts).argmax())
    surely = (np.abs(shifts) - np.nan_to_num(margin, nan=np.inf) > 0) & (np.abs(shifts) >= _LEAST_SHIFT)
    return float(shifts[most]), bool(surely.any())


def _places(outputs: "Array") -> "Array":
    """Return the place of each output among all, of a hundred; shape (n, columns)."""
    import numpy as np
    from scipy.stats import rankdata

    columns = outputs.reshape(len(outputs), -1)
    if columns.shape[1] > _MOST_CLASSES:
        columns = columns[:, columns.mean(axis=0).argsort()[::-1][:_MOST_CLASSES]]
    return np.asarray((rankdata(columns, axis=0) - 0.5) / len(columns) * 100)


def _strata_weights(outputs: "Array", known: "Array") -> "tuple[Array, float]":
    """Return the weight of each labelled row, and the share of rows in strata without any."""
    import numpy as np

    columns = outputs.reshape(len(outputs), -1)
    score = columns[:, 0] if columns.shape[1] == 1 else columns.max(axis=1)
    edges = np.unique(np.quantile(score, np.arange(1, _STRATA) / _STRATA))
    stratum = np.searchsorted(edges, score, side="right")
    if columns.shape[1] > 1:
        stratum = stratum + (len(edges) + 1) * columns.argmax(axis=1)
    every = np.bincount(stratum)
    labelled = np.bincount(stratum, known)
    weights = every / np.maximum(labelled, 1)
    beyond = float(every[labelled == 0].sum() / len(known))
    return weights[stratum[known]], beyond
