"""What is lost of what was answered when a gateway is killed in full flight.

    python benchmarks/kills.py [--trials N] [--rate N]

A gateway answers an open loop (benchmarks/open_loop.py) at a fixed rate, 8,000 a second by default, and dies
by SIGKILL at a moment at random; then the next one starts on what it left. At the end the log is read: each
prediction whose answer a client has received has to be in it with what was answered. Nothing else is a pass.
The loop spins, which takes a core: run nothing beside it.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import open_loop

from mlops_assets.gateway_process import start_gateway
from mlops_assets.home import Home
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets_tests.fleets import Fleet, constant

_MODEL, _VALUE = "m", 7.0
_ASKED_FOR = {"paths": [f"/models/{_MODEL}/invocations"], "headers": {}, "body": '{"instances":[[1.0]]}'}
_LEAST_SECONDS, _MOST_SECONDS = 0.5, 2.5


def main() -> None:
    """Measure and print; exit with 1 if anything is lost."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--rate", type=float, default=8_000.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        fleet = Fleet(home)
        fleet.promote(_MODEL, fleet.add(constant(_MODEL, _VALUE)).version)
        received: dict[str, float] = {}
        rates = []
        for _ in range(arguments.trials):
            answered, seconds = _answered_until_killed(home, arguments.rate)
            received |= answered
            rates.append(len(answered) / seconds)
        log = PredictionLog(home.prediction_log)
        found = log.answers(_MODEL, received)
        wrong = sum(found.get(each, ("", None))[1] != value for each, value in received.items())
        print(
            f"{arguments.trials} kills; asked {arguments.rate:,.0f} a second, "
            f"answered {statistics.median(rates):,.0f}; "
            f"{len(received):,} answers received, {wrong} not in the log as they were; "
            f"{len(log.losses())} places of the log cannot be read"
        )
    sys.exit(wrong > 0)


def _answered_until_killed(home: Home, rate: float) -> tuple[dict[str, float], float]:
    """Return what a gateway answered before it was killed, by id, and how many seconds it was asked."""
    contents: list[bytes] = []
    with (home.root / "gateway.log").open("ab") as said:
        process = start_gateway(home, 0, said)
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        began = time.monotonic()
        moment = began + random.uniform(_LEAST_SECONDS, _MOST_SECONDS)
        killed = False
        try:
            for answer in open_loop.answers(url, _ASKED_FOR, rate, 2 * _MOST_SECONDS):
                if answer.status != 200:
                    raise SystemExit(f"refused: {answer.content!r}")
                contents.append(answer.content)
                if not killed and time.monotonic() > moment:
                    process.kill()
                    killed = True
        except (open_loop.Closed, OSError):
            pass
        assert killed
        process.wait()
        process.stdout.close()
    return dict(map(_told, contents)), time.monotonic() - began


def _told(content: bytes) -> tuple[str, float]:
    """Return an answer's prediction id and prediction."""
    said: dict[str, Any] = json.loads(content)
    return said["prediction_ids"][0], said["predictions"][0]


if __name__ == "__main__":
    main()
