"""Content digests: the names under which data, code and models are known for ever."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def of_bytes(content: bytes) -> str:
    """Return the SHA-256 of ``content`` as 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def of_json(value: Any) -> str:
    """Return the digest of a JSON value, independent of key order and white space."""
    return of_bytes(canonical_json(value))


def canonical_json(value: Any) -> bytes:
    """Return the one byte form of a JSON value: sorted keys, no spaces, UTF-8, no NaN.

    Raises:
        ValueError: The value holds NaN or an infinity, which JSON does not know.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def of_file(path: Path) -> str:
    """Return the digest of a file's bytes, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_frame(frame: "pd.DataFrame") -> str:
    """Return the digest of a frame's column names, types and values, in row order.

    What is hashed is the content: per column its name, its type, which rows are missing, and the values
    of the others. Not a Parquet file's bytes, which change with the writer's version and compression,
    and not what happens to lie in memory under a missing value.

    Raises:
        TypeError: A column holds something that is no number, text, truth value or time.
    """
    import pyarrow as pa

    table = pa.Table.from_pandas(frame, preserve_index=False)
    digest = hashlib.sha256()
    for name, column in zip(table.column_names, table.columns, strict=True):
        for piece in _content(name, column):
            digest.update(piece)
    return digest.hexdigest()


def _content(name: str, column: Any) -> "Iterator[bytes | memoryview]":
    """Yield the bytes that tell a column's content, the same for all forms of one type."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    column = _plain(name, column)
    known = column.drop_null()
    yield canonical_json([name, str(column.type), len(column), len(known)])
    yield np.packbits(column.is_valid().to_numpy()).tobytes()
    if pa.types.is_large_string(known.type) or pa.types.is_large_binary(known.type):
        lengths = pc.binary_length(known).to_numpy()
        yield lengths.astype("<i8").tobytes()
        for chunk in known.cast(pa.large_binary()).chunks:
            offsets = np.frombuffer(chunk.buffers()[1], "<i8")[chunk.offset : chunk.offset + len(chunk) + 1]
            if len(chunk) and chunk.buffers()[2] is not None:
                yield memoryview(chunk.buffers()[2])[offsets[0] : offsets[-1]]
    elif not pa.types.is_null(known.type):
        values = known.to_numpy()
        yield values.astype(values.dtype.newbyteorder("<")).tobytes()


def _plain(name: str, column: Any) -> Any:
    """Return a column in the one type that stands for all of Arrow's and pandas' types of its kind."""
    import pyarrow as pa

    kind, is_a = column.type, pa.types
    if is_a.is_dictionary(kind):
        kind = kind.value_type
    if is_a.is_string(kind) or is_a.is_large_string(kind) or is_a.is_string_view(kind):
        return column.cast(pa.large_string())
    if is_a.is_decimal(kind):
        return column.cast(pa.large_string())
    if is_a.is_binary(kind) or is_a.is_large_binary(kind):
        return column.cast(pa.large_binary())
    if is_a.is_timestamp(kind) and kind.unit in ("s", "ms"):
        return column.cast(pa.timestamp("us", kind.tz))  # Parquet knows no seconds
    if is_a.is_primitive(kind) or is_a.is_null(kind):
        return column.cast(kind)
    raise TypeError(f"column {name!r} holds {kind}, not numbers, text, truth values or times")
