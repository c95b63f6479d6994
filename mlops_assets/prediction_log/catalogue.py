"""The catalogue: which Parquet files are the log, and which segments are in them already.

What it does not name does not exist: files become part of the log, and segments stop to be, by its
transactions alone.
"""

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from mlops_assets.errors import StorageError
from mlops_assets.home import storage_errors, storage_failure_in
from mlops_assets.prediction_log.segments import Loss

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY,
    in_table TEXT NOT NULL,
    model TEXT NOT NULL,
    day TEXT NOT NULL,
    rows INTEGER NOT NULL,
    first_time INTEGER NOT NULL,
    last_time INTEGER NOT NULL,
    last_written INTEGER NOT NULL,
    first_id TEXT,
    last_id TEXT
);
CREATE INDEX IF NOT EXISTS files_by_time ON files (in_table, model, last_time);
CREATE TABLE IF NOT EXISTS consumed (segment TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS losses (
    segment TEXT NOT NULL,
    start INTEGER NOT NULL,
    length INTEGER NOT NULL,
    reason TEXT NOT NULL
);
"""
_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class FileEntry:
    """One Parquet file.

    Attributes:
        path: Below the log's folder.
        table: Name of its table.
        model: Model of all its rows.
        day: Day of all its rows.
        rows: How many there are.
        first_time: Earliest time of a row, microseconds since 1970.
        last_time: Latest time of a row.
        last_written: When the last of the rows was written, as they tell themselves.
        first_id: Least prediction id of a row; None in a table without.
        last_id: Greatest prediction id of a row.
    """

    path: str
    table: str
    model: str
    day: str
    rows: int
    first_time: int
    last_time: int
    last_written: int
    first_id: str | None
    last_id: str | None


class Catalogue:
    """The catalogue in a log's folder; one that was never written to is empty.

    Args:
        folder: The log's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "catalogue.db"

    def files(
        self,
        table: str,
        model: str | None = None,
        *,
        since: int | None = None,
        before: int | None = None,
        ids: tuple[str, str] | None = None,
    ) -> list[FileEntry]:
        """Return files that may hold what is asked for.

        Args:
            table: Table name.
            model: Only those of this model.
            since: Only those with a row at or after this.
            before: Only those with a row before this.
            ids: Only those that may have an id between these two, both included.
        """
        low, high = ids or (None, None)
        conditions = [
            ("in_table = ?", table), ("model = ?", model), ("last_time >= ?", since),
            ("first_time < ?", before), ("last_id >= ?", low), ("first_id <= ?", high),
        ]  # fmt: skip
        asked = [(condition, value) for condition, value in conditions if value is not None]
        where = " AND ".join(condition for condition, _ in asked)
        query = f"SELECT * FROM files WHERE {where} ORDER BY day, path"
        return [FileEntry(*row) for row in self._read(query, [value for _, value in asked])]

    def all_paths(self) -> set[str]:
        """Return the paths of all files."""
        return {path for (path,) in self._read("SELECT path FROM files")}

    def consumed(self) -> set[str]:
        """Return the names of segments that are in Parquet files and may not be gone yet."""
        return {name for (name,) in self._read("SELECT segment FROM consumed")}

    def models(self, table: str) -> set[str]:
        """Return the models that a table has rows of."""
        return {
            name for (name,) in self._read("SELECT DISTINCT model FROM files WHERE in_table = ?", [table])
        }

    def oldest(self) -> dict[str, int]:
        """Return for each model when the last row was written of that of its files where this is earliest."""
        return dict(self._read("SELECT model, MIN(last_written) FROM files GROUP BY model"))

    def written(self, table: str, since: int) -> list[tuple[str, int, int, int, str | None]]:
        """Return files with a row at or after a time.

        Returns:
            Model, first and last time, when the last row was written, and the least prediction id.
        """
        query = (
            "SELECT model, first_time, last_time, last_written, first_id FROM files "
            "WHERE in_table = ? AND last_time >= ?"
        )
        return [tuple(row) for row in self._read(query, [table, since])]

    def losses(self) -> list[Loss]:
        """Return what could not be read of segments that are consumed."""
        return [Loss(*row) for row in self._read("SELECT * FROM losses ORDER BY segment, start")]

    def enter(
        self,
        files: Sequence[FileEntry],
        superseded: Collection[str],
        segments: Collection[str],
        losses: Sequence[Loss],
    ) -> None:
        """Put files in the place of segments and of other files, at once.

        Args:
            files: Files that are on disk.
            superseded: Paths of files whose rows are in these, too.
            segments: Names of the segments whose rows are in these.
            losses: What of the segments is not.

        Raises:
            StorageError: The catalogue cannot be written; nothing changed.
        """
        with self._transaction() as connection:
            connection.executemany(
                "INSERT INTO files VALUES (?,?,?,?,?,?,?,?,?,?)", [astuple(file) for file in files]
            )
            connection.executemany("DELETE FROM files WHERE path = ?", [(path,) for path in superseded])
            connection.executemany("INSERT INTO consumed VALUES (?)", [(name,) for name in segments])
            connection.executemany("INSERT INTO losses VALUES (?,?,?,?)", [astuple(loss) for loss in losses])

    def drop(self, files: Collection[str] = (), consumed: Collection[str] = ()) -> None:
        """Strike files, and the names of consumed segments that are gone.

        Raises:
            StorageError: The catalogue cannot be written; nothing changed.
        """
        with self._transaction() as connection:
            connection.executemany("DELETE FROM files WHERE path = ?", [(path,) for path in files])
            connection.executemany("DELETE FROM consumed WHERE segment = ?", [(name,) for name in consumed])

    def _read(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        if not self._file.exists():
            return []
        with self._connected() as connection:
            return connection.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with storage_errors(self._file):
            self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._connected() as connection, connection:
            yield connection

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._file, timeout=_PATIENCE_SECONDS)) as connection:
                # Also the deletion of the journal, which is what commits, is on disk.
                connection.execute("PRAGMA synchronous = EXTRA")
                connection.executescript(_SCHEMA)
                yield connection
        except sqlite3.Error as error:
            reason = storage_failure_in(str(error)) or error
            raise StorageError(f"catalogue of the prediction log {self._file}: {reason}") from error
