"""What the processes do that the tests of batch scoring kill or starve: see ``test_scoring_job.py``.

``kill HOME ROWS INTO TRIALS`` scores ROWS once for so many of the points at which something durable is about
to change, is killed there by SIGKILL, and leaves what is there in ``INTO``. ``limited HOME ROWS OUT SIZE``
scores once with no file allowed to be larger than SIZE.
"""

import importlib
import os
import resource
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from mlops_assets.home import Home, settle_libraries

settle_libraries()

from mlops_assets.errors import StorageError  # noqa: E402
from mlops_assets_tests.fleets import Fleet  # noqa: E402
from mlops_assets_tests.scorings import Desk  # noqa: E402

_CHANGES = {"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.fsync"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def kill(home: Path, rows: Path, into: Path, trials: str) -> None:
    # Once, and not in each of the forks.
    for module in ("mlflow", "onnxruntime", "pandas", "pyarrow.parquet", "pyarrow.feather", "sqlalchemy"):
        importlib.import_module(module)
    counted = into.parent / "counted"
    assert not _killed_at(None, home, rows, counted)
    points = int((counted / "points").read_text())
    for point in range(0, points, -(-points // int(trials))):
        assert _killed_at(point, home, rows, into / str(point))


def limited(home: Path, rows: Path, out: Path, size: str) -> None:
    desk = Desk(Fleet(Home(home)), out.parent / f"packages-{size}")

    def shrink(progress: Any) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), resource.RLIM_INFINITY))

    try:
        desk.score("diabetes", rows, out, progress=shrink)
    except StorageError as error:
        print(error)


def _killed_at(point: int | None, home: Path, rows: Path, folder: Path) -> bool:
    """Score in a process that dies at a point; return whether it got there."""
    folder.mkdir(parents=True)
    if (child := os.fork()) == 0:
        try:
            _score(home, rows, folder, point)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert status == 0, "scoring failed"
    return False


def _score(home: Path, rows: Path, folder: Path, point: int | None) -> None:
    passed, lock = 0, threading.Lock()
    below = str(folder)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal passed
        opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING
        if not (opened or event in _CHANGES) or not str(arguments[0]).startswith(below):
            return
        with lock:
            if passed == point:
                os.kill(os.getpid(), signal.SIGKILL)
            passed += 1

    desk = Desk(Fleet(Home(home)), folder.parent.parent / "killed" / folder.name)
    sys.addaudithook(watch)
    desk.score("diabetes", rows, folder / "out.parquet", log=folder / "log")
    (folder / "points").write_text(str(passed))


if __name__ == "__main__":
    Desk.shrink_chunks(setattr)
    function, *arguments = sys.argv[1:]
    if function == "limited":
        limited(*map(Path, arguments[:3]), arguments[3])
    else:
        kill(*map(Path, arguments[:3]), arguments[3])
