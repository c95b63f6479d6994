"""``MLOPS_HOME``: where the embedded default keeps everything, and how it writes safely.

A file under the home either has its whole content or does not exist: writers go through
:func:`write_atomically`, so that a process killed at any moment leaves nothing half-written.
"""

import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mlops_assets.errors import BusyError, StorageError

# Set in one place, before any library that reads them, once and on import, is imported.
_LIBRARIES = {
    # Nothing of ours phones home.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "ORT_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "GX_ANALYTICS_ENABLED": "false",
    # GNU OpenMP, as in scikit-learn: threads of a fit that spin while they wait for each other stand still
    # as soon as others want their cores (a gateway, a pod's CPU limit). Measured on gradient boosting with
    # two busy neighbours on two cores: 82 s by default, 3 s with this; alone .8 s and .9 s.
    "GOMP_SPINCOUNT": "500",
}

_FULL_DISK = "the disk is full; free some space or set MLOPS_HOME to a larger one"

_FORMER_DAGSTER_YAML = """\
# Written by mlops-assets for the embedded default; deploy/dagster.yaml is the one for production.
telemetry:
  enabled: false
nux:
  enabled: false
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
concurrency:
  runs:
    max_concurrent_runs: 2
    tag_concurrency_limits:
      # Two lifecycles of one model would race for its records and its alias.
      - key: mlops/model
        limit: 1
        value:
          applyLimitPerUniqueValue: true
"""
_DAGSTER_YAML = f"""\
{_FORMER_DAGSTER_YAML}
# Dagster's own storage, with connections kept open.
instance_class:
  module: mlops_assets.event_log
  class: EmbeddedInstance
"""


@dataclass(frozen=True)
class Home:
    """Paths below ``MLOPS_HOME``."""

    root: Path

    @classmethod
    def from_environment(cls) -> "Home":
        """Return the home that ``MLOPS_HOME`` names; ``.mlops`` below the working folder if unset."""
        return cls(Path(os.environ.get("MLOPS_HOME") or ".mlops").absolute())

    @property
    def dagster(self) -> Path:
        """``DAGSTER_HOME`` of the embedded default."""
        return self.root / "dagster"

    @property
    def tracking_uri(self) -> str:
        """MLflow's tracking and registry URI: ``MLFLOW_TRACKING_URI``, else SQLite in the home."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def mlflow_artifacts(self) -> Path:
        """Where the embedded MLflow keeps its artifacts."""
        return self.root / "mlartifacts"

    @property
    def state_url(self) -> str:
        """SQLAlchemy URL of the fleet's state: ``MLOPS_STATE_URL``, else SQLite in the home."""
        return os.environ.get("MLOPS_STATE_URL") or f"sqlite:///{self.root / 'fleet.db'}"

    @property
    def audit_checkpoints(self) -> Path:
        """Folder of the audit chain's checkpoints: ``MLOPS_AUDIT_CHECKPOINTS``, else in the home."""
        return Path(os.environ.get("MLOPS_AUDIT_CHECKPOINTS") or self.root / "audit").absolute()

    @property
    def prediction_log(self) -> Path:
        """Folder of the gateway's prediction log."""
        return self.root / "prediction_log"

    @property
    def rollout_bounds(self) -> Path:
        """What looks at rollouts go on from; see :mod:`mlops_assets.registry.kept_bounds`."""
        return self.root / "rollout_bounds"

    @property
    def served(self) -> Path:
        """What the gateway remembers of the releases it served; see :mod:`mlops_assets.serving.marks`."""
        return self.root / "served.json"

    @property
    def api_keys(self) -> Path:
        """Who may call the gateway: ``MLOPS_API_KEYS``, else a file in the home that ``keys add`` begins."""
        return Path(os.environ.get("MLOPS_API_KEYS") or self.root / "api_keys.json").absolute()

    @property
    def kept(self) -> Path:
        """What a gateway keeps of the versions it proved; see :mod:`mlops_assets.serving.kept`."""
        return self.root / "gateway"

    @property
    def streams(self) -> Path:
        """Up to where streams are answered; see :mod:`mlops_assets.streaming.logged_offsets`."""
        return self.root / "streams"

    @property
    def gateway_address(self) -> Path:
        """File in which a running gateway writes its URL; see :mod:`mlops_assets.gateway_address`."""
        return self.root / "gateway.url"

    @property
    def watched(self) -> Path:
        """Copies of what monitoring needs of versions; see :mod:`mlops_assets.registry.package_files`."""
        return self.root / "watched"

    def snapshot(self, model: str, digest: str) -> Path:
        """Parquet file of a raw data snapshot, named by its content."""
        return self.root / "snapshots" / model / f"{digest}.parquet"

    def features(self, model: str, digest: str) -> Path:
        """Parquet file of validated features, named by its content."""
        return self.root / "features" / model / f"{digest}.parquet"

    def report(self, model: str, name: str) -> Path:
        """HTML report of a monitoring window."""
        return self.root / "reports" / model / f"{name}.html"

    def prepare(self) -> "Home":
        """Create the home and the embedded Dagster's configuration; safe to call again.

        Raises:
            StorageError: The home cannot be written.
        """
        settle_libraries()
        self.create()
        with storage_errors(self.root):
            self.dagster.mkdir(exist_ok=True)
            config = self.dagster / "dagster.yaml"
            # Whoever changed the file keeps theirs.
            if not config.exists() or config.read_bytes() == _FORMER_DAGSTER_YAML.encode():
                write_atomically(config, _DAGSTER_YAML.encode())
        return self

    def create(self) -> None:
        """Create the home's folder, if there is none.

        Raises:
            StorageError: It cannot be made or written to.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = storage_failure(error) or f"{error.strerror}; set MLOPS_HOME to another folder"
            raise StorageError(f"cannot make {self.root}: {reason}") from error

    def environment(self) -> dict[str, str]:
        """Return what plain ``mlflow`` and ``dagster`` need to work on this home."""
        return {
            "MLOPS_HOME": str(self.root),
            "DAGSTER_HOME": os.environ.get("DAGSTER_HOME") or str(self.dagster),
            "MLFLOW_TRACKING_URI": self.tracking_uri,
            **_LIBRARIES,
        }


def settle_libraries() -> None:
    """Have no library phone home or spin while it waits, in this process and its children."""
    os.environ.update(_LIBRARIES)


def settle_matplotlib() -> None:
    """Have matplotlib keep its list of fonts in the home: the user's own folder is often read-only.

    To be called before anything imports it, as shap does.
    """
    os.environ.setdefault("MPLCONFIGDIR", str(Home.from_environment().root / "matplotlib"))


@contextmanager
def storage_errors(where: Path) -> Iterator[None]:
    """Turn a full disk and missing rights into a :class:`StorageError` that names the place."""
    try:
        yield
    except OSError as error:
        reason = storage_failure(error)
        if reason is None:
            raise
        raise StorageError(f"cannot write to {where}: {reason}") from error


def storage_failure(error: BaseException) -> str | None:
    """Return what a storage failure means for the reader, or None if ``error`` is something else."""
    code = error.errno if isinstance(error, OSError) else None
    if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return _FULL_DISK
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "no permission; check the owner of the folder or set MLOPS_HOME to another"
    if code in (errno.ENOTDIR, errno.EEXIST):
        return "a file is in the way of a folder; move it or set MLOPS_HOME to another"
    return storage_failure_in(str(error))


def storage_failure_in(message: str) -> str | None:
    """Return what a library's message says about storage, or None if it says nothing about it."""
    # SQLite calls a disk that is full an I/O error too, when it cannot grow its shared memory.
    signs = ("database or disk is full", "disk I/O error", "No space left on device")
    return _FULL_DISK if any(sign in message for sign in signs) else None


