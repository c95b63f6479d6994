"""How uvicorn serves a gateway, and what the environment says of that: for one process and for several."""

import os
import signal
import sys
import threading

import uvicorn

from mlops_assets.errors import EndpointError
from mlops_assets.serving.app import Gateway
from mlops_assets.serving.connections import answered_by

DRAIN_SECONDS = 12
# Longer than load balancers and clients keep idle connections: whoever closes first must not be the one
# that a request may just be on its way to.
_KEEP_ALIVE_SECONDS = 75
_WHEN_LOG_FAILS = "MLOPS_WHEN_LOG_FAILS"


def http_config(gateway: Gateway) -> uvicorn.Config:
    """Return what uvicorn has to know."""
    return uvicorn.Config(
        gateway.app(),
        http=answered_by(gateway.front()),
        ws="none",  # there are none, and their library takes time to import
        access_log=False,
        log_config=None,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )


def serves_unlogged() -> bool:
    """Return whether predictions may leave though their log fails: ``MLOPS_WHEN_LOG_FAILS``.

    Raises:
        EndpointError: It says something else.
    """
    asked = os.environ.get(_WHEN_LOG_FAILS) or "refuse"
    if asked not in ("refuse", "serve"):
        raise EndpointError(f"{_WHEN_LOG_FAILS} must be 'refuse' or 'serve', not {asked!r}")
    return asked == "serve"


def exit_cleanly_on_signals() -> None:
    """End with code 0 when stopped: uvicorn drains first, then raises the signal again."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(0))
