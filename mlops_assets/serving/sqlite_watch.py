"""Tell cheaply whether a SQLite database was written to since one last asked.

A look at a thousand models' aliases costs half a second of CPU through MLflow, and nearly always says
what the one before it said. SQLite itself counts what others commit, and reading that count costs a
few microseconds.
"""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

_State = tuple[int, int, int]


def change_detector(uri: str) -> Callable[[], bool] | None:
    """Return a function that tells whether a registry may have changed since it was last called.

    A file that cannot be read may always have. To be called from one thread.

    Args:
        uri: MLflow's registry URI.

    Returns:
        The function, or None where that cannot be told: for a server or another database.
    """
    path = uri.removeprefix("sqlite:///")
    if path == uri or path in ("", ":memory:"):
        return None
    return _SqliteWatch(Path(path).absolute()).may_have_changed


class _SqliteWatch:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._seen: _State | None = None

    def may_have_changed(self) -> bool:
        try:
            before, self._seen = self._seen, self._state()
        except (OSError, sqlite3.Error):
            self._forget()
            return True
        return self._seen != before

    def _state(self) -> _State:
        """Return what differs after a commit by anybody, and after the file was replaced by another."""
        file = os.stat(self._path)
        identity = file.st_dev, file.st_ino
        if self._seen is not None and self._seen[:2] != identity:
            self._forget()  # the connection still reads the file that was there before
        if self._connection is None:
            # No lock is waited for: while it is held, things may have changed.
            uri = f"file:{quote(str(self._path))}?mode=ro"
            self._connection = sqlite3.connect(uri, uri=True, timeout=0, check_same_thread=False)
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        return *identity, version

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self._seen = None
