"""Read the rows of a time window from wherever a team keeps them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.data.columns import convert, to_declared_types
from mlops_assets.errors import DataError, MlopsError, did_you_mean
from mlops_assets.specs.data_spec import CsvSource, Data, ParquetSource, PythonSource, Source, SqlSource
from mlops_assets.specs.durations import format_duration
from mlops_assets.specs.references import load_function

if TYPE_CHECKING:
    import pandas as pd
    import sqlalchemy as sa

# What a CSV file writes for a missing number or truth value. Text is missing only where it is empty:
# pandas' own list would make the carrier "NA" and the name "None" disappear.
MISSING = ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "<NA>"]


@dataclass(frozen=True)
class Window:
    """A span of event time, start inclusive, end exclusive, naive UTC."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M}"


def training_window(data: Data, as_of: datetime) -> Window:
    """Return the window a training as of a time may read: it ends where labels are known.

    Raises:
        DataError: It would begin before the year 1.
    """
    try:
        return Window(as_of - data.window, as_of - data.label_delay)
    except OverflowError:
        said = f"the window {format_duration(data.window)} as of {as_of} begins before the year 1"
        raise DataError(f"{said}; check data.window and --as-of") from None


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
        SpecError: The source's function cannot be imported.
    """
    source = data.source
    try:
        rows = _read(source, data, window, folder)
    except MlopsError:
        raise
    except Exception as error:
        raise DataError(f"{_name(source)} failed: {type(error).__name__}: {_first_line(error)}") from error
    _require_columns(list(rows.columns), data.columns, source)
    rows = rows[list(data.columns)].reset_index(drop=True)
    times, bad = convert(rows[data.time_column], "datetime")
    if bad.any():
        value = rows.loc[bad, data.time_column].astype("object").iloc[0]
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
    return in_canonical_order(_of_one_type(to_declared_types(rows, data.features), data, source), data)


def in_canonical_order(rows: "pd.DataFrame", data: Data) -> "pd.DataFrame":
    """Return rows by time, key and then every other declared column, numbered anew."""
    order = list(dict.fromkeys([data.time_column, *data.key, *data.columns]))
    return rows.sort_values(order, kind="stable", na_position="last").reset_index(drop=True)


def _of_one_type(rows: "pd.DataFrame", data: Data, source: Source) -> "pd.DataFrame":
    """Return rows whose target and key, which have no declared type, can be sorted and stored."""
    import pandas as pd

    declared = {column.name for column in data.features}
    for name in dict.fromkeys([*data.key, data.target]):
        if name in declared or name == data.time_column:
            continue
        values = rows[name]
        if isinstance(values.dtype, pd.CategoricalDtype) or values.dtype == object:
            values = values.astype("object").infer_objects()
            kind = pd.api.types.infer_dtype(values, skipna=True)
            if kind.startswith("mixed"):
                kinds = sorted({type(v).__name__ for v in values.dropna()})
                raise DataError(f"{_name(source)}: {name} mixes values of type {', '.join(kinds)}")
            rows = rows.assign(**{name: values})
    return rows


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
            return _read_csv(folder / source.path, data)
        case ParquetSource():
            return pd.read_parquet(folder / source.path)
        case SqlSource():
            return _read_sql(source, data, window)


def _read_csv(file: Path, data: Data) -> "pd.DataFrame":
    import pandas as pd

    text = {c.name for c in data.features if c.type == "string"}
    rows = pd.read_csv(
        file,
        dtype=dict.fromkeys(text, "str"),
        keep_default_na=False,
        na_values={name: [""] if name in text else MISSING for name in data.columns},
    )
    # One stray word makes pandas read the whole column as text; all but the word is still good.
    for column in data.features:
        if column.name in rows and isinstance(rows[column.name].dtype, pd.StringDtype):
            values = rows[column.name]
            if column.type in ("number", "integer"):
                parsed = pd.to_numeric(values, errors="coerce").astype("object")
            elif column.type == "boolean":
                parsed = values.str.lower().map({"true": True, "false": False}).astype("object")
            else:
                continue
            rows[column.name] = parsed.where(parsed.notna(), values)
    return rows


def _read_sql(source: SqlSource, data: Data, window: Window) -> "pd.DataFrame":
    import pandas as pd
    import sqlalchemy as sa

    engine = sa.create_engine(sql_url(source))
    try:
        with engine.connect() as connection:
            if source.query is not None:
                bounds = {"start": window.start, "end": window.end}
                return pd.read_sql(sa.text(source.query), connection, params=bounds)
            return pd.read_sql(_table_query(source, data, window, connection), connection)
    finally:
        engine.dispose()


def sql_url(source: SqlSource) -> str:
    """Return the URL of a source's database.

    Raises:
        DataError: The environment variable that is to hold it does not.
    """
    url = source.url or os.environ.get(source.url_env or "")
    if not url:
        raise DataError(f"the environment variable {source.url_env} holds no database URL; set it")
    return url


def _table_query(
    source: SqlSource, data: Data, window: Window, connection: "sa.Connection"
) -> "sa.Select[Any]":
    """Return the query for a table's declared columns, cut near the window.

    The table is asked for one row instead of being reflected, which not every dialect can do.
    """
    import sqlalchemy as sa

    schema, _, name = str(source.table).rpartition(".")
    table = sa.table(name, schema=schema or None)
    time: sa.ColumnElement[Any] = sa.column(data.time_column)
    try:
        present = list(connection.execute(sa.select("*").select_from(table).limit(0)).keys())
    except sa.exc.DBAPIError as error:
        connection.rollback()
        known = sa.inspect(connection).get_table_names(schema=schema or None)
        if name in known:
            raise
        raise DataError(f"the database has no table {source.table!r}{did_you_mean(name, known)}") from error
    _require_columns(present, data.columns, source)
    columns: list[sa.ColumnElement[Any]] = [sa.column(name) for name in data.columns]
    query = sa.select(*columns).select_from(table)
    seen = connection.execute(sa.select(time).select_from(table).where(time.is_not(None)).limit(1)).scalar()
    # The exact cut is made after parsing; a day on either side leaves room for any time zone.
    low, high = window.start - timedelta(days=1), window.end + timedelta(days=2)
    if isinstance(seen, datetime):
        return query.where(time >= low, time < high)
    if isinstance(seen, date):
        return query.where(time >= low.date(), time < high.date())
    if isinstance(seen, str) and seen[4:5] == "-":
        # ISO times compare as text, by their dates whatever follows.
        return query.where(time >= f"{low:%Y-%m-%d}", time < f"{high:%Y-%m-%d}")
    return query


def _require_columns(present: Sequence[str], wanted: Sequence[str], source: Source) -> None:
    missing = [name for name in wanted if name not in set(present)]
    if missing:
        named = "; ".join(f"{name!r}{did_you_mean(name, present)}" for name in missing)
        raise DataError(f"{_name(source)} does not deliver the declared column {named}")
    twice = [name for name in wanted if list(present).count(name) > 1]
    if twice:
        raise DataError(f"{_name(source)} delivers the column {', '.join(map(repr, twice))} more than once")


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
