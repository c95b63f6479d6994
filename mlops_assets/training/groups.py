"""Groups of training rows that are looked at one by one, and what is measured of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.specs.model_spec import ModelSpec

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]

PERIOD = "period"
_BINS = 4
_FEW_VALUES = 20
_PERIOD_DAYS = 7
_FEWEST_PERIODS, _MOST_PERIODS = 4, 26


@dataclass(frozen=True)
class GroupFigure:
    """What was measured of one group.

    Attributes:
        column: The column whose value makes the group.
        value: That value.
        label: The label it is about; empty if it is about any.
        rows: Number of rows in the group.
        estimate: What was measured.
        low: Lower bound, which holds for all groups that were looked at together.
        high: Upper bound, likewise; None if there is no use for one.
        note: What else there is to say.
    """

    column: str
    value: str
    label: str
    rows: int
    estimate: float
    low: float
    high: float | None = None
    note: str = ""


def groups_of(rows: "pd.DataFrame", times: "pd.Series[Any]", spec: ModelSpec) -> "dict[str, pd.Series[Any]]":
    """Return the group of each row by column, text: a value, a quarter of the numbers, or a period.

    Args:
        rows: Rows with all declared columns.
        times: Time of each row.
        spec: Declares the columns and slices.
    """
    data = spec.data
    named = dict.fromkeys([*(c.name for c in data.features), *spec.evaluation.slices])
    columns = {name: _by_value(rows[name]) for name in named if name != data.target}
    return {**columns, PERIOD: _by_period(times)}


def members(groups: "Mapping[str, pd.Series[Any]]", min_rows: int) -> "Iterator[tuple[str, str, Array]]":
    """Yield column, value and mask of each group that has enough rows, and leaves enough outside."""
    for column, values in groups.items():
        counts = values.value_counts()
        for value in counts.index[(counts >= min_rows) & (len(values) - counts >= min_rows)]:
            yield column, str(value), (values == value).to_numpy(dtype=bool)


def wilson_bounds(hits: "Array", rows: "Array", width: float) -> "tuple[Array, Array]":
    """Return the bounds of shares.

    Source: Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal of the
    American Statistical Association 22 (1927).

    Args:
        hits: Rows that are counted, by group.
        rows: All rows, by group.
        width: Half width of the interval in standard errors.
    """
    import numpy as np

    share = hits / rows
    centre = share + width**2 / (2 * rows)
    half = width * np.sqrt(share * (1 - share) / rows + width**2 / (4 * rows**2))
    scale = 1 + width**2 / rows
    low, high = (centre - half) / scale, (centre + half) / scale
    # Exactly so, where rounding would leave a trace.
    return np.where(hits == 0, 0.0, low), np.where(hits == rows, 1.0, high)


def _by_value(values: "pd.Series[Any]") -> "pd.Series[Any]":
    import pandas as pd
    from pandas.api import types

    ordered = types.is_numeric_dtype(values.dtype) or types.is_datetime64_any_dtype(values.dtype)
    if ordered and values.nunique() > _FEW_VALUES:
        values = pd.qcut(values, _BINS, duplicates="drop")
    codes, found = pd.factorize(values, use_na_sentinel=False)
    names = pd.Series([str(value) for value in found], dtype="str")
    return names.take(codes).set_axis(values.index)


def _by_period(times: "pd.Series[Any]") -> "pd.Series[Any]":
    import numpy as np
    import pandas as pd

    first, span = times.min(), max(times.max() - times.min(), pd.Timedelta(seconds=1))
    count = int(np.clip(span // pd.Timedelta(days=_PERIOD_DAYS), _FEWEST_PERIODS, _MOST_PERIODS))
    number = np.minimum((times - first) // (span / count), count - 1)
    starts = [f"from {first + i * (span / count):%Y-%m-%d %H:%M}" for i in range(count)]
    return pd.Series(starts, dtype="str").take(number.to_numpy(dtype=int)).set_axis(times.index)
