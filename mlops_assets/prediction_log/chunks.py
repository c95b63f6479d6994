"""Predictions in chunks, row groups or tables in memory, of which columns are read as they are asked for."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mlops_assets.prediction_log.catalogue import FileEntry
from mlops_assets.prediction_log.input_columns import CARRIED, is_input
from mlops_assets.prediction_log.old_form import converted, is_old
from mlops_assets.prediction_log.tables import PREDICTIONS

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

_OPEN_AT_ONCE = 64
_MANY_VALUES = 2**20
_ROW = "row"


class Chunk(Protocol):
    """Some predictions of one model."""

    @property
    def model(self) -> str:
        """Model name."""

    @property
    def rows(self) -> int:
        """How many there are."""

    def read(self, columns: Sequence[str]) -> "pa.Table":
        """Return columns, each typed as it is stored; one that is not there is null."""


@dataclass(frozen=True)
class InMemory:
    """Predictions that are in no file yet."""

    model: str
    table: "pa.Table"

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.table)

    def read(self, columns: Sequence[str]) -> "pa.Table":
        """Return columns, each typed as it is stored; one that is not there is null."""
        return _picked(self.table, columns, self.rows)


@dataclass(frozen=True)
class RowGroups:
    """Row groups of a Parquet file that follow each other; text among its inputs is read as a dictionary."""

    model: str
    rows: int
    path: str
    numbers: tuple[int, ...]
    files: "Files"

    def read(self, columns: Sequence[str]) -> "pa.Table":
        """Return columns, each typed as it is stored; one that is not there is null."""
        file = self.files.opened(self.path)
        if file.has_to_be_converted(columns):
            return _picked(self.files.converted(self.path, self.numbers), columns, self.rows)
        stored = [name for name in columns if name in file.columns]
        # To hand a column to a thread takes as long as to read some ten thousand values.
        threads = len(stored) > 1 and len(stored) * self.rows > _MANY_VALUES
        found = file.parquet.read_row_groups(self.numbers, stored, use_threads=threads)
        return _picked(found, columns, self.rows)


@dataclass(frozen=True)
class OpenFile:
    """A Parquet file that is open, and the names of its columns."""

    parquet: "pq.ParquetFile"
    columns: frozenset[str]

    def has_to_be_converted(self, columns: Collection[str]) -> bool:
        """Return whether it does not hold columns as they are now."""
        now = {*PREDICTIONS.columns} - {CARRIED}
        return is_old(self.columns) and not now.issuperset(columns)


class Files:
    """The Parquet files of predictions, of which those stay open that were asked for last.

    Args:
        folder: The log's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.opened = lru_cache(_OPEN_AT_ONCE)(self._opened)
        self.converted = lru_cache(1)(self._converted)

    def chunks(self, entry: FileEntry, at_once: int) -> Iterator[RowGroups]:
        """Yield the row groups of a file: each by itself, or several that have no more than so many rows."""
        metadata = self.opened(entry.path).parquet.metadata
        taken: list[int] = []
        rows = 0
        for number in range(metadata.num_row_groups):
            more = metadata.row_group(number).num_rows
            if taken and rows + more > at_once:
                yield RowGroups(entry.model, rows, entry.path, tuple(taken), self)
                taken, rows = [], 0
            taken.append(number)
            rows += more
        yield RowGroups(entry.model, rows, entry.path, tuple(taken), self)

    def _opened(self, path: str) -> OpenFile:
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = pq.ParquetFile(self._folder / path)
        schema = file.schema_arrow
        texts = [field.name for field in schema if is_input(field.name) and field.type == pa.string()]
        if texts:
            file = pq.ParquetFile(self._folder / path, metadata=file.metadata, read_dictionary=texts)
        return OpenFile(file, frozenset(schema.names))

    def _converted(self, path: str, numbers: tuple[int, ...]) -> "pa.Table":
        return converted(self.opened(path).parquet.read_row_groups(numbers))


def matching(
    chunk: Chunk, only: "pc.Expression", columns: Sequence[str]
) -> "tuple[np.ndarray[Any, Any], pa.Table]":
    """Return which rows of a chunk are wanted, and columns of them.

    Args:
        chunk: The chunk.
        only: Which are wanted.
        columns: The columns, among them all that this is about.
    """
    import numpy as np
    import pyarrow as pa

    rows = chunk.read(columns).append_column(_ROW, pa.array(np.arange(chunk.rows)))
    found = rows.filter(only)
    return found[_ROW].to_numpy(), found.drop_columns([_ROW])


def with_more(
    found: "pa.Table", chunk: Chunk, places: "np.ndarray[Any, Any]", columns: Iterable[str]
) -> "pa.Table":
    """Return rows that were found in a chunk, at some places, with more of their columns."""
    import pyarrow as pa

    more = chunk.read([name for name in columns if name not in found.column_names])
    if len(places) < chunk.rows:
        more = more.take(places)
    names = [*found.column_names, *more.column_names]
    return pa.table([*found.columns, *more.columns], names)


def _picked(table: "pa.Table", columns: Sequence[str], rows: int) -> "pa.Table":
    import pyarrow as pa

    there = frozenset(table.column_names)
    if there.issuperset(columns):
        return table.select(columns)
    own = PREDICTIONS.schema()
    kinds = dict(zip(own.names, own.types, strict=True))
    return pa.table(
        {name: table[name] if name in there else pa.nulls(rows, kinds.get(name)) for name in columns}
    )
