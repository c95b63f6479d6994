"""Start and stop a gateway process: for ``up``, the demo, tests, and runs that find none."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from mlops_assets.errors import EndpointError
from mlops_assets.gateway_client import GatewayClient
from mlops_assets.gateway_credential import platform_key
from mlops_assets.home import Home

_STARTUP_SECONDS = 60
_STOPPING_SECONDS = 20

_underway: dict[Home, "_Starting"] = {}


class _Starting(NamedTuple):
    """A gateway process that may not be ready yet."""

    process: "subprocess.Popen[str]"
    log: Path
    said_before: int


@contextmanager
def gateway_underway(home: Home) -> Iterator[None]:
    """Start a gateway, and leave it to a :func:`running_gateway` within the block to wait for it.

    A gateway takes seconds to start, which a lifecycle that will deploy at its end has meanwhile.

    Args:
        home: The home it serves from.
    """
    _underway[home] = _start(home, port=0)
    try:
        yield
    finally:
        if started := _underway.pop(home, None):
            stop(started.process)


def is_underway(home: Home) -> bool:
    """Return whether a gateway was started in the background that nobody has taken over yet."""
    return home in _underway


@contextmanager
def running_gateway(home: Home, port: int = 0) -> Iterator[GatewayClient]:
    """Yield a client of a gateway that runs for the length of the block, or of this process.

    Args:
        home: The home it serves from.
        port: Port on the loopback interface; 0 for a free one.

    Raises:
        EndpointError: It did not start; the message holds what it said.
    """
    started = (_underway.pop(home, None) if port == 0 else None) or _start(home, port)
    try:
        client = GatewayClient(_wait_until_ready(started), platform_key(home.root))
        try:
            yield client
        finally:
            client.close()
    finally:
        stop(started.process)


def _start(home: Home, port: int) -> _Starting:
    home.root.mkdir(parents=True, exist_ok=True)
    said = home.root / "gateway.log"
    with said.open("ab") as log:
        return _Starting(start_gateway(home, port, log), said, said_before=log.tell())


def start_gateway(home: Home, port: int, log: IO[bytes], *options: str) -> subprocess.Popen[str]:
    """Start a gateway process; its first line of output is its URL, once it is ready.

    It ends with this process, however this process ends.

    Args:
        home: The home it serves from.
        port: Port on the loopback interface; 0 for a free one.
        log: Takes what it has to say.
        options: Further ones of its command line.
    """
    asked = ["--port", str(port), "--parent", str(os.getpid()), *options]
    return subprocess.Popen(
        [sys.executable, "-m", "mlops_assets.serving", *asked],
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


def _wait_until_ready(started: _Starting) -> str:
    process = started.process
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
        words = started.log.read_bytes()[started.said_before :].decode(errors="replace").split("\n")
        last = next((line for line in reversed(words) if line.strip()), f"see {started.log}")
        raise EndpointError(f"the gateway did not start (exit code {process.returncode}): {last}")
    return url
