"""What a shift of one column is worth in the metric, if nothing else has changed.

The hold-out's rows are weighted so that the column is distributed as in the window: each by how much more
frequent its class of values is there than in the hold-out. What the metric is then is what is expected,
provided that what holds between this column, the other inputs and the label is what it was; and that of a
class that is frequent in the window there are rows in the hold-out. How much of the window lies in classes of
which there are none is told beside it. The interval is that of days left out, of the difference that the
weights make, and of rows of the window drawn by chance; it is rough, as within a class the window's values
may lie elsewhere.

Source: Shimodaira, "Improving Predictive Inference under Covariate Shift by Weighting the Log-Likelihood
Function", Journal of Statistical Planning and Inference 90 (2000); Sugiyama, Krauledat and Müller, "Covariate
Shift Adaptation by Importance Weighted Cross Validation", Journal of Machine Learning Research 8 (2007);
Kish, "Survey Sampling" (1965), section 11.7, for how many rows the weighted ones are worth.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.block_jackknife import Jackknife, critical, effective_blocks
from mlops_assets.evaluation.metrics import higher_is_better, prepare
from mlops_assets.monitoring.performance.block_metrics import block_metrics
from mlops_assets.monitoring.performance.blocks import Blocks
from mlops_assets.monitoring.profiles.categories import bucket
from mlops_assets.monitoring.profiles.column import CategoricalProfile, ColumnProfile, NumericProfile

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_FEWEST_CLASSES, _MOST_CLASSES, _ROWS_A_CLASS = 8, 64, 40
_ROOM = 0.005
_STEP = 0.01
# Rows that count more than so many others would make a figure of a few rows.
_MOST_WEIGHT = 20.0
_FEWEST_WORTH = 50


@dataclass(frozen=True)
class ExpectedEffect:
    """What a column's shift does to the metric by itself.

    Attributes:
        metric: The metric.
        change: By how much it changes; None where nothing can be told.
        low: Lower bound of that; None likewise.
        high: Upper bound.
        unlike: Share of the window's rows of which the hold-out has too few like them.
        rows: How many rows the weighted hold-out is worth.
        told: In one sentence.
    """

    metric: str
    change: float | None
    low: float | None
    high: float | None
    unlike: float
    rows: float
    told: str


def expected_effect(
    column: str,
    values: Sequence[Any],
    window: ColumnProfile,
    target: "Array",
    predicted: "Array",
    blocks: Blocks,
    metric: str,
    *,
    confidence: float = 0.95,
) -> ExpectedEffect:
    """Return what a column's shift is worth in the metric if nothing else changed.

    Args:
        column: Its name, for the sentence.
        values: The column of the hold-out's rows: numbers (NaN where missing) if ``window`` is a profile of
            numbers, times as microseconds since 1970, else texts (None where missing); shape (n,).
        window: The column's profile in the window.
        target: Encoded targets of the hold-out, shape (n,).
        predicted: What the model says of it, shape (n,) or (n, classes).
        blocks: Which day of the hold-out each row is of.
        metric: Name of the metric.
        confidence: Two-sided coverage of the bounds.
    """
    import numpy as np

    classes = _classes(values, window)
    weights, unlike = _weights(classes)
    worth = float(weights.sum() ** 2 / max(float((weights**2).sum()), 1e-300))
    told = (
        f"{unlike:.0%} of the window has values of which the hold-out has hardly any"
        if unlike >= 0.01
        else ""
    )
    if worth < _FEWEST_WORTH or unlike > 0.5:
        told = told or f"the hold-out has the worth of {worth:.0f} rows like the window's"
        return ExpectedEffect(metric, None, None, None, unlike, worth, f"{column}: cannot be told, {told}")
    plain = block_metrics([metric], target, predicted, blocks.member)[metric]
    moved = block_metrics([metric], target, predicted, blocks.member, weights)[metric]
    difference = Jackknife(
        moved.jackknife.value - plain.jackknife.value, moved.jackknife.without - plain.jackknife.without
    )
    change = float(difference.value)
    error = math.hypot(float(difference.error), _error_of_window(metric, target, predicted, classes, weights))
    if not (math.isfinite(change) and math.isfinite(error)):
        why = f"{column}: cannot be told, {metric} is not defined on rows like the window's"
        return ExpectedEffect(metric, None, None, None, unlike, worth, why)
    held = effective_blocks(np.bincount(blocks.member, weights, blocks.count))
    margin = float(critical((1 - confidence) / 2, 1, held)) * error
    better = (change > 0) == higher_is_better(metric)
    said = (
        f"{column} alone changes {metric} by {change:+.4f} [{change - margin:+.4f}, {change + margin:+.4f}]"
    )
    said += ", to the better" if better and change else ", to the worse" if change else ""
    return ExpectedEffect(
        metric, change, change - margin, change + margin, unlike, worth, f"{said}; {told}" if told else said
    )


def _error_of_window(
    metric: str, target: "Array", predicted: "Array", classes: "_Classes", weights: "Array"
) -> float:
    """Return the standard error that the metric has because the window's rows were drawn by chance."""
    import numpy as np

    figure = prepare(metric, target, predicted)
    whole, rows = figure(weights), float(classes.counts.sum())
    of_class = [
        (figure(np.where(classes.place == place, (1 + _STEP) * weights, weights)) - whole) / _STEP
        for place in np.flatnonzero(classes.counts)
    ]
    shares = classes.counts[classes.counts > 0] / max(rows, 1.0)
    return float(np.sqrt((np.array(of_class) ** 2 / shares).sum() / max(rows, 1.0)))


