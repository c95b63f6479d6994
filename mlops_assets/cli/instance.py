"""The embedded default's Dagster instance: made whole, opened, and cleared of runs that died."""

import json
import os
import shutil
import socket
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError, StorageError
from mlops_assets.home import Home, storage_failure

if TYPE_CHECKING:
    from dagster import DagsterInstance

PID_TAG = "mlops/pid"
_SERVER_TAG = ".dagster/grpc_info"  # Dagster's own: the code server of a run that its services launched


def open_instance(home: Home) -> "DagsterInstance":
    """Return the Dagster instance of a home.

    Raises:
        StorageError: Its storage cannot be opened.
    """
    import dagster as dg

    os.environ.update(home.environment())
    try:
        _make_storage(home)
        return dg.DagsterInstance.get()
    except Exception as error:
        reason = storage_reason(error) or str(error)
        raise StorageError(f"Dagster's storage in {os.environ['DAGSTER_HOME']}: {reason}") from error


def _make_storage(home: Home) -> None:
    """Make the databases of the embedded default's Dagster, if there are none yet.

    Dagster makes its tables one by one in place, and takes a database that a kill left half-made for an
    old one: some indexes would be missing for good. So they are made aside and appear whole.
    """
    import dagster as dg

    if os.environ["DAGSTER_HOME"] != str(home.dagster):
        return
    databases = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")
    if all((home.dagster / name).exists() for name in databases):
        return
    with tempfile.TemporaryDirectory(dir=home.dagster, prefix=".making-") as scratch:
        shutil.copy(home.dagster / "dagster.yaml", scratch)
        with dg.DagsterInstance.from_config(scratch):
            pass
        for name in databases:
            (home.dagster / name).parent.mkdir(parents=True, exist_ok=True)
            # A link, unlike a rename, leaves alone what another process may have made meanwhile.
            with suppress(FileExistsError):
                os.link(Path(scratch) / name, home.dagster / name)


def close_orphans(instance: "DagsterInstance") -> None:
    """Report runs as failed whose process is gone, so that they are not shown and waited for, for ever.

    Call it before this process starts a run of its own.
    """
    import dagster as dg

    status = dg.DagsterRunStatus
    begun = [status.NOT_STARTED, status.STARTING, status.STARTED, status.CANCELING]
    for run in instance.get_runs(dg.RunsFilter(statuses=begun)):
        pid = run.tags.get(PID_TAG)
        server = json.loads(run.tags.get(_SERVER_TAG, "{}")).get("socket")
        if pid is not None:
            # Our own number on a run that we did not start is left from before the container restarted.
            if int(pid) == os.getpid() or not _alive(int(pid)):
                instance.report_run_failed(run, f"The process {pid} that ran it is gone.")
        elif server is not None and run.status != status.NOT_STARTED and not _listens(server):
            instance.report_run_failed(run, "The Dagster services that ran it are gone.")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _listens(path: str) -> bool:
    """Return whether a code server listens on a local socket; the runs it launched end with it."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def storage_reason(error: BaseException) -> str | None:
    """Return what went wrong with storage anywhere in a chain of errors, or None."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MlopsError):
            return str(seen)
        if reason := storage_failure(seen):
            return reason
        seen = seen.__cause__ or seen.__context__
    return None
