"""A process that has imported everything once, and forks a fresh process for each task.

Starting the command line cold takes seconds, nearly all of them imports; a forked child is as much a
process of its own (exit code, signals, standard streams, environment) and starts in milliseconds. The
parent stays single-threaded: it opens no database, no Dagster instance and computes nothing.

Run as ``python warm_process.py SOCKET``; it ends when its standard input does. A task is one JSON line
on the socket, see :class:`Task`. The answers are one JSON line with the process id, and one with the
wait status when the process has ended. Closing the socket before that ends the process.
"""

import atexit
import gc
import importlib.util
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn, TypedDict

_WARM = (
    "alembic.command",
    "alembic.config",
    "dagster",
    "dagster._core.execution.execute_in_process",
    "dagster._core.instance.factory",
    "dagster._core.remote_representation.external",
    "dagster._core.execution.plan.active",
    "dagster._core.executor.in_process",
    "dagster._core.storage.fs_io_manager",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.root",
    "dagster._core.storage.sqlite_storage",
    "dagster._daemon.types",
    "dateutil.rrule",
    "evidently.core.report",
    "evidently.presets",
    "great_expectations",
    "httpcore",
    "httpx",
    "PIL.PngImagePlugin",
    "PIL.JpegImagePlugin",
    "PIL.PpmImagePlugin",
    "PIL.GifImagePlugin",
    "PIL.BmpImagePlugin",
    "matplotlib.backends.backend_agg",
    "matplotlib.dates",
    "matplotlib.figure",
    "mlflow.pyfunc",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_workspace_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "mlops_assets.cli.execution",
    "mlops_assets.cli.main",
    "mlops_assets.components",
    "mlops_assets.definitions",
    "mlops_assets.gateway_process",
    "mlops_assets.serving.app",
    "mlops_assets.serving.server",
    "mlops_assets.training.isolated_fit",
    "narwhals._pandas_like.dataframe",
    "onnxruntime",
    "pyarrow.dataset",
    "pyarrow.pandas_compat",
    "pyarrow.parquet",
    "rich.traceback",
    "shap",
    "skl2onnx",
    "sqlalchemy.dialects.sqlite",
    "structlog.stdlib",
    "sklearn.datasets",
    "sklearn.dummy",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "typer._adapters",
    "upath.implementations.local",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
    "watchdog.observers",
    "yaml",
)


class Task(TypedDict):
    """What to run: ``main`` is the command line, the gateway, a second fit, or a function of a file."""

    # ["cli", argv] | ["gateway", argv] | ["fit", folder] | ["call", file, function, arguments]
    main: list[Any]
    cwd: str
    env: dict[str, str]
    stdout: str
    stderr: str


def serve(path: str) -> None:
    """Fork one minder per connection until standard input ends."""
    from mlops_assets.home import settle_libraries

    settle_libraries()
    for name in _WARM:
        importlib.import_module(name)
    from mlflow.utils.requirements_utils import _init_packages_to_modules_map

    from mlops_assets.governance.components import inventory

    # Both are remembered, and take as long as the rest of a small training.
    inventory()
    _init_packages_to_modules_map()
    gc.freeze()  # so that a child's garbage collection does not copy what was imported
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a minder
    print("ready", flush=True)
    while True:
        readable, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in readable:
            return
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _mind(connection, path)
            return
        connection.close()


def _mind(connection: socket.socket, path: str) -> None:
    """Fork the task's process, tell how it ended, and end it if nobody listens any more."""
    with connection, connection.makefile("rw") as stream:
        task: Task = json.loads(stream.readline())
        pid = os.fork()
        if pid:
            with suppress(BrokenPipeError, ConnectionResetError):
                stream.write(json.dumps({"pid": pid}) + "\n")
                stream.flush()
                readable, _, _ = select.select([connection, ended := os.pidfd_open(pid)], [], [])
                if ended not in readable:
                    _kill_group(pid)
                _, status, used = os.wait4(pid, 0)
                _kill_group(pid)
                stream.write(json.dumps({"status": status, "cpu": used.ru_utime + used.ru_stime}) + "\n")
                stream.flush()
            os._exit(0)
    _end(lambda: _run(task, path))


