"""``python -m mlops_assets.serving``: the gateway without the command line's other imports."""

import argparse
import os
import select
import signal
import sys
import threading
from collections.abc import Callable

from mlops_assets.errors import MlopsError
from mlops_assets.garbage import collect_seldom
from mlops_assets.home import Home
from mlops_assets.serving.server import run_gateway
from mlops_assets.serving.settings import OBJECTS_BEFORE_COLLECTION


def main() -> None:
    """Serve from ``MLOPS_HOME``; the one line printed is the URL."""
    parser = argparse.ArgumentParser(prog="mlops_assets.serving")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--workers", type=int, default=1, help="processes that share the port")
    parser.add_argument(
        "--most-models",
        type=int,
        default=os.environ.get("MLOPS_MOST_MODELS"),
        help="versions in memory at once",
    )
    parser.add_argument("--allow-anonymous", action="store_true", help="let callers without a credential in")
    parser.add_argument("--parent", type=int, help="process id; stop when that process has ended")
    arguments = parser.parse_args()
    if arguments.parent is not None:
        threading.Thread(target=_end_with, args=[arguments.parent], daemon=True).start()
    announce = _announcer()
    collect_seldom(OBJECTS_BEFORE_COLLECTION)
    try:
        run_gateway(
            Home.from_environment(),
            arguments.host,
            arguments.port,
            workers=arguments.workers,
            most_models=arguments.most_models,
            allow_anonymous=arguments.allow_anonymous,
            on_ready=announce,
        )
    except MlopsError as error:
        print(f"gateway: {error}", file=sys.stderr)
        sys.exit(2)


def _announcer() -> Callable[[str], None]:
    """Keep standard output for the URL; what models print goes where the log goes."""
    output = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def announce(url: str) -> None:
        with output:
            print(url, file=output)

    return announce


def _end_with(parent: int) -> None:
    """Stop as if told to when the process that wanted a gateway for itself was killed."""
    try:
        process = os.pidfd_open(parent)
    except ProcessLookupError:
        pass
    except (AttributeError, OSError):  # not Linux: the gateway has to be stopped by hand
        return
    else:
        select.select([process], [], [])
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