def write_atomically(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write ``content`` so that ``path`` has all of it or is as it was.

    Args:
        path: The file.
        content: What it is to hold.
        mode: Who may read and write it.

    Raises:
        StorageError: The disk is full or the folder is not writable.
    """
    with storage_errors(path), replacing(path, mode) as temporary:
        temporary.write_bytes(content)


def write_secret_once(path: Path, content: bytes) -> None:
    """Write ``content`` for the owner's eyes only, unless ``path`` is there; the first writer wins.

    Raises:
        StorageError: The disk is full or the folder is not writable.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _temporary(path) as temporary:
            temporary.write_bytes(content)
            _sync(temporary)
            # A link, unlike a rename, fails if another process was faster.
            with suppress(FileExistsError):
                os.link(temporary, path)


@contextmanager
def replacing(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """Yield a temporary path that takes the place of ``path``, with this mode, when the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _temporary(path) as temporary:
        yield temporary
        _sync(temporary)
        temporary.chmod(mode)
        temporary.replace(path)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Yield a new file beside ``path``, readable by its owner only and gone afterwards."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _sync(file: Path) -> None:
    with file.open("rb") as written:
        os.fsync(written.fileno())


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Hold an advisory lock that the kernel releases even if the process is killed.

    Args:
        path: Lock file; created if missing.
        what: What the lock protects, for the error message.

    Raises:
        BusyError: Another process holds it.
    """
    with _lock_file(path) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"{what} in another process; wait for it to end, then run again") from None
        yield


@contextmanager
def in_turn(path: Path) -> Iterator[None]:
    """Hold such a lock as :func:`exclusive` does, after waiting for whoever holds it.

    Args:
        path: Lock file; created if missing.
    """
    with _lock_file(path) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _lock_file(path: Path) -> IO[str]:
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w")
