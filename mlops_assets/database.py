"""A database of the platform's own: opened on first use, its tables made whole, its errors for the reader."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.errors import StorageError
from mlops_assets.home import storage_errors, storage_failure_in

if TYPE_CHECKING:
    import sqlalchemy as sa

_PATIENCE_SECONDS = 30.0


class Database:
    """Some tables in any database SQLAlchemy reaches; safe to share between threads.

    Args:
        url: SQLAlchemy URL.
        name: What the tables are called together, in messages; also what :meth:`begin_alone` locks.
        declare: Adds the tables to the metadata it is given.
    """

    def __init__(self, url: str, name: str, declare: Callable[["sa.MetaData"], None]) -> None:
        self._url, self._name, self._declare = url, name, declare

    @property
    def tables(self) -> Mapping[str, "sa.Table"]:
        """The tables by name."""
        return self._metadata.tables

    @contextmanager
    def begin(self) -> Iterator["sa.Connection"]:
        """Begin a transaction; it is committed when the block ends and undone if the block fails.

        Raises:
            StorageError: The database cannot be reached, opened or written.
        """
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self._engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, OverflowError) as error:  # the latter for numbers SQLite does not know
            said = str(getattr(error, "orig", None) or error)
            reason = storage_failure_in(said) or f"{said}; check MLOPS_HOME or MLOPS_STATE_URL"
            raise StorageError(f"{self._name}: {reason}") from error

    @contextmanager
    def begin_alone(self) -> Iterator["sa.Connection"]:
        """Begin a transaction after every other that began so has ended, on whatever machine.

        Readers are not kept waiting. On a database other than SQLite and PostgreSQL nothing waits, and
        keys that must be unique are all that keeps writers apart.

        Raises:
            StorageError: As for :meth:`begin`, or the wait took too long.
        """
        with self.begin() as connection:
            _wait_for_turn(connection, self._name)
            yield connection

    @cached_property
    def _metadata(self) -> "sa.MetaData":
        import sqlalchemy as sa

        metadata = sa.MetaData()
        self._declare(metadata)
        return metadata

    @cached_property
    def _engine(self) -> "sa.Engine":
        import sqlalchemy as sa

        try:
            url = sa.make_url(self._url)
            sqlite = url.get_backend_name() == "sqlite"
            engine = sa.create_engine(url, connect_args={"timeout": _PATIENCE_SECONDS} if sqlite else {})
        except (sa.exc.ArgumentError, ImportError) as error:
            raise StorageError(f"{self._name}: MLOPS_STATE_URL is not usable: {error}") from error
        if sqlite and url.database:
            folder = Path(url.database).parent
            with storage_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
        try:
            self._make_tables(engine)
        except sa.exc.DBAPIError:
            # Where nobody waits, another process may have made a table between our look and our making it.
            self._make_tables(engine)
        return engine

    def _make_tables(self, engine: "sa.Engine") -> None:
        """Make all tables and indexes or, if killed on the way, none: an index is never looked for again."""
        import sqlalchemy as sa

        if self.tables.keys() <= set(sa.inspect(engine).get_table_names()):
            return
        with engine.begin() as connection:
            _wait_for_turn(connection, self._name)
            self._metadata.create_all(connection)


def _wait_for_turn(connection: "sa.Connection", name: str) -> None:
    """Take the lock that a transaction holds until it ends."""
    import sqlalchemy as sa

    if connection.dialect.name == "sqlite":
        # Python's sqlite3 begins no transaction by itself for what defines tables; and of two that begin by
        # reading, neither could write.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif connection.dialect.name == "postgresql":
        # Not LOCK TABLE: that asks for more rights than adding rows, which is all a writer should have.
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
