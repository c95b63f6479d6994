"""Rates of decisions and of errors, group by group, and how far apart they are beyond chance."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.block_jackknife import (
    FEWEST_BLOCKS,
    block_sums,
    critical,
    effective_blocks,
    jackknife,
    numbered,
)
from mlops_assets.evaluation.groups import Grouping
from mlops_assets.specs.tasks import Task

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

FEWEST_COUNTED = 10  # rows that a rate needs, such as those of a group for whom the decision is due
_MOST_CLASSES = 10


@dataclass(frozen=True, eq=False)
class Decisions:
    """What was decided about each row, and what would have been right.

    Attributes:
        made: 1 where the decision is positive, else 0; or the predicted value. Shape (n,).
        due: What came true, likewise; NaN where that is not known.
        label: What names the class that is decided for, if there are several, behind a rate or a group.
        values: Whether these are values and no decisions.
    """

    made: "Array"
    due: "Array"
    label: str = ""
    values: bool = False


def decisions_of(
    task: Task,
    predicted: "Array",
    target: "Array",
    *,
    threshold: float,
    classes: Sequence[Any],
    spread: float,
) -> list[Decisions]:
    """Return what was decided: of two classes for the second, of more for each, and values as they are.

    Args:
        task: What is predicted.
        predicted: Predictions, shape (n,) or (n, classes).
        target: Encoded targets, NaN where they are not known; shape (n,).
        threshold: Probability of the second class from which on it is decided for.
        classes: Class labels in the order of the probabilities.
        spread: Standard deviation of the target, in which gaps of values are told.
    """
    import numpy as np

    if task == "regression":
        return [Decisions(predicted / spread, target / spread, values=True)]
    if predicted.ndim == 1:
        return [Decisions((predicted >= threshold).astype(float), target)]
    likeliest, known = predicted.argmax(axis=1), ~np.isnan(target)
    most = np.bincount(target[known].astype(int), minlength=len(classes)).argsort()[::-1][:_MOST_CLASSES]
    return [
        Decisions(
            (likeliest == k).astype(float), np.where(known, target == k, np.nan), label=f" of {classes[k]}"
        )
        for k in most
    ]


@dataclass(frozen=True)
class Gap:
    """How far the groups of a column are apart in one rate.

    Attributes:
        value: Difference of the highest and the lowest group.
        low: Lower bound: what is certain of the largest difference.
        high: Upper bound of it.
        told: The two groups with their rates, for a person.
    """

    value: float
    low: float
    high: float
    told: str


@dataclass(frozen=True)
class GroupRates:
    """The rates of each group of a column.

    Attributes:
        names: Names of the three rates.
        rates: The rates, shape (groups, 3); NaN where too few rows tell.
        gaps: The gap in each of them; None where no two groups have that rate.
    """

    names: tuple[str, ...]
    rates: "Array"
    gaps: "tuple[Gap | None, ...]"


def group_rates(
    grouping: Grouping, decisions: Decisions, blocks: "Array", *, alpha: float, comparisons: int
) -> GroupRates:
    """Return the rates of each group, and the gaps between groups.

    Args:
        grouping: Groups of a column.
        decisions: What was decided.
        blocks: Block of each row, such as its day.
        alpha: Chance that any lower bound, or any upper bound, is broken.
        comparisons: How many differences of two groups are bounded in all.
    """
    import numpy as np

    names, rates = _by_fairlearn(grouping, decisions)
    sums = block_sums(rate_counts(decisions), grouping.codes, len(grouping.names), numbered(blocks))
    among = sums[..., 3:]
    known = (among.sum(axis=0) >= FEWEST_COUNTED) & ((among > 0).sum(axis=0) >= FEWEST_BLOCKS)
    found = jackknife(rate_differences, sums)
    error = found.error if decisions.values else np.maximum(found.error, error_by_rows(sums))
    effective = effective_blocks(among)
    margin = critical(alpha, comparisons, np.minimum(effective[:, None], effective)) * error
    widest_possible = np.inf if decisions.values else 1.0
    gaps = []
    for kind in range(3):
        own = np.flatnonzero(known[:, kind])
        groups = [f"{grouping.names[i]}{decisions.label}" for i in own]
        gaps.append(_gap(groups, rates[own, kind], margin[..., kind][np.ix_(own, own)], most=widest_possible))
    named = tuple(f"{name}{decisions.label}" for name in names)
    return GroupRates(named, np.where(known, rates, np.nan), tuple(gaps))


def widest(gaps: "Iterable[Gap | None]") -> Gap | None:
    """Return the widest of several gaps, whose bounds hold together; None where there is none."""
    found = [gap for gap in gaps if gap is not None]
    if not found:
        return None
    low, high = max(gap.low for gap in found), max(gap.high for gap in found)
    largest = max(found, key=lambda gap: gap.value)
    return Gap(largest.value, low, high, largest.told)


def _by_fairlearn(grouping: Grouping, decisions: Decisions) -> "tuple[tuple[str, ...], Array]":
    """Return the names of the three rates, and the rates, shape (groups, 3)."""
    import numpy as np
    from fairlearn import metrics

    kinds = (
        {
            "mean_prediction": metrics.mean_prediction,
            "underprediction": lambda due, made: np.maximum(due - made, 0).mean(),
            "overprediction": lambda due, made: np.maximum(made - due, 0).mean(),
        }
        if decisions.values
        else {
            "selection_rate": metrics.selection_rate,
            "true_positive_rate": metrics.true_positive_rate,
            "false_positive_rate": metrics.false_positive_rate,
        }
    )
    inside = grouping.codes >= 0
    frame = metrics.MetricFrame(
        metrics=kinds,
        y_true=decisions.due[inside],
        y_pred=decisions.made[inside],
        sensitive_features=grouping.codes[inside],
    )
    return tuple(kinds), frame.by_group.to_numpy(dtype="float64")


def rate_counts(decisions: Decisions) -> "Array":
    """Return for each row what the three rates count, and among what; shape (n, 6)."""
    import numpy as np

    made, every = decisions.made, np.ones(len(decisions.made))
    known = ~np.isnan(decisions.due)
    due = np.where(known, decisions.due, made if decisions.values else 0)
    if decisions.values:
        return np.column_stack(
            [made, np.maximum(due - made, 0), np.maximum(made - due, 0), every, known, known]
        )
    negative = known - due
    return np.column_stack([made, made * due, made * negative, every, due, negative])


def rate_differences(sums: "Array") -> "Array":
    """Return the difference of each two groups in each rate, (…, groups, groups, 3), from (…, groups, 6)."""
    rates = sums[..., :3] / sums[..., 3:]
    difference: Array = rates[..., :, None, :] - rates[..., None, :, :]
    return difference


def error_by_rows(sums: "Array") -> "Array":
    """Return the standard error that each difference of proportions would have if no two rows were alike."""
    import numpy as np

    total = sums.sum(axis=0)
    rows = total[:, 3:] + 2
    share = (total[:, :3] + 1) / rows
    variance = share * (1 - share) / rows
    return np.asarray(np.sqrt(variance[:, None] + variance))


def _gap(groups: list[str], rates: "Array", margin: "Array", most: float) -> Gap | None:
    import numpy as np

    if len(groups) < 2:
        return None
    difference = rates[:, None] - rates
    pairs = ~np.eye(len(groups), dtype=bool)
    lowest, highest = rates.argmin(), rates.argmax()
    return Gap(
        value=float(difference.max()),
        low=float((difference - margin)[pairs].max(initial=0.0)),
        high=min(float((difference + margin)[pairs].max()), most),
        told=f"{groups[lowest]} {rates[lowest]:.3f}, {groups[highest]} {rates[highest]:.3f}",
    )
