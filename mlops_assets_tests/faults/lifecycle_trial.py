"""What runs inside the processes that the fault-injection tests kill: see ``test_kill.py``."""

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

_MLFLOW_WRITES = ("create_", "delete_", "log_", "set_", "update_")
_BOUNDARIES = ("PIPELINE_START", "STEP_START", "STEP_SUCCESS", "PIPELINE_SUCCESS")


def run(argv: list[str]) -> None:
    """Run a command undisturbed."""
    from mlops_assets.cli.main import main

    sys.argv = ["mlops-assets", *argv]
    main()


def record(argv: list[str], into: str) -> None:
    """Run a command and write down each point it passes, with a fingerprint of the disk there."""
    passed: list[tuple[str, str]] = []
    _watch(lambda point: passed.append((point, _fingerprint())))
    try:
        run(argv)
    finally:
        Path(into).write_text(json.dumps(passed))


def kill_at(argv: list[str], point: str) -> None:
    """Run a command and die by SIGKILL at a point, as by the out-of-memory killer or a lost node."""

    def look(passed: str) -> None:
        if passed == point:
            os.kill(os.getpid(), signal.SIGKILL)

    _watch(look)
    run(argv)


def _watch(look: Callable[[str], None]) -> None:
    """Have ``look`` called before and after everything that makes something durable."""
    from dagster import DagsterInstance
    from mlflow import MlflowClient

    seen: Counter[str] = Counter()

    def around(name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        seen[name] += 1
        number = f" ({seen[name]})" if seen[name] > 1 else ""
        look(f"before {name}{number}")
        result = function(*args, **kwargs)
        look(f"after {name}{number}")
        return result

    def hook(owner: Any, attribute: str, name: Callable[..., str | None]) -> None:
        original = getattr(owner, attribute)

        def hooked(*args: Any, **kwargs: Any) -> Any:
            called = name(*args, **kwargs)
            if called is None:
                return original(*args, **kwargs)
            return around(called, original, *args, **kwargs)

        setattr(owner, attribute, hooked)

    home = os.environ["MLOPS_HOME"]

    def file_name(source: Any, target: Any, *_: Any, **__: Any) -> str | None:
        path = os.path.relpath(os.fspath(target), home)
        if path.startswith(".."):
            return None
        if path.startswith("mlartifacts"):  # below the run's id, and evidence under a digest of its own
            return "write mlartifacts " + Path(path).suffix
        return "write " + "/".join(part[:12] if len(part) > 64 else part for part in Path(path).parts)

    def boundary(_: Any, event: Any, *__: Any, **___: Any) -> str | None:
        known = event.dagster_event
        if known is None or known.event_type_value not in _BOUNDARIES:
            return None
        return f"boundary {known.event_type_value.lower()} {known.step_key or ''}".strip()

    hook(os, "replace", file_name)
    hook(os, "rename", file_name)
    hook(os, "link", file_name)
    hook(DagsterInstance, "handle_new_event", boundary)
    for write in vars(MlflowClient):
        if write.startswith(_MLFLOW_WRITES):
            hook(MlflowClient, write, lambda *_, name=write, **__: f"mlflow {name}")
    _watch_databases(around)


def _watch_databases(around: Callable[..., Any]) -> None:
    """Hook the transactions of the fleet's own database, and whatever makes tables in any."""
    from sqlalchemy.engine.default import DefaultDialect

    execute = DefaultDialect.do_execute

    def hooked_execute(self: Any, cursor: Any, statement: str, *args: Any, **kwargs: Any) -> None:
        if statement.lstrip().startswith(("CREATE", "ALTER", "DROP")):
            around("schema", execute, self, cursor, statement, *args, **kwargs)
        else:
            execute(self, cursor, statement, *args, **kwargs)

    DefaultDialect.do_execute = hooked_execute  # type: ignore[method-assign]

    commit = DefaultDialect.do_commit

    def hooked_commit(self: Any, connection: Any) -> None:
        file = connection.execute("PRAGMA database_list").fetchone() if self.name == "sqlite" else None
        if file is None or not str(file[2]).endswith("fleet.db"):
            commit(self, connection)
        else:
            around("commit fleet.db", commit, self, connection)

    DefaultDialect.do_commit = hooked_commit  # type: ignore[method-assign]


def _fingerprint() -> str:
    """Return what changes whenever anything that outlasts the process does, Dagster's log aside.

    Left out are files under way, whose names begin with a dot, and what the gateway writes for itself.
    """
    home = Path(os.environ["MLOPS_HOME"])
    stats = []
    for folder, folders, names in os.walk(home):
        folders[:] = [
            name for name in folders if name not in ("dagster", "prediction_log") and name[0] != "."
        ]
        for name in names:
            if not name.startswith((".", "gateway.", "prediction_log.")):
                file = os.path.join(folder, name)
                with suppress(FileNotFoundError):  # journals come and go
                    stat = os.stat(file)
                    stats.append((file, stat.st_size, stat.st_mtime_ns))
    return str(hash(tuple(sorted(stats))))
