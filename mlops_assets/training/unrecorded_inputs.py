"""What a training takes in that is not in its record: files it opens by itself, and the network.

A function that reads the source table has the rows by which its model is judged; one that asks a service
gets another answer next year. Both make the same model twice in an hour, so comparing predictions does not
find them.

Python tells of it by audit events (PEP 578). They show what goes through Python: ``open`` and all that is
built on it, such as pandas, ``sqlite3``, and sockets. They don't show what native code opens by itself:
DuckDB, polars, pyarrow given a path, pandas given a folder of Parquet files, the C drivers of databases.
Nor do they show what another process reads.
"""

import os
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

# Not /var, /srv or /opt, which hold data too; /var/db has the time zones of macOS.
_SYSTEM = (
    *("/proc", "/sys", "/dev", "/etc", "/run", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/usr"),
    *("/System", "/Library", "/var/db"),
)
# Within those, what every user may put there.
_ANYBODYS = ("/dev/shm/", "/run/shm/", "/run/user/", "/run/lock/")
# Where libraries keep what they can make anew, if not in a dot-folder of the user's.
_CACHES = ("MPLCONFIGDIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
_OF_LIBRARIES = {"site-packages", "dist-packages", "__pycache__"}
_PLATFORM = Path(__file__).absolute().parents[1]


@contextmanager
def noted_inputs(recorded: Path) -> Iterator[set[str]]:
    """Note, until the block ends, each input of this process that is not in the record.

    Left out are the interpreter and what is installed, the platform, places of the system, caches and
    settings, and what the process itself has made. Python cannot forget the hook that this sets, so it is for
    a process that does nothing else.

    Args:
        recorded: Folder of which everything is in the record, or made by this process.

    Yields:
        The inputs so far: absolute paths, and ``host:port`` of what was looked up or connected to.
    """
    watch = _Watch(recorded)
    sys.addaudithook(watch.hear)
    try:
        yield watch.inputs
    finally:
        watch.on = False


class _Watch:
    """Hears of audit events, and keeps those that are inputs."""

    def __init__(self, recorded: Path) -> None:
        self.inputs: set[str] = set()
        self.on = True
        self._made: set[str] = set()
        self._places = _places_known(recorded)
        self._hearers: dict[str, Callable[..., None]] = {
            "open": self._opens,
            "os.rename": self._renames,
            "sqlite3.connect": self._opens_database,
            "socket.getaddrinfo": self._looks_up,
            "socket.connect": self._connects,
        }

    def hear(self, event: str, details: tuple[Any, ...]) -> None:
        """Take one event."""
        if self.on and (hearer := self._hearers.get(event)):
            try:
                hearer(*details)
            except Exception:  # what is no path or address fails where it is used, and not here
                return

    def _opens(self, file: Any, _mode: Any, flags: int) -> None:
        if isinstance(file, int):  # a descriptor that is open already
            return
        path = _absolute(file)
        if flags & os.O_TRUNC or (flags & os.O_CREAT and not os.path.exists(path)):
            self._made.add(path)
        elif flags & os.O_ACCMODE != os.O_WRONLY:
            self._reads(path)

    def _opens_database(self, database: Any) -> None:
        name = os.fsdecode(database)
        if name.startswith("file:"):
            name = unquote(urlsplit(name).path)
        if name in ("", ":memory:"):
            return
        path = _absolute(name)
        if os.path.exists(path):
            self._reads(path)
        else:
            self._made.add(path)

    def _renames(self, old: Any, new: Any, *_: Any) -> None:
        if _absolute(old) in self._made:
            self._made.add(_absolute(new))

    def _reads(self, path: str) -> None:
        if path in self._made or not os.path.exists(path) or os.path.isdir(path):
            return
        if not (self._is_known(path) or self._is_known(os.path.realpath(path))):
            self.inputs.add(path)

    def _is_known(self, path: str) -> bool:
        return not path.startswith(_ANYBODYS) and (path.startswith(self._places) or _is_of_library(path))

    def _looks_up(self, host: Any, port: Any, *_: Any) -> None:
        self._asks(host, port)

    def _connects(self, _socket: Any, address: Any) -> None:
        if isinstance(address, tuple):  # and no path: a socket between processes of this machine
            self._asks(*address[:2])

    def _asks(self, host: Any, port: Any) -> None:
        name = os.fsdecode(host or "localhost")
        self.inputs.add(f"{name}:{os.fsdecode(port) if isinstance(port, bytes) else port or ''}")


def _absolute(file: Any) -> str:
    return os.path.abspath(os.fsdecode(file))


def _places_known(recorded: Path) -> tuple[str, ...]:
    """Return folders, ending with the separator, whose files say nothing of the data."""
    interpreter = (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix)
    library = (sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))
    caches = (os.environ[name] for name in _CACHES if os.environ.get(name))
    places: tuple[str, ...] = (str(recorded), *interpreter, *library, *caches, *_SYSTEM)
    named = [os.path.abspath(place) for place in places]
    return tuple(f"{place}/" for place in {*named, *map(os.path.realpath, named)} if place != "/")


def _is_of_library(path: str) -> bool:
    """Return whether a file belongs to a library, to the platform, or to a user's caches and settings."""
    parts = path.split("/")
    if _OF_LIBRARIES.intersection(parts) or any(p.endswith((".dist-info", ".egg-info")) for p in parts):
        return True
    if path.startswith(f"{_PLATFORM}/"):  # but for the models that lie beside our own code
        return not path.startswith(f"{_PLATFORM}/defs/")
    return path.startswith(os.path.expanduser("~/."))
