"""Groups of rows by the values of a column: each value its own, numbers by thirds."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]

MISSING, OTHER = "(missing)", "(other)"
_MOST_VALUES = 10  # of a number that is a code rather than an amount


@dataclass(frozen=True, eq=False)
class Grouping:
    """Which group of a column each row is in.

    Attributes:
        column: Name of the column.
        names: Names of the groups.
        codes: Index of each row's group, shape (n,); -1 where it is in none.
    """

    column: str
    names: tuple[str, ...]
    codes: "Array"

    @property
    def rows(self) -> "Array":
        """Number of rows of each group."""
        import numpy as np

        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.names))


def group_by(column: str, values: "pd.Series[Any]", least: int) -> Grouping:
    """Return the groups of a column that have at least ``least`` rows.

    Values with fewer rows are put together as "(other)", missing ones are "(missing)". Numbers and times of
    more than ten values are cut at the two quantiles that leave a third of the rows on each side.

    Args:
        column: Its name.
        values: Its values, in their declared type.
        least: Rows that a group needs.
    """
    import numpy as np
    import pandas as pd

    text = _thirds(values) if _is_amount(values) else values.map(_name, na_action="ignore")
    text = text.astype("object").where(values.notna(), MISSING)
    count = text.value_counts()
    large = count.index[count >= least]
    text = text.where(text.isin(large), OTHER)
    if 0 < (text == OTHER).sum() < least:
        text = text.where(text != OTHER)
    codes, names = pd.factorize(text, sort=True)
    return Grouping(column, tuple(map(str, names)), np.asarray(codes))


def _is_amount(values: "pd.Series[Any]") -> bool:
    from pandas.api import types

    measured = types.is_numeric_dtype(values.dtype) or types.is_datetime64_any_dtype(values.dtype)
    return measured and values.nunique() > _MOST_VALUES


def _thirds(values: "pd.Series[Any]") -> "pd.Series[Any]":
    import numpy as np

    low, high = values.quantile([1 / 3, 2 / 3], interpolation="lower")
    below, above = f"≤ {_rounded(low)}", f"> {_rounded(high)}"
    between = f"{_rounded(low)} … {_rounded(high)}"
    names = np.where(values <= low, below, np.where(values <= high, between, above))
    return values.astype("object").where(values.isna(), names)


def _name(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _rounded(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
