"""Run the gateway: bind, load, announce, serve, drain."""

import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from mlops_assets.errors import EndpointError
from mlops_assets.home import Home, write_atomically

if TYPE_CHECKING:
    import uvicorn

_DRAIN_SECONDS = 20


def run_gateway(
    home: Home, host: str, port: int, *, on_ready: Callable[[str], None] = lambda url: None
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is being answered.

    Args:
        home: Where the registry, the key and the prediction log are.
        host: Address to listen on.
        port: Port; 0 for a free one.
        on_ready: Told the URL once the gateway answers.

    Raises:
        EndpointError: The port is taken.
        StorageError: The prediction log cannot be written.
    """
    import uvicorn

    from mlops_assets.governance.signatures import Verifier
    from mlops_assets.monitoring.prediction_log import PredictionLog
    from mlops_assets.registry.mlflow_registry import MlflowRegistry
    from mlops_assets.serving.app import Gateway
    from mlops_assets.serving.meters import Meters
    from mlops_assets.serving.routing import Router

    listener = _bind(host, port)
    # One thread per worker for numerics: requests are what is parallel here.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    home.prepare()
    meters = Meters()
    router = Router(
        MlflowRegistry(home),
        Verifier.for_home(home.root),
        lambda kind, subject: meters.incidents.labels(kind, subject).inc(),
    )
    log = PredictionLog(home.prediction_log)
    url = f"http://{host}:{listener.getsockname()[1]}"
    config = uvicorn.Config(
        Gateway(router, log, meters).app(),
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    try:
        _server(config, home, url, on_ready).run(sockets=[listener])
    finally:
        log.close()
        with suppress(FileNotFoundError):
            if home.gateway_address.read_text() == url:
                home.gateway_address.unlink()


def _server(
    config: "uvicorn.Config", home: Home, url: str, on_ready: Callable[[str], None]
) -> "uvicorn.Server":
    import uvicorn

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            write_atomically(home.gateway_address, url.encode())
            on_ready(url)

    return Announcing(config)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise EndpointError(
            f"cannot listen on port {port} of {host}: {error.strerror}; stop what holds it or choose another "
            "with --port"
        ) from error
    listener.set_inheritable(True)
    return listener
