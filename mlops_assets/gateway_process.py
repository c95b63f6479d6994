"""Start and stop a gateway process: for ``up``, the demo, tests, and runs that find none."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mlops_assets.errors import EndpointError
from mlops_assets.gateway_client import GatewayClient
from mlops_assets.home import Home

_STARTUP_SECONDS = 60
_STOPPING_SECONDS = 20


@contextmanager
def running_gateway(home: Home, port: int = 0) -> Iterator[GatewayClient]:
    """Yield a client of a gateway that runs for the length of the block, or of this process.

    Args:
        home: The home it serves from.
        port: Port on the loopback interface; 0 for a free one.

    Raises:
        EndpointError: It did not start; the message holds what it said.
    """
    home.root.mkdir(parents=True, exist_ok=True)
    said = home.root / "gateway.log"
    with said.open("ab") as log:
        said_before = log.tell()
        process = start_gateway(home, port, log)
    try:
        client = GatewayClient(_wait_until_ready(process, said, said_before))
        try:
            yield client
        finally:
            client.close()
    finally:
        stop(process)


def start_gateway(home: Home, port: int, log: IO[bytes]) -> subprocess.Popen[str]:
    """Start a gateway process; its first line of output is its URL, once it is ready.

    It ends with this process, however this process ends.

    Args:
        home: The home it serves from.
        port: Port on the loopback interface; 0 for a free one.
        log: Takes what it has to say.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "mlops_assets.serving", "--port", str(port), "--parent", str(os.getpid())],
        env=os.environ | home.environment(),
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )


def stop(process: "subprocess.Popen[str]") -> None:
    """Let a gateway finish what it answers, then end."""
    process.terminate()
    try:
        process.wait(timeout=_STOPPING_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _wait_until_ready(process: "subprocess.Popen[str]", said: Path, said_before: int) -> str:
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
        words = said.read_bytes()[said_before:].decode(errors="replace").split("\n")
        last = next((line for line in reversed(words) if line.strip()), f"see {said}")
        raise EndpointError(f"the gateway did not start (exit code {process.returncode}): {last}")
    return url
