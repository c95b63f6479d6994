"""``mlops-assets up``: everything on one machine."""

import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import typer

from mlops_assets.cli.output import FINDING, say
from mlops_assets.cli.project import Project
from mlops_assets.errors import EndpointError
from mlops_assets.home import Home

_HOST = "127.0.0.1"
_PATIENCE_SECONDS = 120


@dataclass(frozen=True)
class _Service:
    name: str
    command: list[str]
    port: int
    probe: str

    @property
    def url(self) -> str:
        return f"http://{_HOST}:{self.port}"


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def up(
        dagster_port: Annotated[int, typer.Option(help="Port of the Dagster UI.")] = 3000,
        mlflow_port: Annotated[int, typer.Option(help="Port of the MLflow UI.")] = 5000,
        gateway_port: Annotated[int, typer.Option(help="Port of the gateway.")] = 8080,
    ) -> None:
        """Start the Dagster UI and daemon, the MLflow UI and the gateway; Ctrl-C stops all.

        The monitoring schedule and the retraining sensor are on.
        """
        home = Home.from_environment().prepare()
        project = Project.around()
        services = [
            _Service("gateway", _gateway(gateway_port), gateway_port, "/v2/health/live"),
            _Service("MLflow", _mlflow(home, mlflow_port), mlflow_port, "/health"),
            _Service("Dagster", _dagster(project, dagster_port), dagster_port, "/server_info"),
        ]
        for service in services:
            _require_free(service)
        raise typer.Exit(_run_all(services, home, project))


def _gateway(port: int) -> list[str]:
    return [sys.executable, "-m", "mlops_assets.serving", "--port", str(port)]


def _mlflow(home: Home, port: int) -> list[str]:
    if home.tracking_uri.startswith("http"):
        return []
    return [
        *(sys.executable, "-m", "mlflow", "server", "--backend-store-uri", home.tracking_uri),
        *("--default-artifact-root", home.mlflow_artifacts.as_uri(), "--no-serve-artifacts"),
        *("--host", _HOST, "--port", str(port), "--workers", "1"),
    ]


def _dagster(project: Project, port: int) -> list[str]:
    workspace = project.root / "workspace.yaml"
    root = project.module.removesuffix(".defs")
    where = ["-w", str(workspace)] if workspace.exists() else ["-m", f"{root}.definitions"]
    return [sys.executable, "-m", "dagster", "dev", *where, "--host", _HOST, "--port", str(port)]


def _require_free(service: _Service) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, service.port))
        except OSError:
            option = f"--{service.name.lower()}-port"
            raise EndpointError(
                f"port {service.port} is taken, which {service.name} needs; stop what holds it or choose "
                f"another with {option}"
            ) from None


def _run_all(services: list[_Service], home: Home, project: Project) -> int:
    environment = os.environ | home.environment() | {"PYTHONWARNINGS": "ignore"}
    ended = threading.Event()
    processes: dict[str, subprocess.Popen[bytes]] = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    failed: list[str] = []
    try:
        for service in services:
            if not service.command:
                continue
            log = (home.root / f"{service.name.lower()}.log").open("ab")
            process = subprocess.Popen(
                service.command,
                env=environment,
                cwd=project.root,
                stdout=log,
                stderr=log,
                start_new_session=True,  # so that Ctrl-C reaches us first and we stop them in order
            )
            processes[service.name] = process
            _watch(service.name, process, failed, ended)
        for service in services:
            if service.command and not ended.is_set():
                _wait(service, ended)
                if not ended.is_set():
                    say(f"{service.name:8} {service.url}")
        if not ended.is_set():
            say(f"State and logs are in {home.root}. Ctrl-C stops all.")
        ended.wait()
    finally:
        for process in reversed(processes.values()):
            _stop(process)
    for name in failed:
        typer.echo(f"{name} ended by itself; see {home.root / (name.lower() + '.log')}", err=True)
    return FINDING if failed else 0


def _watch(name: str, process: "subprocess.Popen[bytes]", failed: list[str], ended: threading.Event) -> None:
    """Note a service that ends by itself, and let the others stop with it."""

    def wait() -> None:
        process.wait()
        if not ended.is_set():
            failed.append(name)
            ended.set()

    threading.Thread(target=wait, daemon=True).start()


def _wait(service: _Service, ended: threading.Event) -> None:
    for _ in range(_PATIENCE_SECONDS * 5):
        try:
            with urllib.request.urlopen(service.url + service.probe, timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            if ended.wait(0.2):
                return
    raise EndpointError(f"{service.name} did not answer on port {service.port}; see its log")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    send: Callable[[int], None] = lambda number: os.killpg(process.pid, number)  # noqa: E731
    if process.poll() is not None:
        return
    send(signal.SIGTERM)
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        send(signal.SIGKILL)
        process.wait()
