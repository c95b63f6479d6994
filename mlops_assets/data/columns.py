"""Declared columns as pandas columns, the same way for training data and for requests."""

import datetime as dt
import numbers
from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from mlops_assets.specs.data_spec import Column, ColumnType

if TYPE_CHECKING:
    import pandas as pd

_MISSING = float("nan")


def is_numeric(values: "pd.Series[Any]") -> bool:
    """Return whether values are numbers, truth values among them, in whatever type pandas keeps them."""
    import pandas as pd

    return pd.api.types.is_numeric_dtype(values.dtype)


def to_declared_types(frame: "pd.DataFrame", columns: Iterable[Column]) -> "pd.DataFrame":
    """Return ``frame`` with each declared column in its canonical type.

    A value that is not of its column's type becomes missing there, and is kept as text in a column
    beside it (see :func:`refused`), so that the data contract can name the value instead of a cast
    naming nothing.

    Args:
        frame: Rows with at least the declared columns.
        columns: The declarations.
    """
    converted: dict[str, Any] = {}
    for column in columns:
        values, bad = convert(frame[column.name], column.type)
        converted[column.name] = values
        if bad.any():
            offending = frame[column.name].astype("object").where(bad, None)
            converted[refused(column)] = offending.map(repr, na_action="ignore").astype("str")
    return frame.assign(**converted)


def refused(column: Column) -> str:
    """Return the name of the column that holds what was delivered for ``column`` but is not of its type."""
    return f"{column.name} (not {column.type})"


def convert(values: "pd.Series[Any]", kind: ColumnType) -> "tuple[pd.Series[Any], pd.Series[bool]]":
    """Return the values as ``kind``, and a mask of those that are not of it and became missing.

    Numbers, integers and booleans become float64, the one numeric type with a missing value that
    every estimator and ONNX understand; times become naive UTC microseconds; text becomes pandas'
    ``str``. Nothing is guessed: text that looks like a number is text, a boolean is no number, and
    an infinity is the mark of a division by zero, not a measurement.
    """
    present = values.notna()
    match kind:
        case "number":
            converted = _numbers(values)
            converted = converted.where(converted.abs() != float("inf"))
        case "integer":
            converted = _numbers(values)
            converted = converted.where(converted % 1 == 0)
        case "boolean":
            converted = _booleans(values)
        case "datetime":
            converted = _times(values)
        case "string":
            converted = _text(values)
    return converted, present & converted.isna()


def _numbers(values: "pd.Series[Any]") -> "pd.Series[Any]":
    from pandas.api import types

    if types.is_any_real_numeric_dtype(values.dtype):  # booleans are not among them
        return values.astype("float64")
    return _each(values, _number)


def _booleans(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return 1.0 and 0.0 for truth values; also for the numbers 1 and 0, as databases deliver them."""
    from pandas.api import types

    if types.is_bool_dtype(values.dtype) or types.is_any_real_numeric_dtype(values.dtype):
        truths = values.astype("float64")
    else:
        truths = _each(values, lambda v: float(v) if _is_bool(v) else _number(v))
    return truths.where(truths.isin((0.0, 1.0)))


def _times(values: "pd.Series[Any]") -> "pd.Series[Any]":
    import pandas as pd

    if not pd.api.types.is_datetime64_any_dtype(values.dtype):
        known = values.astype("object")
        known = known.where(known.map(_may_be_time), None)
        times = pd.to_datetime(known, errors="coerce", utc=True, format="ISO8601")
    else:
        times = pd.to_datetime(values, utc=True)
    times = times.dt.tz_localize(None).astype("datetime64[us]")
    return times.where(times.dt.year.between(dt.MINYEAR, dt.MAXYEAR))


def _may_be_time(value: Any) -> bool:
    if isinstance(value, str):
        return value.lstrip()[:1].isdigit()  # pandas would take "now" and negative years for times
    return isinstance(value, dt.date | int)


def _text(values: "pd.Series[Any]") -> "pd.Series[Any]":
    import pandas as pd

    if not isinstance(values.dtype, pd.StringDtype):
        values = values.astype("object")
        values = values.where(values.map(lambda v: isinstance(v, str)), None)
    return values.astype("str")


def _each(values: "pd.Series[Any]", as_number: Any) -> "pd.Series[Any]":
    return values.astype("object").map(as_number).astype("float64")


def _number(value: Any) -> float:
    if not isinstance(value, numbers.Real | Decimal) or _is_bool(value):
        return _MISSING
    try:
        return float(value)
    except OverflowError:
        return _MISSING


def _is_bool(value: Any) -> bool:
    import numpy as np

    return isinstance(value, bool | np.bool_)
