"""The embedded default's Dagster instance: its SQLite storage, with the event log's connections kept open.

Dagster's own opens a connection for every transaction and closes it again. Whoever closes a database in WAL
mode last copies the log into the file and waits for the disk, and each time all statements are compiled anew.
A monitoring pass over a fleet writes thousands of events. Files, tables and statements are Dagster's: its own
storage reads what this one wrote, and the other way round, also at the same time.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import dagster as dg
import sqlalchemy as sa
import yaml
from dagster._core.event_api import EventHandlerFn
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    SqliteEventLogStorage,
    SqliteEventLogStorageWatchdog,
)
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from watchdog.events import FileSystemEvent
from watchdog.observers import Observer

# Each run has a database of its own, with three open files. A web server is asked for hundreds of runs.
_MOST_OPEN = 16

_LEFT_TO_PARENT: list[object] = []


class EmbeddedInstance(dg.DagsterInstance):
    """Dagster's instance, with :class:`PooledSqliteStorage` where ``dagster.yaml`` names no other storage.

    It is the ``instance_class`` of ``dagster.yaml``. A storage named there would need its folder written out;
    an instance is told its own, so that a home may be moved or copied.
    """

    @classmethod
    def config_schema(cls) -> dict[str, dg.Field]:
        """Return the settings that this instance has besides Dagster's: none."""
        return {}

    @classmethod
    def config_defaults(cls, base_dir: str) -> dict[str, ConfigurableClassData | None]:
        """Return what holds where ``dagster.yaml`` says nothing.

        Args:
            base_dir: Folder of the instance.
        """
        storage = ConfigurableClassData(
            __name__, PooledSqliteStorage.__name__, yaml.safe_dump({"base_dir": base_dir})
        )
        return {**InstanceRef.config_defaults(base_dir), "storage": storage}


class PooledSqliteStorage(DagsterSqliteStorage):
    """Dagster's SQLite storage, with :class:`PooledSqliteEventLogStorage` for the events."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        self._event_log_storage = PooledSqliteEventLogStorage(os.path.join(base_dir, "history", "runs"))

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> "PooledSqliteStorage":
        """Return the storage that an instance's settings describe."""
        return cls.from_local(inst_data=inst_data, **config_value)


class _Open(NamedTuple):
    """An open database, and which file it was when it was opened."""

    engine: sa.Engine
    file: tuple[int, int] | None


class PooledSqliteEventLogStorage(SqliteEventLogStorage):
    """Dagster's SQLite event log, with a connection kept open to each database that was used lately.

    An event is written when its transaction ends, and others see it from then on. It outlives the process,
    however that ends. It is not waited for until it is on the disk (``synchronous=NORMAL``): a power cut may
    take the last events, and leaves the log whole, as SQLite promises for WAL mode
    (https://www.sqlite.org/pragma.html#pragma_synchronous).

    Safe between threads and processes, and in a forked child, which opens connections of its own.
    """

    _obs: Any  # watchdog's observer, once something is watched

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._process = os.getpid()
        # What a database has, it keeps: Dagster asks for these again with every event.
        self._has: set[tuple[str, str]] = set()
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "PooledSqliteEventLogStorage":
        """Return the event log that an instance's settings describe."""
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        with self._lock(), self._engine(shard).begin() as connection:
            yield connection

    def _engine(self, shard: str) -> sa.Engine:
        """Return the engine of a database, made whole; to be called with the lock held."""
        path = self.path_for_shard(shard)
        if kept := self._open.pop(shard, None):
            if kept.file == _file(path):
                self._open[shard] = kept
                return kept.engine
            # Another process wiped the log. SQLite leaves files alone that are not those it opened.
            kept.engine.dispose()
            self._initialized_dbs.discard(shard)
        engine = _engine_of(self.conn_string_for_shard(shard))
        if shard not in self._initialized_dbs or not os.path.exists(path):
            self._initdb(engine)
            self._initialized_dbs.add(shard)
        self._open[shard] = _Open(engine, _file(path))
        while len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)[1].engine.dispose()
        return engine

    def _lock(self) -> threading.Lock:
        if self._process != os.getpid():
            # A forked child must neither use nor close a connection, and whoever held the lock is not in it.
            _LEFT_TO_PARENT.append(self._open)
            self._open, self._db_lock, self._process = OrderedDict(), threading.Lock(), os.getpid()
        return self._db_lock

    def _close(self) -> None:
        with self._lock():
            while self._open:
                self._open.popitem()[1].engine.dispose()

    def has_table(self, table_name: str) -> bool:
        """Return whether the index has a table."""
        return self._known("table", table_name) or self._learn(
            "table", table_name, super().has_table(table_name)
        )

    def has_secondary_index(self, name: str) -> bool:
        """Return whether a migration of the index's data is done."""
        return self._known("index", name) or self._learn("index", name, super().has_secondary_index(name))

    def _has_asset_key_col_on_connection(self, conn: sa.Connection, column_name: str) -> bool:
        return self._known("column", column_name) or self._learn(
            "column", column_name, super()._has_asset_key_col_on_connection(conn, column_name)
        )

    def _known(self, kind: str, name: str) -> bool:
        return (kind, name) in self._has

    def _learn(self, kind: str, name: str, there: bool) -> bool:
        if there:
            self._has.add((kind, name))
        return there

    def watch(self, run_id: str, cursor: str | None, callback: EventHandlerFn) -> None:
        """Have a run's events after a cursor given to a callback as they are written."""
        if not self._obs:
            self._obs = Observer()
            self._obs.start()
        watchdog = _Watchdog(self, run_id, callback, cursor)
        watch = self._obs.schedule(watchdog, self._base_dir, recursive=True)
        self._watchers[run_id][callback] = (watchdog, watch)

    def wipe(self) -> None:
        """Delete all events."""
        self._close()
        super().wipe()

    def dispose(self) -> None:
        """End what watches the log, and close its databases."""
        super().dispose()
        self._close()


class _Watchdog(SqliteEventLogStorageWatchdog):
    """Dagster's, which also looks at SQLite's log: while connections are open, events are only there."""

    @property
    def patterns(self) -> list[str]:
        """The files whose change means new events."""
        return [self._log_path, f"{self._log_path}-wal"]

    def on_modified(self, event: FileSystemEvent) -> None:
        """Give the callback what was written."""
        self._process_log()


def _engine_of(url: str) -> sa.Engine:
    engine = sa.create_engine(
        url, pool_size=1, max_overflow=-1, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
    )

    @sa.event.listens_for(engine, "connect")
    def settle(connection: Any, _: object) -> None:
        # Before there are tables, so that making them waits for the disk no more than events do.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine


def _file(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
