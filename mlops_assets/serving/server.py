"""Run the gateway: bind, load, announce, serve, drain."""

import asyncio
import errno
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import uvicorn

from mlops_assets.errors import EndpointError
from mlops_assets.garbage import leave_out_what_is_here
from mlops_assets.gateway_address import announced
from mlops_assets.governance.audit_reading import audit_reader
from mlops_assets.governance.signatures import Verifier
from mlops_assets.home import Home
from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.registry.reading import registry_reader
from mlops_assets.serving.app import Gateway
from mlops_assets.serving.declared_access import declared_access
from mlops_assets.serving.kept import Kept
from mlops_assets.serving.marks import Marks, entered_in, tried_in
from mlops_assets.serving.meters import Meters
from mlops_assets.serving.proving import Prover, last_good
from mlops_assets.serving.residency import Residency
from mlops_assets.serving.routing import Router
from mlops_assets.serving.settings import Settings
from mlops_assets.serving.sqlite_watch import change_detector
from mlops_assets.serving.supervisor import Supervisor
from mlops_assets.serving.uvicorn_settings import exit_cleanly_on_signals, http_config, serves_unlogged
from mlops_assets.specs.policy_file import current_policy

_GLANCE_SECONDS = 0.01
_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def run_gateway(
    home: Home,
    host: str,
    port: int,
    *,
    workers: int = 1,
    most_models: int | None = None,
    allow_anonymous: bool = False,
    on_ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is being answered.

    Args:
        home: Where the registry, the key and the prediction log are.
        host: Address to listen on.
        port: Port; 0 for a free one.
        workers: Processes that share the port and answer by the same routes.
        most_models: Versions in memory at once; the others are loaded when they are asked for.
        allow_anonymous: Whether whoever shows no credential may call, too.
        on_ready: Told the URL once the gateway answers and has tried what the registry names.

    Raises:
        EndpointError: The port is taken, or not to be had on this host, or a setting is wrong.
        AccessError: Other machines can call, and it is not declared who may.
        StorageError: The prediction log cannot be written.
    """
    settings = Settings(host, workers, most_models, allow_anonymous)
    serves_unlogged()
    listener = _listen(host, port)
    # One thread per worker for numerics: requests are what is parallel here.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    home.prepare()
    url = _url(host, listener.getsockname()[1])
    serve = _serve_alone if workers == 1 else _supervise
    with ExitStack() as ending:

        def announce() -> None:
            ending.enter_context(announced(home.gateway_address, url))
            on_ready(url)

        serve(home, settings, listener, announce)


def _serve_alone(
    home: Home, settings: Settings, listener: socket.socket, announce: Callable[[], None]
) -> None:
    """Answer in this process."""
    meters = Meters()
    access = declared_access(
        home, settings.host, allow_anonymous=settings.allow_anonymous, on_problem=meters.note
    )
    residency = Residency(settings.most_models, meters.note)
    router = _router(home, meters, load_with=residency.load, publish=residency.settle)
    recorder = Recorder.for_home(home, "gateway")
    gateway = Gateway(
        router,
        recorder,
        meters,
        access=access,
        serve_unlogged=serves_unlogged(),
        residency=residency,
        home=home,
    )
    exit_cleanly_on_signals()
    with ExitStack() as ending:
        ending.callback(recorder.close)
        access.start()
        ending.callback(access.stop)
        _Server(http_config(gateway), router, announce).run(sockets=[listener])


def _supervise(home: Home, settings: Settings, listener: socket.socket, announce: Callable[[], None]) -> None:
    """Have worker processes answer, all by the same routes."""
    # Whatever would keep each of them from starting is told here, once.
    declared_access(home, settings.host, allow_anonymous=settings.allow_anonymous)
    Recorder.for_home(home, "supervisor").close()
    meters = Meters()
    supervisor = Supervisor(home, settings, listener, meters)
    router = _router(home, meters, load_with=supervisor.load, publish=supervisor.publish)
    stopped = _stop_on_signals()
    supervisor.start()
    router.start()
    try:
        while not (stopped.is_set() or (router.looked.is_set() and supervisor.is_complete)):
            stopped.wait(_GLANCE_SECONDS)
        if not stopped.is_set():
            announce()
        stopped.wait()
    finally:
        router.stop()
        listener.close()
        supervisor.stop()


def _router(home: Home, meters: Meters, **options: Any) -> Router:
    registry = registry_reader(home)
    verifier = Verifier.for_home(home.root)
    chain = audit_reader(home)
    return Router(
        registry,
        Prover(verifier, last_good(current_policy)),
        Marks(home.served, entered_in(chain, verifier), tried_in(chain, verifier), verifier),
        meters.note,
        change_detector(home.tracking_uri),
        Kept(home.kept),
        **options,
    )


def _stop_on_signals() -> threading.Event:
    """Return what is set when this process is told to stop."""
    stopped = threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
    return stopped


class _Server(uvicorn.Server):
    """Answers at once, and is announced when the router has looked around."""

    def __init__(self, config: uvicorn.Config, router: Router, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._router, self._announce = router, announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        while not (self.should_exit or self._router.looked.is_set()):
            await asyncio.sleep(_GLANCE_SECONDS)
        if not self.should_exit:
            leave_out_what_is_here()
            self._announce()


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
