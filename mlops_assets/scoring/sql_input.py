"""The rows of a database, copied once into a file that stays as it is however the database goes on.

Only so can what was killed be taken up again: a query need not give its rows in the same order twice, or at
all.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.data.sources import sql_url
from mlops_assets.digests import of_json
from mlops_assets.errors import DataError
from mlops_assets.home import replacing, storage_errors
from mlops_assets.scoring.inputs import CHUNK_ROWS
from mlops_assets.specs.data_spec import ColumnType, SqlSource

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import sqlalchemy as sa

_TYPES = {"number": "float64", "integer": "float64", "boolean": "bool", "datetime": "timestamp[us]"}


@dataclass(frozen=True)
class SqlRows:
    """Rows of a database.

    Attributes:
        url: SQLAlchemy URL; may hold a password, so it is neither shown nor kept.
        table: The table; None if there is a query.
        query: The query; None if there is a table.
    """

    url: str = field(repr=False)
    table: str | None = None
    query: str | None = None

    @classmethod
    def of(cls, source: SqlSource) -> "SqlRows":
        """Return the rows of a spec's source.

        Raises:
            DataError: The environment variable that is to hold its URL does not.
        """
        return cls(sql_url(source), source.table, source.query)

    @property
    def name(self) -> str:
        """What messages and records call them."""
        return f"SQL table {self.table}" if self.table else f"SQL query {self.query}"

    @property
    def asked(self) -> str:
        """Digest of what was asked of which database, whoever asked."""
        import sqlalchemy as sa

        try:
            url = sa.make_url(self.url).set(username=None, password=None)
        except sa.exc.ArgumentError as error:
            raise DataError(f"{self.name}: its database has no URL that SQLAlchemy knows") from error
        return of_json([str(url), self.table, self.query])


def copy_rows(source: SqlRows, types: Mapping[str, ColumnType], file: Path) -> None:
    """Write the rows of a table or query as a Parquet file, unless it is there already.

    Args:
        source: Where they are.
        types: Types of the declared columns, which a chunk without values does not tell.
        file: Appears whole or not at all.

    Raises:
        DataError: The database cannot be read.
        StorageError: The file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if file.exists():
        return
    writer: Any = None
    with storage_errors(file), replacing(file) as temporary:
        try:
            for rows in _frames(source):
                table = _table(rows, types, writer.schema if writer else None)
                writer = writer or pq.ParquetWriter(temporary, table.schema)
                writer.write_table(table)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            said = f"{source.name}: a column holds values of several types: {error}"
            raise DataError(said) from error
        finally:
            if writer is not None:
                writer.close()
        if writer is None:
            raise DataError(f"{source.name} has no rows")


def _frames(source: SqlRows) -> "Iterator[pd.DataFrame]":
    import pandas as pd
    import sqlalchemy as sa

    try:
        engine = sa.create_engine(source.url)
        try:
            # Without it some drivers fetch the whole result at once.
            with engine.connect().execution_options(stream_results=True) as connection:
                yield from pd.read_sql(_query(source), connection, chunksize=CHUNK_ROWS)
        finally:
            engine.dispose()
    except Exception as error:  # a driver may raise anything
        reason = str(error.__cause__ or error).strip().splitlines()
        said = reason[0] if reason else type(error).__name__
        raise DataError(f"{source.name} cannot be read: {said}") from error


def _query(source: SqlRows) -> "sa.Select[Any] | sa.TextClause":
    import sqlalchemy as sa

    if source.query is not None:
        return sa.text(source.query)
    schema, _, name = str(source.table).rpartition(".")
    return sa.select(sa.text("*")).select_from(sa.table(name, schema=schema or None))


def _table(rows: "pd.DataFrame", types: Mapping[str, ColumnType], schema: "pa.Schema | None") -> "pa.Table":
    """Return rows as a table of the first chunk's schema; what is not as declared stays as it is."""
    import pyarrow as pa

    if schema is not None:
        return pa.Table.from_pandas(rows, schema=schema, preserve_index=False)
    table = pa.Table.from_pandas(rows, preserve_index=False)
    for place, (name, found) in enumerate(zip(table.schema.names, table.schema.types, strict=True)):
        wanted = _TYPES.get(types.get(name, ""), "string")
        # A missing value may come later for the first time, and pandas then reads floats.
        if pa.types.is_null(found) or (pa.types.is_integer(found) and wanted == "float64"):
            table = table.set_column(place, name, table[place].cast(wanted))
    return table.replace_schema_metadata(None)
