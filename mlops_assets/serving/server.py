"""Run the gateway: bind, load, announce, serve, drain."""

import asyncio
import errno
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack

import uvicorn

from mlops_assets.errors import EndpointError
from mlops_assets.gateway_address import announced
from mlops_assets.governance.audit_reading import audit_reader
from mlops_assets.governance.signatures import Verifier
from mlops_assets.home import Home
from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.registry.reading import registry_reader
from mlops_assets.serving.app import Gateway
from mlops_assets.serving.connections import answered_by
from mlops_assets.serving.declared_access import declared_access
from mlops_assets.serving.kept import Kept
from mlops_assets.serving.marks import Marks, entered_in, tried_in
from mlops_assets.serving.meters import Meters
from mlops_assets.serving.problems import Problem
from mlops_assets.serving.proving import Prover, last_good
from mlops_assets.serving.routing import Router
from mlops_assets.serving.sqlite_watch import change_detector
from mlops_assets.specs.policy_file import current_policy

DRAIN_SECONDS = 12
# Longer than load balancers and clients keep idle connections: whoever closes first must not be the one
# that a request may just be on its way to.
_KEEP_ALIVE_SECONDS = 75
_WHEN_LOG_FAILS = "MLOPS_WHEN_LOG_FAILS"
_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def run_gateway(
    home: Home,
    host: str,
    port: int,
    *,
    allow_anonymous: bool = False,
    on_ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is being answered.

    Args:
        home: Where the registry, the key and the prediction log are.
        host: Address to listen on.
        port: Port; 0 for a free one.
        allow_anonymous: Whether whoever shows no credential may call, too.
        on_ready: Told the URL once the gateway answers and has tried what the registry names.

    Raises:
        EndpointError: The port is taken, or not to be had on this host, or a setting is wrong.
        AccessError: Other machines can call, and it is not declared who may.
        StorageError: The prediction log cannot be written.
    """
    serve_unlogged = _serves_unlogged()
    listener = _listen(host, port)
    # One thread per worker for numerics: requests are what is parallel here.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    home.prepare()
    meters = Meters()

    def count(problem: Problem) -> None:
        meters.incidents.labels(problem.kind, problem.model or "").inc()

    access = declared_access(home, host, allow_anonymous=allow_anonymous, on_problem=count)
    registry = registry_reader(home)
    verifier = Verifier.for_home(home.root)
    chain = audit_reader(home)
    router = Router(
        registry,
        Prover(verifier, last_good(current_policy)),
        Marks(home.served, entered_in(chain, verifier), tried_in(chain, verifier), verifier),
        count,
        change_detector(home.tracking_uri),
        Kept(home.kept),
    )
    recorder = Recorder.for_home(home, "gateway")
    gateway = Gateway(router, recorder, meters, access=access, serve_unlogged=serve_unlogged)
    config = uvicorn.Config(
        gateway.app(),
        http=answered_by(gateway.front()),
        ws="none",  # there are none, and their library takes time to import
        access_log=False,
        log_config=None,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    url = _url(host, listener.getsockname()[1])
    _exit_cleanly_on_signals()

    with ExitStack() as ending:
        ending.callback(recorder.close)
        access.start()
        ending.callback(access.stop)

        def announce() -> None:
            ending.enter_context(announced(home.gateway_address, url))
            on_ready(url)

        _Server(config, router, announce).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Answers at once, and is announced when the router has looked around."""

    def __init__(self, config: uvicorn.Config, router: Router, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._router, self._announce = router, announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        while not (self.should_exit or self._router.looked.is_set()):
            await asyncio.sleep(0.01)
        if not self.should_exit:
            self._announce()


def _serves_unlogged() -> bool:
    """Return whether predictions may leave though their log fails: ``MLOPS_WHEN_LOG_FAILS``."""
    asked = os.environ.get(_WHEN_LOG_FAILS) or "refuse"
    if asked not in ("refuse", "serve"):
        raise EndpointError(f"{_WHEN_LOG_FAILS} must be 'refuse' or 'serve', not {asked!r}")
    return asked == "serve"


def _exit_cleanly_on_signals() -> None:
    """End with code 0 when stopped: uvicorn drains first, then raises the signal again."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(0))


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)  # now, and not when all is loaded: the port is ours from here on
    except (OSError, OverflowError) as error:
        listener.close()
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            raise EndpointError(
                f"port {port} is taken on {host}; stop what holds it or choose another with --port"
            ) from error
        reason = getattr(error, "strerror", None) or error
        raise EndpointError(f"cannot listen on port {port} of {host}: {reason}") from error
    return listener


def _url(host: str, port: int) -> str:
    host = _EVERY_ADDRESS.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
