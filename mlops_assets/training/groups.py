"""Groups of training rows that are looked at one by one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.specs.model_spec import ModelSpec

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

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


def members(
    groups: "Mapping[str, pd.Series[Any]]", min_rows: int
) -> "Iterator[tuple[str, str, np.ndarray[Any, Any]]]":
    """Yield column, value and mask of each group that has enough rows, and leaves enough outside."""
    for column, values in groups.items():
        for value, count in values.value_counts().items():
            if min(count, len(values) - count) >= min_rows:
                yield column, str(value), (values == value).to_numpy(dtype=bool)


def _by_value(values: "pd.Series[Any]") -> "pd.Series[Any]":
    import pandas as pd

    if not isinstance(values.dtype, pd.StringDtype) and values.nunique() > _FEW_VALUES:
        values = pd.qcut(values, _BINS, duplicates="drop")
    text: pd.Series[Any] = values.astype("object").map(str).astype("str")
    return text


def _by_period(times: "pd.Series[Any]") -> "pd.Series[Any]":
    import numpy as np
    import pandas as pd

    first, span = times.min(), times.max() - times.min()
    wanted = span // pd.Timedelta(days=_PERIOD_DAYS)
    count = int(np.clip(wanted, _FEWEST_PERIODS, _MOST_PERIODS))
    number = np.minimum((times - first) // (span / count), count - 1)
    starts: pd.Series[Any] = (
        (first + number * (span / count)).dt.strftime("from %Y-%m-%d %H:%M").astype("str")
    )
    return starts
