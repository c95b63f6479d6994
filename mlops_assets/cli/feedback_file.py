"""A file of feedback as lines of JSON, in pieces, whatever its form and length."""

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import orjson

from mlops_assets.errors import DataError
from mlops_assets.home import storage_failure

_COLUMNS = ("prediction_id", "entity", "event_time", "kind", "label", "value", "observed_at")
_TEXTS = ("prediction_id", "entity", "event_time", "kind", "observed_at")
_LINES_AT_ONCE = 20_000
_BYTES_AT_ONCE = 8 * 1024 * 1024


def pieces_of(path: Path) -> Iterator[tuple[int, bytes]]:
    """Return pieces of a file that fit into one request each: number of the first line, and the lines.

    Lines are counted as editors do, so that a header is one, too; rows of Parquet from 1.

    Raises:
        DataError: It is none of the forms that are read, or cannot be; while it is read also: it is not of
            its form, or has no column that names predictions.
    """
    readers = {".csv": _csv, ".parquet": _parquet, ".ndjson": _lines, ".jsonl": _lines}
    if (reader := readers.get(path.suffix.lower())) is None:
        raise DataError(f"{path}: the name must end with one of {', '.join(readers)}")
    try:
        path.open("rb").close()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {storage_failure(error) or error.strerror}") from error
    return _pieces(reader(path), 2 if reader is _csv else 1)


def _pieces(lines: Iterator[bytes], first: int) -> Iterator[tuple[int, bytes]]:
    held: list[bytes] = []
    size = 0
    for line in lines:
        if held and (len(held) >= _LINES_AT_ONCE or size + len(line) > _BYTES_AT_ONCE):
            yield first, b"\n".join(held)
            first += len(held)
            held, size = [], 0
        held.append(line)
        size += len(line) + 1
    if any(held):
        yield first, b"\n".join(held)


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            yield line.strip()


def _csv(path: Path) -> Iterator[bytes]:
    import pandas as pd

    texts = dict.fromkeys(_TEXTS, "str")
    try:
        with pd.read_csv(
            path, dtype=texts, keep_default_na=False, na_values=[""], chunksize=_LINES_AT_ONCE
        ) as chunks:
            for chunk in chunks:
                _require_columns(path, [*map(str, chunk.columns)])
                known = chunk[[name for name in _COLUMNS if name in chunk]].astype("object")
                yield from map(_line, known.to_dict("records"))
    except ValueError as error:  # pandas' own errors are among these
        raise DataError(f"{path} is no CSV file that can be read: {error}") from error


def _parquet(path: Path) -> Iterator[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            _require_columns(path, names)
            known = [name for name in _COLUMNS if name in names]
            for batch in file.iter_batches(_LINES_AT_ONCE, columns=known):
                yield from map(_line, batch.to_pylist())
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} is no Parquet file that can be read: {error}") from error


def _require_columns(path: Path, names: list[str]) -> None:
    has = f"it has {', '.join(names) or 'none'}"
    if "prediction_id" not in names and not {"entity", "event_time"} <= {*names}:
        raise DataError(f"{path} has no column 'prediction_id', nor 'entity' and 'event_time'; {has}")
    if not {"label", "value"} & {*names}:
        raise DataError(f"{path} has no column 'label' or 'value'; {has}")


def _line(row: Mapping[Any, Any]) -> bytes:
    given = {name: value for name, value in row.items() if value is not None and value == value}
    plain = {name: value.isoformat() if isinstance(value, date) else value for name, value in given.items()}
    return orjson.dumps(plain, default=str)
