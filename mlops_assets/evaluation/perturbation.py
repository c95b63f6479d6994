"""Faults of the input, put on purpose into the raw columns that a client sends.

Times are never touched: when something happened is not measured by anybody.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import DataError
from mlops_assets.specs.data_spec import Column
from mlops_assets.training.package import PackagedModel

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Answer:
    """What a model says of perturbed rows.

    Attributes:
        predicted: Its predictions; None if there are none.
        problem: Why there are none.
        refused: Whether the rows were refused, by the feature function, rather than the model broken.
    """

    predicted: "Array | None"
    problem: str = ""
    refused: bool = False


def ask(package: PackagedModel, rows: "pd.DataFrame") -> Answer:
    """Return what a model says of rows, as served; also where it says nothing."""
    import numpy as np

    try:
        predicted = package.predict(rows)
    except DataError as error:
        return Answer(None, f"refused: {error}", refused=True)
    except Exception as error:  # an estimator may raise whatever it likes
        return Answer(None, f"the model fails: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
    if not np.isfinite(predicted).all():
        return Answer(None, "the model answers something that is not a number")
    return Answer(predicted)


def numeric(columns: Iterable[Column], time_column: str) -> list[Column]:
    """Return the columns that hold a measured or counted quantity, not one of a few allowed values."""
    return [
        column
        for column in columns
        if column.type in ("number", "integer") and column.allowed is None and column.name != time_column
    ]


def categorical(columns: Iterable[Column], time_column: str) -> list[Column]:
    """Return the columns that hold one of several values: text, truth values, listed numbers."""
    return [
        column
        for column in columns
        if column.type != "datetime"
        and (column.allowed is not None or column.type in ("string", "boolean"))
        and column.name != time_column
    ]


def spread(values: "pd.Series[Any]") -> float:
    """Return how far typical values lie apart: the interquartile range.

    Where more than half of the values are the same, as with rain, it is that of the others.
    """
    found = float(values.quantile(0.75) - values.quantile(0.25))
    if found > 0:
        return found
    others = values[values != values.median()].dropna()
    return float(others.quantile(0.75) - others.quantile(0.25)) if len(others) > 1 else 0.0


def noisy(
    rows: "pd.DataFrame", numbers: Sequence[Column], categories: Sequence[Column], share: float, seed: int
) -> "pd.DataFrame":
    """Return rows with a little noise in every column.

    A number gets Gaussian noise whose standard deviation is ``share`` of its :func:`spread`, and ends at the
    nearest value that occurs: noise does not put a value between the steps of a scale, outside a range, or
    beside a zero that means none. Of the categories each is, in that share of the rows, one from another row.

    Args:
        rows: Raw rows.
        numbers: Columns to add noise to.
        categories: Columns to exchange values in.
        share: How much noise, and how many exchanges.
        seed: Seed of both.
    """
    import numpy as np

    generator = np.random.default_rng(seed)
    changed: dict[str, Any] = {}
    for column in numbers:
        values = rows[column.name]
        moved = values + generator.normal(0, share * spread(values), len(rows))
        changed[column.name] = _nearest(moved.to_numpy(), np.unique(values.dropna()))
    for column in categories:
        values = rows[column.name]
        others = values.iloc[generator.integers(0, len(rows), len(rows))].set_axis(rows.index)
        changed[column.name] = values.where(generator.random(len(rows)) >= share, others)
    return rows.assign(**changed)


def _nearest(moved: "Array", occurring: "Array") -> "Array":
    """Return for each number the nearest that occurs; what is missing stays so."""
    import numpy as np

    if len(occurring) == 0:
        return moved
    above = occurring[np.searchsorted(occurring, moved).clip(max=len(occurring) - 1)]
    below = occurring[(np.searchsorted(occurring, moved, side="right") - 1).clip(min=0)]
    found: Array = np.where(np.abs(above - moved) < np.abs(moved - below), above, below)
    return np.where(np.isnan(moved), np.nan, found)


def reachable(values: "Array", occurring: "Array", reach: float) -> "tuple[Array, Array]":
    """Return the least and the greatest number that occurs within ``reach`` of each value.

    Args:
        values: Numbers that occur, or are missing and stay so.
        occurring: All numbers that occur.
        reach: How far away they may be.
    """
    import numpy as np

    known = np.unique(occurring[~np.isnan(occurring)])
    if len(known) == 0:
        return values, values
    least = known[np.searchsorted(known, values - reach).clip(max=len(known) - 1)]
    greatest = known[np.searchsorted(known, values + reach, side="right") - 1]
    missing = np.isnan(values)
    return np.where(missing, np.nan, least), np.where(missing, np.nan, greatest)


def without(rows: "pd.DataFrame", columns: Sequence[str], share: float, seed: int) -> "pd.DataFrame":
    """Return rows with values of each of some columns missing, each in its own ``share`` of the rows."""
    import numpy as np

    generator = np.random.default_rng(seed)
    lost = {name: rows[name].mask(generator.random(len(rows)) < share) for name in columns}
    return rows.assign(**lost)


def undeclared(values: "pd.Series[Any]", column: Column) -> "pd.Series[bool]":
    """Return which values the column's declaration refuses: by type, range or list of allowed values."""
    wrong = values.isna() & False
    if column.type == "integer":
        wrong |= values % 1 > 0
    low, high = column.range or (None, None)
    if low is not None:
        wrong |= values < low
    if high is not None:
        wrong |= values > high
    if column.allowed is not None:
        wrong |= values.notna() & ~values.isin(column.allowed)
    return wrong