def _end(run: Callable[[], None]) -> NoReturn:
    """End the process as Python would, except for taking a warm interpreter apart, which takes seconds."""
    code = 1
    try:
        run()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _run(task: Task, path: str) -> None:
    """Become the task."""
    os.setsid()
    for stream, target in ((0, os.devnull), (1, task["stdout"]), (2, task["stderr"])):
        handle = os.open(target, os.O_RDONLY if stream == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(handle, stream)
        os.close(handle)
    os.environ.clear()
    os.environ.update(task["env"])
    os.chdir(task["cwd"])
    tempfile.tempdir = None  # which the environment tells
    start_gateways_warm(path)
    _fit_again_warm(path)
    match task["main"]:
        case ["cli", argv]:
            from mlops_assets.cli.main import main

            sys.argv = ["mlops-assets", *argv]
            main()
        case ["gateway", argv]:
            from mlops_assets.serving import __main__ as gateway

            sys.argv = ["gateway", *argv]
            gateway.main()
        case ["fit", folder]:
            from mlops_assets.training import isolated_fit

            sys.path.remove(str(Path(__file__).parent))  # as if started with -P
            isolated_fit.main(Path(folder))
        case ["call", file, function, arguments]:
            spec = importlib.util.spec_from_file_location("task", file)
            assert spec is not None
            assert spec.loader is not None
            module = sys.modules["task"] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            getattr(module, function)(**arguments)


def start_gateways_warm(path: str) -> None:
    """Have the platform's own gateway processes forked too; all else about them is as ever."""
    from mlops_assets import gateway_process

    class Warm:
        """What :mod:`mlops_assets.gateway_process` uses of ``subprocess.Popen``."""

        def __init__(self, command: list[str], *, env: dict[str, str], stderr: Any, **_: Any) -> None:
            self.returncode: int | None = None
            self._connection = socket.socket(socket.AF_UNIX)
            self._connection.connect(path)
            self._answers = self._connection.makefile("rw")
            with tempfile.TemporaryDirectory() as folder:
                fifo = os.path.join(folder, "stdout")
                os.mkfifo(fifo)
                task = Task(
                    main=["gateway", command[3:]], cwd=os.getcwd(), env=env, stdout=fifo, stderr=stderr.name
                )
                self._answers.write(json.dumps(task) + "\n")
                self._answers.flush()
                self.stdout = open(fifo)  # noqa: SIM115  (closed by who started the gateway)
            self.pid: int = json.loads(self._answers.readline())["pid"]

        def poll(self) -> int | None:
            return self.returncode

        def wait(self, timeout: float | None = None) -> int:
            if self.returncode is None:
                self._connection.settimeout(timeout)
                try:
                    status = json.loads(self._answers.readline())["status"]
                except TimeoutError:
                    raise subprocess.TimeoutExpired("gateway", timeout or 0) from None
                self.returncode = os.waitstatus_to_exitcode(status)
            return self.returncode

        def terminate(self) -> None:
            self._send(signal.SIGTERM)

        def kill(self) -> None:
            self._send(signal.SIGKILL)

        def _send(self, number: signal.Signals) -> None:
            with suppress(ProcessLookupError):  # it has ended
                os.kill(self.pid, number)

    gateway_process.subprocess = SimpleNamespace(**{**vars(subprocess), "Popen": Warm})  # type: ignore


def _fit_again_warm(path: str) -> None:
    """Have the second fit of a training forked too: from a process that never saw a project."""
    from mlops_assets.training import isolated_fit

    def run(command: list[str], *, env: dict[str, str], **_: Any) -> "subprocess.CompletedProcess[str]":
        folder = command[-1]
        stderr = Path(folder, "stderr")
        task = Task(main=["fit", folder], cwd=os.getcwd(), env=env, stdout=os.devnull, stderr=str(stderr))
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            with connection.makefile("rw") as answers:
                answers.write(json.dumps(task) + "\n")
                answers.flush()
                _, ended = answers.readline(), json.loads(answers.readline())
        code = os.waitstatus_to_exitcode(ended["status"])
        return subprocess.CompletedProcess(command, code, stderr=stderr.read_text())

    isolated_fit.subprocess = SimpleNamespace(**{**vars(subprocess), "run": run})  # type: ignore


if __name__ == "__main__":
    serve(sys.argv[1])
