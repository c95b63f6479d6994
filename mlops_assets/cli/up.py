"""``mlops-assets up``: everything on one machine."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from mlops_assets.cli.output import FINDING, Json, print_json, quiet, say
from mlops_assets.cli.project import Project
from mlops_assets.errors import EndpointError, SpecError
from mlops_assets.home import Home

_HOST = "127.0.0.1"
_PATIENCE_SECONDS = 120
_GRACE_SECONDS = 15
_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class _Service:
    name: str
    command: list[str]
    port: int
    probe: str

    @property
    def url(self) -> str:
        return f"http://{_HOST}:{self.port}"

    def log(self, home: Home) -> Path:
        return home.root / f"{self.name.lower()}.log"


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def up(
        dagster_port: Annotated[int, typer.Option(help="Port of the Dagster UI.", min=1, max=65535)] = 3000,
        mlflow_port: Annotated[int, typer.Option(help="Port of the MLflow UI.", min=1, max=65535)] = 5000,
        gateway_port: Annotated[int, typer.Option(help="Port of the gateway.", min=1, max=65535)] = 8080,
        json: Json = False,
    ) -> None:
        """Start the Dagster UI and daemon, the MLflow UI and the gateway; Ctrl-C stops all.

        The monitoring schedule and the retraining sensor are on. With MLFLOW_TRACKING_URI set to a
        server, that one is used and none is started. With --json the addresses are printed once all answer.
        """
        from mlops_assets.cli.instance import close_orphans, open_instance
        from mlops_assets.registry.mlflow_registry import MlflowRegistry

        home = Home.from_environment().prepare()
        project = Project.around()
        dagster = _Service("Dagster", _dagster(project, dagster_port), dagster_port, "/server_info")
        services = [
            _Service("gateway", _gateway(gateway_port), gateway_port, "/v2/health/live"),
            dagster,
        ]
        mlflow_ui = home.tracking_uri
        if not home.tracking_uri.startswith("http"):
            mlflow = _Service("MLflow", _mlflow(home, mlflow_port), mlflow_port, "/health")
            services.insert(1, mlflow)
            mlflow_ui = mlflow.url
        _require_free(services)
        # Made before the services start, which would all begin to make them at the same time.
        with open_instance(home) as instance:
            close_orphans(instance)
        MlflowRegistry(home).make_database()
        raise typer.Exit(_Running(home, project, mlflow_ui, dagster.url, json).run(services))


def _gateway(port: int) -> list[str]:
    me = str(os.getpid())
    return [sys.executable, "-m", "mlops_assets.serving", "--port", str(port), "--parent", me]


def _mlflow(home: Home, port: int) -> list[str]:
    return [
        *(sys.executable, "-m", "mlflow", "server", "--backend-store-uri", home.tracking_uri),
        *("--default-artifact-root", home.mlflow_artifacts.as_uri(), "--no-serve-artifacts"),
        *("--host", _HOST, "--port", str(port), "--workers", "1"),
    ]


def _dagster(project: Project, port: int) -> list[str]:
    """Return the command that starts the Dagster UI and daemon on a project.

    Raises:
        SpecError: The project has nothing that Dagster could load.
    """
    workspace = project.root / "workspace.yaml"
    if workspace.exists():
        where = ["-w", str(workspace)]
    else:
        # The defs folder is <base>/<package>/defs, and base need not be on the path: a src layout.
        package = project.module.rpartition(".")[0]
        base = project.folder.parents[project.module.count(".")]
        if not (file := project.folder.parent / "definitions.py").exists():
            raise SpecError(
                f"{file} is missing, which Dagster loads; see mlops_assets/definitions.py for one"
            )
        where = ["-m", f"{package}.definitions", "-d", str(base)]
    return [sys.executable, "-m", "dagster", "dev", *where, "--host", _HOST, "--port", str(port)]


def _require_free(services: list[_Service]) -> None:
    """Refuse ports that are taken, before anything is started.

    Raises:
        EndpointError: Some port is taken.
        SpecError: Two services were given the same port.
    """
    names: dict[int, str] = {}
    for service in services:
        option = f"--{service.name.lower()}-port"
        if service.port in names:
            raise SpecError(
                f"port {service.port} was given to {names[service.port]} and to {service.name}; choose "
                f"another with {option}"
            )
        names[service.port] = service.name
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_HOST, service.port))
            except OSError:
                raise EndpointError(
                    f"port {service.port} is taken, which {service.name} needs; stop what holds it or "
                    f"choose another with {option}"
                ) from None


@dataclass
class _Running:
    """The services while they run, and what ends them."""

    home: Home
    project: Project
    mlflow_ui: str
    dagster_ui: str
    json: bool
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    asked_to_stop: bool = False

    def run(self, services: list[_Service]) -> int:
        """Run until asked to stop or one of them ends by itself; return the exit code."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Under nohup a closed terminal is none of our business.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._ask_to_stop)
        try:
            for service in services:
                self._start(service)
            for service in services:
                self._await(service)
            if not self._over():
                self._announce(services)
            while not self._over():
                time.sleep(_LOOK_SECONDS)
            ended = None if self.asked_to_stop else self._ended()
        finally:
            self._stop_all()
        if ended is None:
            return 0
        code = self.processes[ended].returncode
        log = next(s for s in services if s.name == ended).log(self.home)
        typer.echo(f"{ended} ended by itself (exit code {code}), so all were stopped; see {log}", err=True)
        return FINDING

    def _announce(self, services: list[_Service]) -> None:
        if self.json:
            urls = {service.name.lower(): service.url for service in services}
            print_json({"mlflow": self.mlflow_ui, **urls, "home": self.home.root})
        else:
            say(f"State and logs are in {self.home.root}. Ctrl-C stops all.")

    # A flag and no event: a handler runs in the middle of anything, where taking a lock may be too much.
    def _ask_to_stop(self, *_: object) -> None:
        self.asked_to_stop = True

    def _ended(self) -> str | None:
        return next((n for n, process in self.processes.items() if process.poll() is not None), None)

    def _over(self) -> bool:
        return self.asked_to_stop or self._ended() is not None

    def _start(self, service: _Service) -> None:
        with service.log(self.home).open("ab") as log:
            self.processes[service.name] = subprocess.Popen(
                service.command,
                env={
                    **os.environ,
                    **self.home.environment(),
                    "MLOPS_MLFLOW_UI": self.mlflow_ui,
                    "MLOPS_DAGSTER_UI": os.environ.get("MLOPS_DAGSTER_UI") or self.dagster_ui,
                    # Nine processes for judging chat transcripts, which nothing here makes.
                    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                    "PYTHONWARNINGS": "ignore",
                },
                cwd=self.project.root,
                stdout=log,
                stderr=log,
                start_new_session=True,  # so that Ctrl-C reaches us only and we stop each as a whole
            )

    def _await(self, service: _Service) -> None:
        """Wait until a service answers, and say where.

        Raises:
            EndpointError: It does not answer.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not self._over():
            if _answers(service.url + service.probe):
                (quiet if self.json else say)(f"{service.name:8} {service.url}")
                return
            if time.monotonic() > deadline:
                raise EndpointError(
                    f"{service.name} did not answer on port {service.port} within {_PATIENCE_SECONDS} s; "
                    f"see {service.log(self.home)}"
                )
            time.sleep(_LOOK_SECONDS)

    def _stop_all(self) -> None:
        """Ask every service and its children to end, and end by force those that do not."""
        for process in self.processes.values():
            _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_SECONDS
        for process in self.processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=max(0.0, deadline - time.monotonic()))
        for process in self.processes.values():
            # Also where the service itself is gone: its children may have stayed.
            _signal(process, signal.SIGKILL)
            process.wait()


def _signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """Send a signal to a service and all its children, which share its process group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (OSError, http.client.HTTPException):
        return False
