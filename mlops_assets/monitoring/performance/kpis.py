"""Business figures of a window: what a team computes, joined to predictions, beside its target.

A team's code may fail in any way and return anything. What is wrong is told in the figure's own result and
harms nothing else.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.data.sources import sql_url
from mlops_assets.errors import DataError, MlopsError
from mlops_assets.monitoring.performance.blocks import blocks_of
from mlops_assets.monitoring.performance.harm import FEWEST_WINDOWS
from mlops_assets.monitoring.performance.measured import measure_mean
from mlops_assets.specs.monitoring_spec import BusinessFigure, SqlFigures
from mlops_assets.specs.references import load_function

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]

_FEWEST_VALUES = 30
_JOINED_BY = ["prediction_id", "value"]


@dataclass(frozen=True)
class KpiResult:
    """A business figure of one window.

    Attributes:
        name: Its name.
        verdict: Whether the target is met for sure, missed for sure, or neither; or that nothing can be told.
        told: In one sentence; if nothing can be told, why.
        value: The figure.
        low: Lower bound of its interval; None where there is none.
        high: Upper bound.
        rows: Predictions with a value; 0 if the figure is of the window as a whole.
    """

    name: str
    verdict: Literal["met", "missed", "unclear", "cannot_tell"]
    told: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    rows: int = 0


def measure_kpi(
    figure: BusinessFigure,
    predictions: "pd.DataFrame",
    *,
    start: datetime,
    end: datetime,
    feedback: "pd.Series[Any] | None" = None,
    earlier: Sequence[float] = (),
    confidence: float = 0.95,
) -> KpiResult:
    """Return a business figure of a window.

    Args:
        figure: What the spec says of it.
        predictions: The window's: ``prediction_id``, ``event_time`` and whatever else the team's function may
            use, such as ``version``, ``output`` and the inputs.
        start: First event time of the window, naive UTC.
        end: End of it, exclusive.
        feedback: Values by prediction id that were sent as feedback of kind ``kpi:NAME``.
        earlier: The figure of earlier windows, which tell the interval of a figure of a whole window; they
            count from eight on.
        confidence: Two-sided coverage of the interval.
    """
    try:
        given = _values(figure, predictions, start, end, feedback)
        if isinstance(given, float):
            return _of_window(figure, given, earlier, confidence)
        return _of_predictions(figure, given, predictions, confidence)
    except MlopsError as error:
        return KpiResult(figure.name, "cannot_tell", f"{figure.name}: {error}")


def _values(
    figure: BusinessFigure,
    predictions: "pd.DataFrame",
    start: datetime,
    end: datetime,
    feedback: "pd.Series[Any] | None",
) -> "float | pd.Series[Any]":
    """Return one number, or numbers by prediction id.

    Raises:
        DataError: What was returned is neither.
    """
    if figure.function is not None:
        function = load_function(figure.function)
        try:
            # What it does to the rows must not reach others.
            given = function(predictions.copy())
        except Exception as error:
            raise DataError(
                f"{figure.function} failed: {type(error).__name__}: {_first_line(error)}"
            ) from error
        return _understood(given, figure.function)
    if figure.sql is not None:
        return _understood(_queried(figure.sql, start, end), "the query")
    if feedback is None:
        raise DataError(f"no value came as feedback of kind kpi:{figure.name}")
    return _numbers(feedback.dropna(), f"feedback of kind kpi:{figure.name}")


def _queried(source: SqlFigures, start: datetime, end: datetime) -> Any:
    import pandas as pd
    import sqlalchemy as sa

    query = sa.text(str(source.query))
    bounds = {
        name: value for name, value in (("start", start), ("end", end)) if name in query.compile().params
    }
    try:
        engine = sa.create_engine(sql_url(source))
        try:
            with engine.connect() as connection:
                rows = pd.read_sql(query, connection, params=bounds)
        finally:
            engine.dispose()
    except MlopsError:
        raise
    except Exception as error:
        raise DataError(f"the query failed: {type(error).__name__}: {_first_line(error)}") from error
    return rows.iloc[0, 0] if rows.shape == (1, 1) else rows


def _understood(given: Any, origin: str) -> "float | pd.Series[Any]":
    """Return what a team's code returned as one number, or as numbers by prediction id."""
    import numbers

    import pandas as pd

    if isinstance(given, pd.DataFrame):
        if missing := [name for name in _JOINED_BY if name not in given]:
            raise DataError(
                f"{origin} returned rows without {' and '.join(missing)}; it has {', '.join(map(str, given))}"
            )
        given = given.set_index("prediction_id")["value"]
    if isinstance(given, pd.Series):
        return _numbers(given.dropna(), origin)
    if given is None or (isinstance(given, numbers.Real) and math.isnan(given)):
        raise DataError(f"{origin} returned no value for this window")
    if isinstance(given, bool) or not hasattr(given, "__float__"):
        raise DataError(
            f"{origin} returned {type(given).__name__}; return a number, or values by prediction_id "
            "(a Series with these as index, or a DataFrame with prediction_id and value)"
        )
    if not math.isfinite(value := float(given)):
        raise DataError(f"{origin} returned {value}")
    return value


