"""Content digests: the names under which data, code and models are known for ever."""

import hashlib
import json
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

    The bytes hashed are Arrow's IPC stream, not a Parquet file's: Parquet bytes change with the
    writer's version and compression, the content does not.
    """
    import pyarrow as pa

    table = _plain(pa.Table.from_pandas(frame, preserve_index=False))
    sink = _HashingSink()
    with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), table.schema) as stream:
        for batch in table.combine_chunks().to_batches(max_chunksize=65_536):
            stream.write_batch(batch)
    return sink.digest.hexdigest()


def _plain(table: Any) -> Any:
    """Return a table in which text has one type, whichever of pandas' text types it came from."""
    import pyarrow as pa

    text = (
        pa.types.is_large_string,
        pa.types.is_string,
        pa.types.is_dictionary,
        pa.types.is_string_view,
    )
    fields = [
        pa.field(f.name, pa.string() if any(is_text(f.type) for is_text in text) else f.type)
        for f in table.schema
    ]
    return table.cast(pa.schema(fields))


class _HashingSink:
    """A write-only file that keeps nothing but the hash."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self.closed = False

    def write(self, piece: Any) -> int:
        self.digest.update(piece)
        return len(piece)

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        """Nothing is held open."""
