"""Where the gateway of a home answers: a file that counts only while the gateway lives.

A gateway that is killed leaves its file behind, and sooner or later another program answers on its port,
such as the gateway of another home. So the file is locked by whoever wrote it, and the kernel releases the
lock however that process ends.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mlops_assets.home import replacing, storage_errors


@contextmanager
def announced(file: Path, url: str) -> Iterator[None]:
    """Have ``file`` tell that a gateway answers at ``url`` until the block ends; the newest gateway counts.

    Raises:
        StorageError: The disk is full or the folder is not writable.
    """
    with storage_errors(file), replacing(file) as temporary:
        temporary.write_text(url)
        held = temporary.open()
        fcntl.flock(held, fcntl.LOCK_EX)  # before it takes its place, so that nobody finds it unlocked
    with held:
        try:
            yield
        finally:
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(held.fileno()), file.stat()):
                    file.unlink()


def living_gateway(file: Path) -> str | None:
    """Return where the gateway that wrote ``file`` answers, or None if there is none or it is gone."""
    try:
        with file.open() as found:
            try:
                fcntl.flock(found, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return found.read().strip() or None
            return None
    except FileNotFoundError:
        return None