def _numbers(values: "pd.Series[Any]", origin: str) -> "pd.Series[Any]":
    from mlops_assets.data.columns import convert

    converted, bad = convert(values, "number")
    if bad.any():
        example = values[bad].astype("object").iloc[0]
        raise DataError(f"{origin} has {int(bad.sum()):,} values that are no numbers, such as {example!r}")
    if (twice := converted.index[converted.index.duplicated()]).size:
        raise DataError(f"{origin} has several values for prediction {twice[0]!r}")
    return converted


def _of_predictions(
    figure: BusinessFigure, values: "pd.Series[Any]", predictions: "pd.DataFrame", confidence: float
) -> KpiResult:
    joined = (
        predictions.set_index("prediction_id")["event_time"]
        .to_frame()
        .join(values.rename("value"), how="inner")
    )
    strange = len(values) - len(joined)
    more = f"; {strange:,} values belong to no prediction of this window" if strange else ""
    if len(joined) < _FEWEST_VALUES:
        why = (
            f"{figure.name}: {len(joined)} predictions have a value, an interval needs {_FEWEST_VALUES}{more}"
        )
        return KpiResult(figure.name, "cannot_tell", why, rows=len(joined))
    found = measure_mean(
        joined["value"].to_numpy(dtype="float64"),
        blocks_of(joined["event_time"].to_numpy()),
        confidence=confidence,
    )
    more = f" on {len(joined):,} of {len(predictions):,} predictions{more}"
    return _judged(figure, found.value, (found.low, found.high), len(joined), more)


def _of_window(
    figure: BusinessFigure, value: float, earlier: Sequence[float], confidence: float
) -> KpiResult:
    import statistics

    from scipy.stats import t

    known = [each for each in earlier if math.isfinite(each)]
    if len(known) < FEWEST_WINDOWS:
        more = f" for the window; how it varies is known after {FEWEST_WINDOWS} windows"
        return _judged(figure, value, None, 0, more)
    margin = float(t.ppf((1 + confidence) / 2, len(known) - 1)) * statistics.stdev(known)
    more = f" for the window, by how {len(known)} windows before it differ"
    return _judged(figure, value, (value - margin, value + margin), 0, more)


def _judged(
    figure: BusinessFigure, value: float, bounds: tuple[float, float] | None, rows: int, more: str
) -> KpiResult:
    low, high = bounds or (value, value)
    up = figure.goal == "higher"
    met = low >= figure.target if up else high <= figure.target
    missed = high < figure.target if up else low > figure.target
    verdict: Literal["met", "missed", "unclear"] = "met" if met else "missed" if missed else "unclear"
    interval = f" [{low:.4g}, {high:.4g}]" if bounds else ""
    said = {"met": "met", "missed": "missed", "unclear": "neither met nor missed for sure"}[verdict]
    sign = "≥" if up else "≤"
    told = f"{figure.name} {value:.4g}{interval}{more}: the target {sign} {figure.target:g} is {said}"
    if bounds is None:
        return KpiResult(figure.name, verdict, told, value, rows=rows)
    return KpiResult(figure.name, verdict, told, value, low, high, rows)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), "")
