"""Read the rows of a time window from wherever a team keeps them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.data.columns import convert, to_declared_types
from mlops_assets.errors import DataError, MlopsError, did_you_mean
from mlops_assets.specs.model_spec import (
    CsvSource,
    Data,
    ParquetSource,
    PythonSource,
    Source,
    SqlSource,
)
from mlops_assets.specs.references import load_function

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Window:
    """A span of event time, start inclusive, end exclusive, naive UTC."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M}"


def training_window(data: Data, as_of: datetime) -> Window:
    """Return the window a training as of a time may read: it ends where labels are known."""
    return Window(as_of - data.window, as_of - data.label_delay)


def read_window(data: Data, window: Window, folder: Path) -> "pd.DataFrame":
    """Return the declared columns of all rows whose time lies in ``window``.

    Rows come in one canonical order (time, key, then every other column), so that the same content
    gives the same digest whatever order the source delivers.

    Args:
        data: The spec's data part.
        window: Event times to read.
        folder: The spec's folder, to which relative paths refer.

    Raises:
        DataError: A declared column is missing, the window is empty, or the source fails.
    """
    source = data.source
    try:
        rows = _read(source, data, window, folder)
    except MlopsError:
        raise
    except Exception as error:
        raise DataError(f"{_name(source)} failed: {type(error).__name__}: {_first_line(error)}") from error
    _require_columns(list(rows.columns), data.columns, source)
    rows = rows[list(data.columns)]
    times, bad = convert(rows[data.time_column], "datetime")
    if bad.any():
        value = rows.loc[bad, data.time_column].iloc[0]
        raise DataError(
            f"{_name(source)}: {data.time_column} holds {value!r}, which is no time "
            f"({int(bad.sum())} rows); write times as ISO 8601"
        )
    if times.isna().any():
        raise DataError(f"{_name(source)}: {data.time_column} is missing in {int(times.isna().sum())} rows")
    rows = rows.assign(**{data.time_column: times})
    rows = rows[(times >= window.start) & (times < window.end)]
    if rows.empty:
        raise DataError(f"{_name(source)} has no rows from {window}; check the source and --as-of")
    rows = to_declared_types(rows, data.features)
    order = list(dict.fromkeys([data.time_column, *data.key, *data.columns]))
    return rows.sort_values(order, kind="stable", na_position="last").reset_index(drop=True)


def _read(source: Source, data: Data, window: Window, folder: Path) -> "pd.DataFrame":
    import pandas as pd

    match source:
        case PythonSource():
            rows = load_function(source.function)(window.start, window.end)
            if not isinstance(rows, pd.DataFrame):
                raise DataError(
                    f"{source.function} must return a pandas DataFrame, not {type(rows).__name__}"
                )
            return rows
        case CsvSource():
            strings = {c.name: "object" for c in data.features if c.type == "string"}
            return pd.read_csv(folder / source.path, dtype=strings, keep_default_na=True)
        case ParquetSource():
            return pd.read_parquet(folder / source.path)
        case SqlSource():
            return _read_sql(source, data, window)


def _read_sql(source: SqlSource, data: Data, window: Window) -> "pd.DataFrame":
    import pandas as pd
    import sqlalchemy as sa

    url = source.url or os.environ.get(source.url_env or "")
    if not url:
        raise DataError(f"the environment variable {source.url_env} holds no database URL; set it")
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            bounds = {"start": window.start, "end": window.end}
            if source.query is not None:
                return pd.read_sql(sa.text(source.query), connection, params=bounds)
            table = sa.Table(source.table or "", sa.MetaData(), autoload_with=connection)
            _require_columns(table.columns.keys(), data.columns, source)
            # Times stored as text compare as text; the exact cut is made after parsing.
            query = sa.select(*(table.columns[name] for name in data.columns))
            time = table.columns[data.time_column]
            if isinstance(time.type, sa.DateTime):
                query = query.where(time >= window.start, time < window.end)
            return pd.read_sql(query, connection)
    except sa.exc.NoSuchTableError as error:
        with engine.connect() as connection:
            tables = sa.inspect(connection).get_table_names()
        raise DataError(
            f"the database has no table {source.table!r}{did_you_mean(str(source.table), tables)}"
        ) from error
    finally:
        engine.dispose()


def _require_columns(present: Sequence[str], wanted: Sequence[str], source: Source) -> None:
    missing = [name for name in wanted if name not in set(present)]
    if missing:
        named = "; ".join(f"{name!r}{did_you_mean(name, present)}" for name in missing)
        raise DataError(f"{_name(source)} does not deliver the declared column {named}")


def _name(source: Source) -> str:
    match source:
        case PythonSource():
            return f"source {source.function}"
        case CsvSource() | ParquetSource():
            return f"source {source.path}"
        case SqlSource():
            return f"SQL source {source.table or 'query'}"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), "")
