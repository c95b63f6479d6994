"""A file that is read again when it has changed; while it is broken, what it last said holds."""

import logging
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from mlops_assets.errors import AccessError, MlopsError

_Content = TypeVar("_Content")

log = logging.getLogger("mlops_assets.gateway")


class WatchedFile(Generic[_Content]):
    """Follows one file.

    Args:
        path: The file.
        read: Makes sense of its bytes; raises :class:`MlopsError` if there is none.

    Attributes:
        content: What it said last; None if there never was a file.
        problem: Why it cannot be read now, if it cannot.
    """

    def __init__(self, path: Path, read: Callable[[bytes], _Content]) -> None:
        self.path, self._read = path, read
        self.content: _Content | None = None
        self.problem: str | None = None
        self._seen: tuple[int, ...] | None = None

    def look(self) -> bool:
        """Read the file if it has changed, which one ``stat`` tells; return whether it says something new."""
        try:
            found = self.path.stat()
            # Before it is read: what changes from here on is seen the next time.
            seen = (found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode)
            if seen == self._seen:
                return False
            if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise AccessError(f"{self.path} can be written by others; run chmod go-w {self.path}")
            content = self._read(self.path.read_bytes())
        except FileNotFoundError:
            self._seen = None
            if self.content is not None:
                self._say(f"{self.path} is gone")
            return False
        except OSError as error:
            self._seen = None
            self._say(f"cannot read {self.path}: {error.strerror}")
            return False
        except MlopsError as error:
            self._seen = seen
            self._say(str(error))
            return False
        self.content, self.problem, self._seen = content, None, seen
        return True

    def _say(self, problem: str) -> None:
        if problem != self.problem:
            log.error("what was last read holds: %s", problem)
        self.problem = problem
