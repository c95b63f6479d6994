"""Declared columns as pandas columns, the same way for training data and for requests."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from mlops_assets.specs.model_spec import Column, ColumnType

if TYPE_CHECKING:
    import pandas as pd


def to_declared_types(frame: "pd.DataFrame", columns: Iterable[Column]) -> "pd.DataFrame":
    """Return ``frame`` with each declared column in its canonical type.

    A column that holds a value which is not of its type is left as text, so that the data
    contract can name the value instead of a cast naming nothing.

    Args:
        frame: Rows with at least the declared columns.
        columns: The declarations.
    """
    converted = {}
    for column in columns:
        values, bad = convert(frame[column.name], column.type)
        converted[column.name] = frame[column.name].astype("str") if bad.any() else values
    return frame.assign(**converted)


def convert(values: "pd.Series[Any]", kind: ColumnType) -> "tuple[pd.Series[Any], pd.Series[bool]]":
    """Return the values as ``kind`` and a mask of those that are not of it.

    Numbers, integers and booleans become float64, the one numeric type with a missing value that
    every estimator and ONNX understand; times become naive UTC microseconds.
    """
    import pandas as pd

    present = values.notna()
    match kind:
        case "number" | "integer":
            text = values.map(lambda v: isinstance(v, str | bool)) if values.dtype == object else None
            numeric = pd.to_numeric(values, errors="coerce").astype("float64")
            bad = present & numeric.isna()
            if text is not None:
                bad |= text.astype(bool)
            if pd.api.types.is_string_dtype(values.dtype) and values.dtype != object:
                bad = present
            if kind == "integer":
                bad |= numeric.notna() & (numeric % 1 != 0)
            return numeric, bad
        case "boolean":
            numeric = values.map({True: 1.0, False: 0.0}).astype("float64")  # 1 and 0 are the same keys
            return numeric, present & numeric.isna()
        case "datetime":
            times = (
                pd.to_datetime(values, errors="coerce", utc=True, format="ISO8601")
                if not (pd.api.types.is_datetime64_any_dtype(values.dtype))
                else pd.to_datetime(values, utc=True)
            )
            times = times.dt.tz_localize(None).astype("datetime64[us]")
            return times, present & times.isna()
        case "string":
            text = values.map(lambda v: isinstance(v, str)).astype(bool)
            return values.astype("object").where(present, None), present & ~text
