"""What end-to-end tests share: the real ``mlops-assets up`` on free ports, and who runs because of it."""

import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlops_assets_tests.whole_processes import clean_environment

COMMAND = (sys.executable, "-m", "mlops_assets.cli.main")
SERVICES = ("gateway", "MLflow", "Dagster")


@dataclass
class Up:
    """A running ``mlops-assets up``."""

    home: Path
    ports: dict[str, int]
    process: "subprocess.Popen[str]"

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.ports[service]}"

    def wait_for(self, words: str) -> None:
        """Return when it has said something; it gives up by itself if a service does not come up."""
        said = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said.append(line)
            if words in line:
                return
        pytest.fail(f"never said {words!r}: {said}{self.process.communicate()[1]}{self.logs()}")

    def json(self) -> Any:
        """Return the document it prints once it is up."""
        assert self.process.stdout is not None
        said = ""
        for line in self.process.stdout:
            said += line
            if line == "}\n":
                return json.loads(said)
        pytest.fail(f"never said it all: {said}{self.process.communicate()[1]}{self.logs()}")

    def wait_until_up(self) -> None:
        self.wait_for("Ctrl-C stops all")

    def stop(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """Send a signal; return the exit code and what it said on standard error."""
        self.process.send_signal(number)
        return self.end()

    def end(self) -> tuple[int, str]:
        """Wait for its end; return the exit code and what it said on standard error."""
        _, err = self.process.communicate(timeout=120)
        return self.process.returncode, err

    def service_pid(self, service: str) -> int:
        """Return the process that was started for a service."""
        mark = {"gateway": "mlops_assets.serving", "MLflow": "mlflow", "Dagster": "dagster"}[service]
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return next(int(c) for c in children if mark in _arguments(int(c)))

    def family(self) -> dict[int, list[str]]:
        """Return the arguments of every process that works on this home, by process id."""
        mark = f"MLOPS_HOME={self.home}".encode()
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = _arguments(int(entry.name))
            except OSError:
                continue  # it has just ended, or is somebody else's
        return found

    def logs(self) -> str:
        """Return what the services have logged."""
        return "".join(f"\n== {f.name}\n{f.read_text()}" for f in sorted(self.home.glob("*.log")))


def _arguments(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a command on a home."""
    return {**clean_environment(), "MLOPS_HOME": str(home)}


@pytest.fixture(scope="session")
def free_ports() -> Callable[[], dict[str, int]]:
    """Return a finder of one free port for each service."""

    def find() -> dict[str, int]:
        listeners = [socket.socket() for _ in SERVICES]
        try:
            for listener in listeners:
                listener.bind(("127.0.0.1", 0))
            return {s: x.getsockname()[1] for s, x in zip(SERVICES, listeners, strict=True)}
        finally:
            for listener in listeners:
                listener.close()

    return find


@pytest.fixture(scope="module")
def start_up(free_ports: Callable[[], dict[str, int]]) -> Iterator[Callable[..., Up]]:
    """Return a starter of ``mlops-assets up``; what still runs in the end is ended."""
    started: list[Up] = []

    def start(home: Path, *flags: str, cwd: Path | None = None, **ports: int) -> Up:
        chosen = {**free_ports(), **ports}
        options = [f"--{service.lower()}-port={port}" for service, port in chosen.items()]
        process = subprocess.Popen(
            [*COMMAND, "up", *flags, *options],
            cwd=cwd,
            env=environment(home),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(up := Up(home, chosen, process))
        return up

    yield start
    for up in started:
        if up.process.poll() is None:
            up.stop(signal.SIGTERM)


@pytest.fixture(scope="session")
def run_command() -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Return a runner of ``mlops-assets`` to its end."""

    def run(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*COMMAND, *arguments], env=environment(home), capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the browser's path."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("chromium is not installed (on Debian: apt-get install chromium)")
    return found
