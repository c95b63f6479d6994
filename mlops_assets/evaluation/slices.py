"""The model group by group: an average hides who pays for it."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.group_comparison import Comparison, compare_groups
from mlops_assets.evaluation.groups import Grouping, group_by
from mlops_assets.evaluation.holdout import Holdout
from mlops_assets.evaluation.intervals import Interval, intervals
from mlops_assets.specs.gate_rules import SliceRules
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.verdict import Figure, Finding, Measurement, unmeasured

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

FEWEST_ROWS = 50
_MOST_TOLD = 50


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


def slice_columns(spec: ModelSpec) -> tuple[str, ...]:
    """Return the columns whose groups the gate looks at: what the spec names, and all inputs but times."""
    named = (*spec.evaluation.slices, *spec.evaluation.groups)
    inputs = (column.name for column in spec.data.features if column.type != "datetime")
    return tuple(name for name in dict.fromkeys((*named, *inputs)) if name != spec.data.target)


def measure_slice_gate(holdout: Holdout, rules: SliceRules) -> Measurement:
    """Measure whether the model fails some group of rows; gate ``slices``.

    What a shortfall and a bias are is told in :mod:`mlops_assets.evaluation.group_comparison`.

    Args:
        holdout: The candidate and its hold-out.
        rules: What the policy demands; ``confidence`` is that of all lower bounds together.

    Returns:
        The shortfall and the bias of each group, of each the fifty with the highest lower bound.
    """
    import numpy as np

    if not np.isfinite(holdout.predicted).all():
        return unmeasured("slices", rules, "some predictions of the hold-out are not numbers")
    columns = (group_by(c, holdout.rows[c], rules.min_rows) for c in slice_columns(holdout.spec))
    groupings = [grouping for grouping in columns if len(grouping.names) > 1]
    if not groupings:
        reason = f"no column has two groups of {rules.min_rows:,} rows"
        return Measurement(gate="slices", summary=reason, not_applicable=reason)
    found = compare_groups(
        groupings, holdout.target, holdout.predicted, holdout.blocks, confidence=rules.confidence
    )
    blind = _blind_for(holdout, groupings)
    found = [
        replace(each, shortfall=1.0, shortfall_low=1.0) if (each.column, each.group) in blind else each
        for each in found
    ]
    shortfalls = _worst("shortfall", [_shortfall(each) for each in found])
    biases = _worst("bias", [_bias(each) for each in found])
    told = ", ".join(f"{figure.name} {_rounded(figure)}" for figure in (shortfalls[0], biases[0]))
    ranked = sorted(found, key=_harm, reverse=True)
    return Measurement(
        gate="slices",
        summary=f"{len(found)} groups of {len(groupings)} columns; the worst: {told}",
        figures=(*shortfalls, *biases),
        findings=tuple(_record(each) for each in ranked[:_MOST_TOLD]),
    )


def _blind_for(holdout: Holdout, groupings: list[Grouping]) -> set[tuple[str, str]]:
    """Return the groups of declared columns of which all rows are answered alike, and other rows are not.

    There differences mean nothing because there are none. Of other columns it is no fault: a tree that asks
    one of them answers alike all rows of a leaf.
    """
    import numpy as np

    rules = holdout.spec.evaluation
    answers = holdout.predicted.reshape(len(holdout.target), -1)
    if not np.ptp(answers, axis=0).any():
        return set()
    return {
        (grouping.column, name)
        for grouping in groupings
        if grouping.column in (*rules.slices, *rules.groups)
        for code, name in enumerate(grouping.names)
        if not np.ptp(answers[grouping.codes == code], axis=0).any()
    }


def _shortfall(found: Comparison) -> Figure:
    return Figure(
        name=f"shortfall {found.column} {found.group}",
        value=found.shortfall,
        low=found.shortfall_low,
        limit="max_shortfall",
        counts="low",
        note=f"of what differences of predictions mean elsewhere, on {found.rows:,} rows",
    )


def _bias(found: Comparison) -> Figure:
    way = "high" if (found.bias or 0.0) > 0 else "low"
    return Figure(
        name=f"bias {found.column} {found.group}",
        value=None if found.bias is None else abs(found.bias),
        low=found.bias_low,
        limit="max_bias",
        counts="low",
        note=f"standard deviations too {way}, on {found.rows:,} rows",
    )


def _worst(name: str, figures: list[Figure]) -> list[Figure]:
    """Return the measured figures with the highest lower bounds; if there are none, one that says so."""
    measured = [figure for figure in figures if figure.low is not None]
    if not measured:
        note = "no group shares five days with others that can be compared; lengthen evaluation.holdout"
        return [Figure(name=name, value=None, limit=f"max_{name}", counts="low", note=note)]
    return sorted(measured, key=lambda figure: (figure.low, figure.value), reverse=True)[:_MOST_TOLD]


def _harm(found: Comparison) -> tuple[float, float]:
    return max(found.shortfall_low or 0, found.bias_low or 0), max(found.shortfall or 0, abs(found.bias or 0))


def _rounded(figure: Figure) -> str:
    return figure.note if figure.value is None else f"{figure.value:.2f} (at least {figure.low:.2f})"


def _record(found: Comparison) -> Finding:
    return {name: value for name, value in vars(found).items() if value is not None}
