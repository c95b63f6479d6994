"""What the processes do that the tests of compaction kill: see ``test_prediction_log_compaction.py``.

``python compaction_trial.py LOG INTO`` compacts a copy of a log for each point at which something durable is
about to change or just did, is killed there by SIGKILL, and leaves the copies in ``INTO``.
"""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

BATCH_BYTES = 1_500
_CHANGES = {"os.remove", "os.rename", "os.mkdir", "fcntl.flock", "sqlite3.connect"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def main(log: Path, into: Path) -> None:
    import pyarrow.compute
    import pyarrow.parquet  # once, and not in each of the forks  # noqa: F401

    from mlops_assets.prediction_log import compaction  # noqa: F401

    point = 0
    while _killed_at(point, log, into / str(point)):
        point += 1
    shutil.rmtree(into / str(point))


def _killed_at(point: int, log: Path, copy: Path) -> bool:
    """Compact a copy in a process that dies at a point; return whether it got there."""
    shutil.copytree(log, copy)
    if (child := os.fork()) == 0:
        _compact(copy, point)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert status == 0, "compaction failed"
    return False


def _compact(folder: Path, point: int) -> None:
    from mlops_assets.prediction_log.compaction import compact

    passed = 0

    def pass_point() -> None:
        nonlocal passed
        if passed == point:
            os.kill(os.getpid(), signal.SIGKILL)
        passed += 1

    _watch(folder, pass_point)
    try:
        compact(folder, batch_bytes=BATCH_BYTES)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def _watch(folder: Path, pass_point: Callable[[], None]) -> None:
    sync = os.fsync

    def hooked(file: int) -> None:
        pass_point()
        sync(file)
        pass_point()

    os.fsync = hooked

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if str(path).startswith(str(folder)) and flags & _WRITING:
                pass_point()
        elif event in _CHANGES:
            pass_point()

    sys.addaudithook(hear)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