@dataclass(frozen=True, eq=False)
class _Classes:
    """Classes of a column's values.

    Attributes:
        place: Class of each row of the hold-out, from 0; shape (n,).
        counts: Rows of the window in each class; shape (classes,).
        beyond: Rows of the window whose value is in none of them.
    """

    place: "Array"
    counts: "Array"
    beyond: int


def _classes(values: Sequence[Any], window: ColumnProfile) -> _Classes:
    if isinstance(window, NumericProfile):
        return _of_numbers(values, window)
    return _of_texts(values, window)


def _of_numbers(values: Sequence[Any], window: NumericProfile) -> _Classes:
    """Return classes of equal mass of the hold-out, and one of what is missing."""
    import numpy as np

    numbers, cells = np.asarray(values, dtype="float64"), window.cells
    known, missing = np.isfinite(numbers), window.rows.missing + window.rows.refused
    if not known.any():
        return _Classes(np.zeros(len(numbers), dtype=int), np.array([missing]), cells.total)
    ends = np.quantile(numbers[known], [0, 1])
    count = int(np.clip(known.sum() // _ROWS_A_CLASS, _FEWEST_CLASSES, _MOST_CLASSES))
    inner = np.unique(np.quantile(numbers[known], np.arange(1, count) / count))
    # A profile of many values knows them by a few digits.
    room = _ROOM * max(np.abs(ends).max(), ends[1] - ends[0])
    least = cells.below(ends[:1] - room)[0]
    most = cells.below(ends[1:] + room, side="right")[0]
    below = np.clip(cells.below(inner, side="right"), least, most)
    counts = np.diff(below, prepend=least, append=most)
    place = np.where(known, np.searchsorted(inner, numbers, side="left"), len(counts))
    return _Classes(place, np.append(counts, missing), int(cells.total - (most - least)))


def _of_texts(values: Sequence[Any], window: CategoricalProfile) -> _Classes:
    """Return each text of the hold-out as a class, and one of what is missing."""
    import numpy as np

    texts = [None if each is None or each != each else str(each) for each in values]
    categories = window.categories
    if categories.folded:
        texts = [None if each is None else bucket(each) for each in texts]
    there = sorted({each for each in texts if each is not None})
    of_text: dict[str | None, int] = {each: place for place, each in enumerate(there)}
    of_text[None] = len(there)
    counts = [categories[each] for each in there]
    beyond = categories.total - sum(counts)
    missing = window.rows.missing + window.rows.refused
    return _Classes(np.array([of_text[each] for each in texts]), np.array([*counts, missing]), beyond)


def _weights(classes: _Classes) -> "tuple[Array, float]":
    """Return the weight of each row of the hold-out, and the share of the window that is like none."""
    import numpy as np

    own = np.bincount(classes.place, minlength=len(classes.counts))
    every = float(classes.counts.sum() + classes.beyond)
    wanted = classes.counts / max(every, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(classes.counts > 0, wanted / (own / len(classes.place)), 0.0)
    told = ratio <= _MOST_WEIGHT
    unlike = 1 - float(wanted[told].sum())
    return np.where(told, ratio, 0.0)[classes.place], unlike
