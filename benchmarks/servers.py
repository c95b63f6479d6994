"""Other servers, and limits: where each comes from, how it is started, and what it is asked."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from peers import model

_PEERS = Path(__file__).parent / "peers"
_STARTUP_SECONDS = 180
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Server:
    """A server.

    Attributes:
        name: As it is printed.
        path: Where predictions are asked for.
        body: The request for some rows.
        command: What starts it on a port.
        environment: What it needs besides.
        headers: What a request bears besides.
    """

    name: str
    path: str
    body: Callable[[int], bytes]
    command: Callable[[int], list[str]]
    environment: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Running:
    """A server that answers.

    Attributes:
        server: Which.
        url: Where predictions are asked for.
        process: Its first process.
        seconds: From its start to its first answer.
    """

    server: Server
    url: str
    process: int
    seconds: float


class NotInstalled(Exception):
    """A server's package cannot be installed here."""


def split_frame(count: int) -> bytes:
    """Return a request in the form that MLflow made common."""
    return _split(model.rows(count))


def split_texts(count: int) -> bytes:
    """Return the like for the model that takes text, too."""
    return _split(model.text_rows(count))


def _split(rows: list[list[Any]]) -> bytes:
    return orjson.dumps({"dataframe_split": {"columns": model.COLUMNS, "data": rows}})


def one_tensor(count: int) -> bytes:
    """Return a request of the Open Inference Protocol as MLServer takes it fastest: one tensor."""
    data = [value for row in model.rows(count) for value in row]
    tensor = {"name": "features", "shape": [count, model.WIDTH], "datatype": "FP32", "data": data}
    return orjson.dumps({"inputs": [tensor], "outputs": [{"name": "predict_proba"}]})


def echo() -> Server:
    """Return the limit of whatever is an application on uvicorn: one that does nothing."""
    return Server("limit: echo", "/", split_frame, lambda port: _uvicorn("peers.asgi:echo", port))


def echo_and_work() -> Server:
    """Return what a server can be hoped for to do that spends 40 µs a request on what it is for."""
    command = partial(_uvicorn, "peers.asgi:echo_and_work")
    return Server("limit: echo and 40 µs", "/", split_frame, command)


def onnx(scratch: Path) -> Server:
    """Return the limit of whatever predicts on uvicorn with ONNX Runtime: one that does no more."""
    from mlops_assets.training.onnx_form import convert

    file = scratch / "model.onnx"
    file.write_bytes(convert(model.estimator().fit(*model.training_rows()), model.WIDTH))
    return Server(
        "limit: ONNX",
        "/",
        split_frame,
        lambda port: [*_uvicorn("peers.asgi:onnx", port), "--factory"],
        {"BENCHMARK_ONNX": str(file)},
    )


def mlflow(cache: Path, name: str = "model_mlflow", body: Callable[[int], bytes] = split_frame) -> Server:
    """Return MLflow's own server, one worker, with the model's signature."""
    python = _installed(cache, "mlflow", "mlflow")
    served = cache / "mlflow" / name
    asked = ["models", "serve", "-m", str(served), "--env-manager", "local", "--workers", "1"]
    return Server(
        "mlflow models serve",
        "/invocations",
        body,
        lambda port: [str(python), "-m", "mlflow", *asked, "--host", "127.0.0.1", "--port", str(port)],
        {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{python.parent}:{os.environ['PATH']}"},
    )


def litserve(cache: Path) -> Server:
    """Return LitServe, one worker."""
    python = _installed(cache, "litserve", "litserve", "scikit-learn")
    served = str(cache / "litserve" / "model.joblib")
    app = str(_PEERS / "litserve_app.py")
    return Server("LitServe", "/predict", split_frame, lambda port: [str(python), app, served, str(port)])


def mlserver(cache: Path) -> Server:
    """Return MLServer, predicting in its one process."""
    python = _installed(cache, "mlserver", "mlserver", "mlserver-sklearn")
    folder = cache / "mlserver" / "served"
    folder.mkdir(exist_ok=True)
    served = {
        "name": "m",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(cache / "mlserver" / "model.joblib"), "version": "1"},
    }
    (folder / "model-settings.json").write_bytes(orjson.dumps(served))

    def command(port: int) -> list[str]:
        settings = {
            "debug": False,
            "host": "127.0.0.1",
            "http_port": port,
            "grpc_port": free_port(),
            "metrics_port": free_port(),
            "parallel_workers": 0,
            "logging_settings": None,
        }
        (folder / "settings.json").write_bytes(orjson.dumps(settings))
        return [str(python.parent / "mlserver"), "start", str(folder)]

    return Server("MLServer", "/v2/models/m/infer", one_tensor, command)


@contextmanager
def running(server: Server, log: Path) -> Iterator[Running]:
    """Start a server and wait until it answers; it is ended with all that it started."""
    port = free_port()
    url = f"http://127.0.0.1:{port}{server.path}"
    environment = os.environ | _ONE_THREAD | server.environment
    with log.open("wb") as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            server.command(port),
            env=environment,
            cwd=Path(__file__).parent,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        try:
            while not _answers(url, server):
                if process.poll() is not None or time.perf_counter() - began > _STARTUP_SECONDS:
                    raise SystemExit(f"{server.name} does not answer: {log.read_text()[-2000:]}")
                time.sleep(0.01)
            yield Running(server, url, process.pid, time.perf_counter() - began)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port() -> int:
    """Return a port that nobody holds now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(url: str, server: Server) -> bool:
    headers = {"content-type": "application/json", **server.headers}
    request = urllib.request.Request(url, server.body(1), headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _uvicorn(app: str, port: int) -> list[str]:
    quiet = ["--no-access-log", "--log-level", "warning"]
    fast = ["--loop", "uvloop", "--http", "httptools"]
    return [sys.executable, "-m", "uvicorn", app, "--port", str(port), *fast, *quiet]


def _installed(cache: Path, name: str, *packages: str) -> Path:
    """Return the interpreter of an environment with some packages, and the models beside it; made once.

    Raises:
        NotInstalled: pip says why.
    """
    folder = cache / name
    python, finished = folder / "bin" / "python", folder / "finished"
    source, written_by = (_PEERS / "model.py").read_bytes(), folder / "model.py"
    if not finished.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", *packages])
        finished.touch()
    if not written_by.exists() or written_by.read_bytes() != source:
        _run([str(python), str(_PEERS / "model.py"), str(folder)])
        written_by.write_bytes(source)
    return python


def _run(command: list[str]) -> Any:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise NotInstalled(f"{' '.join(command[:6])}: {done.stderr.strip()[-600:]}")
