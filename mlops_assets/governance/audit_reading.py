"""The audit chain for those who only look whether anything was entered, as every gateway does at its start.

SQLAlchemy takes a fifth of a second and a tenth of a gateway's memory to import. SQLite is read without.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

from mlops_assets.errors import StorageError
from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.governance.audit_entry import EMPTY, Entry, Head, entry_of
from mlops_assets.home import Home, storage_failure_in

_PATIENCE_SECONDS = 30.0
_COLUMNS = "seq, action, model, body, hash"


class AuditReader(Protocol):
    """What is asked of an audit chain by those who follow it."""

    def head(self) -> Head:
        """Return the chain's length and its newest entry's hash."""
        ...

    def has(self, head: Head) -> bool:
        """Return whether the chain still is what it was when it ended so, or has grown from there."""
        ...

    def newest_first(
        self, actions: Iterable[str], model: str | None = None, after: int = 0
    ) -> Iterator[Entry]:
        """Yield the entries with one of these actions, the newest first."""
        ...


def audit_reader(home: Home) -> AuditReader:
    """Return a reader of a home's audit chain; it imports SQLAlchemy only for other databases than SQLite."""
    url = home.state_url
    if url.startswith("sqlite:///") and "?" not in url:
        return SqliteAuditReader(Path(url.removeprefix("sqlite:///")))
    return AuditChain(url, home.audit_checkpoints)


class _Row(NamedTuple):
    seq: Any
    action: Any
    model: Any
    body: Any
    hash: Any


class SqliteAuditReader:
    """Reads an audit chain that is a SQLite database, as :class:`AuditChain` would.

    Args:
        file: The database; as long as nobody has made it, the chain is empty.
    """

    def __init__(self, file: Path) -> None:
        self._file = file.absolute()

    def head(self) -> Head:
        """Return the chain's length and its newest entry's hash."""
        rows = self._rows("ORDER BY seq DESC LIMIT 1")
        return next((Head(row.seq, row.hash) for row in rows), EMPTY)

    def has(self, head: Head) -> bool:
        """Return whether the chain still is what it was when it ended so, or has grown from there."""
        if head.length == 0:
            return head == EMPTY
        return any(str(row.hash) == head.hash for row in self._rows("WHERE seq = ?", head.length))

    def newest_first(
        self, actions: Iterable[str], model: str | None = None, after: int = 0
    ) -> Iterator[Entry]:
        """Yield the entries with one of these actions, the newest first.

        Args:
            actions: What was done.
            model: Of this model only.
            after: Only entries with a higher number.
        """
        named = list(actions)
        where = f"WHERE action IN ({', '.join('?' * len(named))}) AND seq > ?"
        of_model = [] if model is None else [model]
        narrowed = where + " AND model = ?" * len(of_model)
        yield from map(entry_of, self._rows(f"{narrowed} ORDER BY seq DESC", *named, after, *of_model))

    def _rows(self, which: str, *values: Any) -> Iterator[_Row]:
        with self._database() as database:
            if database is not None:
                yield from map(
                    _Row._make, database.execute(f"SELECT {_COLUMNS} FROM audit_chain {which}", values)
                )

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection | None]:
        """Yield a connection, or None while there is no chain.

        Raises:
            StorageError: The database cannot be read.
        """
        if not self._file.exists():
            yield None
            return
        try:
            # For writing too, though nothing is: what a killed writer left halfway can only be undone by one.
            uri = f"file:{quote(str(self._file))}?mode=rw"
            with closing(sqlite3.connect(uri, uri=True, timeout=_PATIENCE_SECONDS)) as database:
                database.execute("PRAGMA query_only = ON")
                made = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'audit_chain'").fetchone()
                yield database if made else None
        except (sqlite3.Error, OverflowError) as error:
            reason = storage_failure_in(str(error)) or f"{error}; check MLOPS_HOME or MLOPS_STATE_URL"
            raise StorageError(f"audit chain: {reason}") from error
