"""What columns hold, in figures that give nobody away.

A value is shown only if at least ten rows have it, and of a column declared as sensitive no extreme is shown,
because an extreme is one person's. Source: Hundepool et al., "Statistical Disclosure Control" (2012),
section 4.2 (threshold rule).
"""

from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.governance.card_facts import Bar, ColumnFacts, declared_values
from mlops_assets.specs.data_spec import Data

if TYPE_CHECKING:
    import pandas as pd

_BARS = 16
_VALUES = 8
_FEWEST_ROWS = 10
_TAIL = 0.01

Kind = Literal["numbers", "times", "values", "nothing"]


def profile_columns(rows: "pd.DataFrame", data: Data) -> tuple[ColumnFacts, ...]:
    """Return the facts of the columns that a spec names, as found in rows.

    Args:
        rows: Raw rows in their declared types, see :mod:`mlops_assets.data.columns`.
        data: The spec's data part.
    """
    return tuple(_column(rows[name], name, data) for name in data.columns if name in rows)


def _column(values: "pd.Series[Any]", name: str, data: Data) -> ColumnFacts:
    declared = next((column for column in data.features if column.name == name), None)
    sensitive = declared is not None and declared.sensitive
    present = values.dropna()
    kind = _kind(present, declared.type if declared else None)
    low, high = _extremes(present, kind, sensitive)
    return ColumnFacts(
        name=name,
        role="target" if name == data.target else "feature" if declared else _role(name, data),
        type=declared.type if declared else str(values.dtype),
        sensitive=sensitive,
        declared=declared_values(declared) if declared else "",
        missing=1 - len(present) / max(len(values), 1),
        low=low,
        high=high,
        distinct=int(present.nunique()),
        bars=_bars(present, kind) if declared or name == data.target else (),
    )


def _role(name: str, data: Data) -> Literal["time", "key"]:
    return "time" if name == data.time_column else "key"


def _kind(present: "pd.Series[Any]", declared: str | None) -> Kind:
    from pandas.api import types

    if present.empty:
        return "nothing"
    if types.is_datetime64_any_dtype(present.dtype):
        return "times"
    if declared in ("string", "boolean") or not types.is_any_real_numeric_dtype(present.dtype):
        return "values"
    whole = declared == "integer" or declared is None
    return "values" if whole and present.nunique() <= _VALUES else "numbers"


def _extremes(present: "pd.Series[Any]", kind: Kind, sensitive: bool) -> tuple[str, str]:
    if kind not in ("numbers", "times"):
        return "", ""
    tail = _TAIL if sensitive else 0.0
    return _shown(present.quantile(tail)), _shown(present.quantile(1 - tail))


def _bars(present: "pd.Series[Any]", kind: Kind) -> tuple[Bar, ...]:
    if kind == "values":
        return _of_values(present)
    return _of_ranges(present, kind) if kind != "nothing" else ()


def _of_values(present: "pd.Series[Any]") -> tuple[Bar, ...]:
    """Return one bar for each frequent value, and one for all others."""
    counts = present.value_counts()
    shown = counts[counts >= _FEWEST_ROWS].head(_VALUES)
    bars = [Bar(label=_shown(value), share=count / len(present)) for value, count in shown.items()]
    if others := len(counts) - len(shown):
        rest = 1 - float(shown.sum()) / len(present)
        bars.append(Bar(label=f"{others:,} other{'s' if others > 1 else ''}", share=rest))
    return tuple(bars)


def _of_ranges(present: "pd.Series[Any]", kind: Kind) -> tuple[Bar, ...]:
    """Return bars of equal width; the outermost hold what lies beyond the 1st and 99th percentile."""
    import numpy as np

    values = present.to_numpy()
    numbers = values.astype("int64" if kind == "times" else "float64")
    low, high = np.quantile(numbers, [_TAIL, 1 - _TAIL])
    edges = np.linspace(low, high, _BARS + 1)
    counts, _ = np.histogram(np.clip(numbers, low, high), edges)
    told = [_shown(edge) for edge in edges.astype(values.dtype)]
    return tuple(
        Bar(label=f"{start} … {end}", share=count / len(present))
        for start, end, count in zip(told, told[1:], counts, strict=False)
    )


def _shown(value: Any) -> str:
    """Return a value as a reader wants it: times to the minute, numbers to five digits."""
    import numpy as np
    import pandas as pd

    if isinstance(value, pd.Timestamp | np.datetime64):
        return f"{pd.Timestamp(value):%Y-%m-%d %H:%M}"
    return f"{value:.5g}" if isinstance(value, float) else str(value)
