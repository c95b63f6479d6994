"""Rows to be scored, read in chunks of one size from CSV, Parquet or a database."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from mlops_assets import digests
from mlops_assets.data.sources import MISSING
from mlops_assets.errors import DataError
from mlops_assets.specs.data_spec import ColumnType

if TYPE_CHECKING:
    import pyarrow as pa

# One size for good: where chunks begin decides where parts and row groups do, thus the output's bytes.
CHUNK_ROWS = 64_000
_BLOCK_BYTES = 4 * 2**20
_READ_BYTES = 2**20
_DIGESTED_AT_ONCE = 2**20


def open_input(path: Path, types: Mapping[str, ColumnType]) -> "Input":
    """Return the rows of a CSV or Parquet file, or of a folder of Parquet files.

    Args:
        path: The file or folder.
        types: Types of the columns that are declared, which a text file does not tell.

    Raises:
        DataError: There is none, or it is of another kind.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*.parquet") if file.is_file())
        if not files:
            raise DataError(f"{path} holds no Parquet file (*.parquet)")
        return ParquetInput.of(str(path), files)
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    match path.suffix.lower():
        case ".parquet":
            return ParquetInput.of(str(path), [path])
        case ".csv":
            return CsvInput.of(path, types)
    raise DataError(f"{path}: rows are read from .csv and .parquet, not from {path.suffix or 'no suffix'}")


@dataclass(frozen=True)
class ParquetInput:
    """Rows of Parquet files, one after the other; the same each time they are read.

    Attributes:
        name: As messages name them.
        files: The files.
        columns: Names of their columns, in order.
        rows: How many rows they have.
    """

    name: str
    files: tuple[Path, ...]
    columns: tuple[str, ...]
    rows: int

    @classmethod
    def of(cls, name: str, files: Sequence[Path]) -> "ParquetInput":
        """Return the rows of some files.

        Raises:
            DataError: One is no Parquet, or has other columns than the first.
        """
        rows, schemas = 0, []
        for file in files:
            with _readable(file), _opened(file) as parquet:
                rows += parquet.metadata.num_rows
                schemas.append(parquet.schema_arrow)
            if not schemas[-1].equals(schemas[0], check_metadata=False):
                raise DataError(f"{file} has other columns, or of other types, than {files[0]}")
        return cls(name, tuple(files), tuple(schemas[0].names), rows)

    @cached_property
    def digest(self) -> str:
        """Digest of their content, for which all of it is read."""
        whole = []
        for file in self.files:
            with _readable(file):
                whole.append(digests.of_file(file))
        return whole[0] if len(whole) == 1 else digests.of_json(whole)

    def chunks(self, columns: Sequence[str], after: int = 0) -> "Iterator[pa.Table]":
        """Yield tables of :data:`CHUNK_ROWS` rows, the last of fewer.

        Args:
            columns: Which columns, in this order.
            after: How many chunks to leave out.

        Raises:
            DataError: They cannot be read.
        """
        yield from _in_chunks(self._batches(columns, skip := [after * CHUNK_ROWS]), skip)

    def _batches(self, columns: Sequence[str], skip: list[int]) -> "Iterator[pa.RecordBatch]":
        """Yield what is left after leaving out whole row groups, which need not be read."""
        for file in self.files:
            with _readable(file), _opened(file) as parquet:
                groups = [parquet.metadata.row_group(i).num_rows for i in range(parquet.num_row_groups)]
                first = 0
                while first < len(groups) and groups[first] <= skip[0]:
                    skip[0] -= groups[first]
                    first += 1
                wanted = list(range(first, len(groups)))
                # An empty list of groups would be all of them.
                for batch in parquet.iter_batches(CHUNK_ROWS, wanted, list(columns)) if wanted else ():
                    yield batch.select(list(columns))


