"""Start and stop a gateway process: for ``up``, the demo, tests, and runs that find none."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlops_assets.errors import EndpointError
from mlops_assets.gateway_client import GatewayClient
from mlops_assets.home import Home

_STARTUP_SECONDS = 60


@contextmanager
def running_gateway(home: Home, port: int = 0) -> Iterator[GatewayClient]:
    """Yield a client of a gateway that runs for the length of the block.

    Args:
        home: The home it serves from.
        port: Port on the loopback interface; 0 for a free one.

    Raises:
        EndpointError: It did not start; the message holds what it said.
    """
    process = start_gateway(home, port)
    try:
        yield GatewayClient(_wait_until_ready(process))
    finally:
        stop(process)


def start_gateway(home: Home, port: int = 0) -> subprocess.Popen[str]:
    """Start a gateway process; its first line of output is its URL, once it is ready."""
    return subprocess.Popen(
        [sys.executable, "-m", "mlops_assets.serving", "--port", str(port)],
        env=os.environ | home.environment(),
        stdout=subprocess.PIPE,
        stderr=_log(home).open("ab"),
        text=True,
    )


def stop(process: "subprocess.Popen[str]") -> None:
    """Let a gateway finish what it answers, then end."""
    process.terminate()
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_until_ready(process: "subprocess.Popen[str]") -> str:
    # A timer instead of a poll: the read returns as soon as there is a line or the process ends.
    timer = threading.Timer(_STARTUP_SECONDS, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
    finally:
        timer.cancel()
    if not url.startswith("http"):
        process.wait()
        raise EndpointError(f"the gateway did not start (exit code {process.returncode}); see its log")
    return url


def _log(home: Home) -> Path:
    home.root.mkdir(parents=True, exist_ok=True)
    return home.root / "gateway.log"
