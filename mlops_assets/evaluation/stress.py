"""Decisions that can be turned: by one column alone, and by an attack."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.evasion import turned_by_attack
from mlops_assets.evaluation.sample import SEED, Sample
from mlops_assets.specs.data_spec import Column
from mlops_assets.verdict import Figure

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_FEWEST_OF_VALUE = 20
_ATTACKED = 500
_BOX = 0.1


def measure_stress(sample: Sample) -> Iterator[Figure]:
    """Yield for each column the share of decisions that it alone turns at its extremes.

    Those are the 1st and the 99th percentile of a number, and of a category the two values whose rows are
    predicted least and most of what is predicted. What the ends of a declared range do is told beside it.
    """
    columns = [*sample.numbers, *sample.categories]
    if not columns:
        yield Figure(name="stress_change", value=0, limit="max_stress_change", note="nothing but times")
    for column in columns:
        seen = _percentiles(sample, column) if column in sample.numbers else _leanings(sample, column)
        turned = _turned(sample, column, seen)
        yield Figure(
            name=f"stress_change {column.name}",
            value=float(turned.mean()),
            low=_lower_bound(turned, sample.confidence, len(columns)),
            limit="max_stress_change",
            counts="low",
            note=f"at {' and '.join(map(_shown, seen))}" if seen else "no values",
        )
        if ends := [end for end in column.range or () if end is not None]:
            yield Figure(
                name=f"stress_change {column.name} at the ends of its range",
                value=float(_turned(sample, column, ends).mean()),
            )


def measure_evasion(sample: Sample, budget: int) -> Iterator[Figure]:
    """Yield the share of decisions that an attack turns: of the clearer half, and of the others.

    Decisions near the cut are turned by little in any model; clear ones only in a brittle one.

    Args:
        sample: The rows, of which at most 500 are attacked.
        budget: Queries for each row.
    """
    import numpy as np

    everyone = np.arange(len(sample.rows))
    attacked = everyone[:: -(-len(everyone) // _ATTACKED)]
    margin = sample.decisions.margins(sample.drawn.predicted, everyone)
    turned = turned_by_attack(
        sample.drawn.package,
        sample.rows,
        sample.decisions,
        attacked,
        sample.numbers,
        box=_BOX,
        budget=budget,
        seed=SEED,
    )
    clear = margin[attacked] >= np.median(margin[attacked])
    yield Figure(
        name="evasion",
        value=float(turned[clear].mean()),
        low=_lower_bound(turned[clear], sample.confidence),
        limit="max_evasion",
        counts="low",
        note="" if sample.numbers else "there is no number to change",
    )
    if not clear.all():
        yield Figure(name="evasion of unclear decisions", value=float(turned[~clear].mean()))


def _turned(sample: Sample, column: Column, values: Sequence[Any]) -> "Array":
    """Return which decisions are turned by one of the values, where all rows have it."""
    import numpy as np

    rows = np.arange(len(sample.rows))
    turned = np.zeros(len(rows), dtype=bool)
    for value in values:
        answer = sample.with_column(column.name, value)
        if answer.predicted is not None:
            turned |= sample.decisions.margins(answer.predicted, rows) < 0
    return turned


def _percentiles(sample: Sample, column: Column) -> list[float]:
    values = sample.whole[column.name].dropna()
    return [float(values.quantile(q, interpolation="nearest")) for q in (0.01, 0.99)] if len(values) else []


def _leanings(sample: Sample, column: Column) -> list[Any]:
    """Return the values of a category whose rows are predicted least and most of what is predicted."""
    import pandas as pd

    own = sample.drawn.predicted
    leaning = pd.Series(own if own.ndim == 1 else own[:, own.mean(axis=0).argmax()])
    groups = leaning.groupby(sample.rows[column.name])
    means = groups.mean()[groups.size() >= min(_FEWEST_OF_VALUE, groups.size().max())]
    return [means.idxmin(), means.idxmax()] if len(means) else []


def _lower_bound(turned: "Array", confidence: float, comparisons: int = 1) -> float:
    """Return the lower bound of a share: Wilson's score interval."""
    from scipy.stats import binomtest

    level = 1 - (1 - confidence) / comparisons
    return float(binomtest(int(turned.sum()), len(turned)).proportion_ci(level, method="wilson").low)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
