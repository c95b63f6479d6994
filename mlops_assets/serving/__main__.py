"""``python -m mlops_assets.serving``: the gateway without the command line's other imports."""

import argparse
import sys

from mlops_assets.errors import MlopsError
from mlops_assets.home import Home
from mlops_assets.serving.server import run_gateway


def main() -> None:
    """Serve from ``MLOPS_HOME``; the first line printed is the URL."""
    parser = argparse.ArgumentParser(prog="mlops_assets.serving")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    arguments = parser.parse_args()
    try:
        run_gateway(
            Home.from_environment(),
            arguments.host,
            arguments.port,
            on_ready=lambda url: print(url, flush=True),
        )
    except MlopsError as error:
        print(f"gateway: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