@dataclass(frozen=True)
class CsvInput:
    """Rows of a CSV file with a header; the same each time they are read.

    Attributes:
        name: As messages name it.
        file: The file.
        digest: Of its content.
        columns: Names of its columns, in order.
        rows: How many lines it has after the header: as many rows, if no value goes over several lines.
        types: Types of the columns that are declared.
    """

    name: str
    file: Path
    digest: str
    columns: tuple[str, ...]
    rows: int
    types: Mapping[str, ColumnType] = field(repr=False)

    @classmethod
    def of(cls, file: Path, types: Mapping[str, ColumnType]) -> "CsvInput":
        """Return the rows of a file.

        Raises:
            DataError: It is no CSV.
        """
        import pyarrow as pa
        import pyarrow.csv as pc

        with _readable(file):
            try:
                # Every column as text: here only their names are asked for.
                with pc.open_csv(file, pc.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False)) as found:
                    columns = tuple(found.schema.names)
            except pa.ArrowInvalid as error:
                raise DataError(f"{file} is no CSV with a header: {_first_line(error)}") from error
        digest, lines = _digest_and_lines(file)
        return cls(str(file), file, digest, columns, max(0, lines - 1), types)

    def chunks(self, columns: Sequence[str], after: int = 0) -> "Iterator[pa.Table]":
        """Yield the rows; see :meth:`ParquetInput.chunks`."""
        import pyarrow as pa

        try:
            yield from _in_chunks(self._batches(columns), [after * CHUNK_ROWS])
        except pa.ArrowInvalid as error:
            self._name_what_is_no_number(columns)
            raise DataError(f"{self.name}: {_first_line(error)}") from error

    def _batches(self, columns: Sequence[str], *, as_text: bool = False) -> "Iterator[pa.RecordBatch]":
        import pyarrow as pa
        import pyarrow.csv as pc

        forms = {"number": pa.float64(), "integer": pa.float64(), "boolean": pa.bool_()}
        types = {
            name: pa.string() if as_text else forms.get(self.types.get(name, ""), pa.string())
            for name in columns
        }
        with _readable(self.file):
            yield from pc.open_csv(
                self.file,
                pc.ReadOptions(block_size=_BLOCK_BYTES),
                pc.ParseOptions(newlines_in_values=True),
                pc.ConvertOptions(
                    column_types=types,
                    include_columns=list(columns),
                    null_values=MISSING,
                    strings_can_be_null=False,
                ),
            )

    def _name_what_is_no_number(self, columns: Sequence[str]) -> None:
        """Raise an error that names the first row in which a number or truth value cannot be read."""
        import pyarrow as pa
        import pyarrow.compute as pc

        numbers = [name for name in columns if self.types.get(name) in ("number", "integer", "boolean")]
        seen = 0
        for batch in self._batches(columns, as_text=True):
            found = []
            for name in numbers:
                target = pa.bool_() if self.types[name] == "boolean" else pa.float64()
                text = pc.utf8_trim_whitespace(batch[name])
                known = pc.if_else(pc.is_in(text, pa.array(MISSING)), None, text)
                if (place := _first_unlike(known, target)) is not None:
                    found.append((place, name))
            if found:
                place, name = min(found)
                kind = self.types[name]
                raise DataError(
                    f"{self.name}, row {seen + place + 1:,}: column {name!r}: "
                    f"{batch[name][place].as_py()!r} is not {'an' if kind == 'integer' else 'a'} {kind}"
                )
            seen += len(batch)


Input: TypeAlias = ParquetInput | CsvInput


def _first_unlike(text: "pa.Array", kind: "pa.DataType") -> int | None:
    """Return the place of the first text that is not of a kind, found by halves."""
    if _is_all(text, kind):
        return None
    low, high = 0, len(text)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _is_all(text[low:middle], kind) else (low, middle)
    return low


def _is_all(text: "pa.Array", kind: "pa.DataType") -> bool:
    import pyarrow as pa

    try:
        text.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def _in_chunks(batches: "Iterable[pa.RecordBatch]", skip: list[int]) -> "Iterator[pa.Table]":
    """Yield batches of any size as tables of one size.

    Args:
        batches: The rows.
        skip: How many of them to leave out; may become less while batches are read.
    """
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        left_out = min(skip[0], len(batch))
        skip[0] -= left_out
        held.append(batch.slice(left_out))
        count += len(held[-1])
        while count >= CHUNK_ROWS:
            table = pa.Table.from_batches(held)
            yield table.slice(0, CHUNK_ROWS)
            held = table.slice(CHUNK_ROWS).to_batches()
            count -= CHUNK_ROWS
    if count:
        yield pa.Table.from_batches(held)


def _opened(file: Path) -> Any:
    """Return an open Parquet file that is read bit by bit, however large its row groups are."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(file, pre_buffer=False, buffer_size=_READ_BYTES)


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Turn what cannot be read into a :class:`DataError` that names the file."""
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise DataError(f"cannot read {file}: {error.strerror}") from error
        if file.suffix.lower() != ".parquet":
            raise
        raise DataError(f"{file} is no readable Parquet file: {_first_line(error)}") from error


def _digest_and_lines(file: Path) -> tuple[str, int]:
    """Return a file's digest and how many lines it has, reading it once."""
    digest, lines, last = hashlib.sha256(), 0, b"\n"
    with file.open("rb") as opened:
        while piece := opened.read(_DIGESTED_AT_ONCE):
            digest.update(piece)
            lines += piece.count(b"\n")
            last = piece[-1:]
    return digest.hexdigest(), lines + (last != b"\n")


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
