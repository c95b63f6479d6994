"""What a prediction over HTTP costs, beside other servers and beside what is possible at all.

    python benchmarks/serving.py [--rounds N] [--seconds N] [--rate N] [--cache FOLDER] [--only NAME ...]

One model, gradient boosting on 30 features, is served by mlops_assets with all that it does for a request
(checks, a durable prediction log, counters), by `mlflow models serve`, LitServe and MLServer, and by two
applications that mark limits: one that echoes the request and one that does nothing but predict with ONNX
Runtime, both on uvicorn with uvloop and httptools. Each has one worker and one thread for numerics. The
other servers do not install beside our pins: each has an environment of its own below the cache, made at the
first run with plain `pip install`; where that fails it is said, and the server is left out.

Printed are the median over interleaved rounds of requests per second of CPU time of the server's whole
process tree, under wrk with 64 connections, for one row and for 100; latency at fixed rates from an open loop
(benchmarks/open_loop.py, which spins, so that this takes two cores; run nothing beside it), where a server
can keep up at all; memory of the tree (PSS) after that; and the time from start to the first answer.
"""

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import servers
from process_tree import cpu_seconds, megabytes
from servers import NotInstalled, Running, Server

_CONNECTIONS = 64
_ROWS = (1, 100)
_GENTLE_RATE = 100.0
_LATENCY_SECONDS = 5.0


@dataclass
class Figures:
    """What was found of one server: requests per CPU second by rows, answers per second, and latencies."""

    per_cpu_second: dict[int, list[float]] = field(default_factory=lambda: {rows: [] for rows in _ROWS})
    per_second: list[float] = field(default_factory=list)
    p99: dict[float, float] = field(default_factory=dict)
    megabytes: float = 0.0

    def typical(self, rows: int) -> float:
        """Return the median over the rounds."""
        return statistics.median(self.per_cpu_second[rows])


def main() -> None:
    arguments = _arguments()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk makes the load and is not on the path; install it, as with apt-get install wrk")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as ending:
        scratch = Path(folder)
        started = [
            ending.enter_context(servers.running(server, scratch / f"{place}.log"))
            for place, server in enumerate(_servers(arguments, scratch))
        ]
        found = {each.server.name: Figures() for each in started}
        for _ in range(arguments.rounds):
            for rows in _ROWS:
                for each in started:
                    figures = found[each.server.name]
                    per_second, per_cpu_second = _load(each, rows, arguments.seconds, scratch)
                    figures.per_cpu_second[rows].append(per_cpu_second)
                    if rows == 1:
                        figures.per_second.append(per_second)
        for each in started:
            figures = found[each.server.name]
            for rate in (_GENTLE_RATE, arguments.rate):
                if statistics.median(figures.per_second) > rate:
                    figures.p99[rate] = _latency(each, rate, scratch)
            figures.megabytes = megabytes(each.process)
        _report(started, found, arguments.rate)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rate", type=float, default=5_000.0)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "mlops_assets" / "benchmarks")
    parser.add_argument("--only", nargs="*", choices=["mlflow", "litserve", "mlserver"])
    return parser.parse_args()


def _servers(arguments: argparse.Namespace, scratch: Path) -> list[Server]:
    peers: dict[str, Callable[[Path], Server]] = {
        "mlflow": servers.mlflow,
        "litserve": servers.litserve,
        "mlserver": servers.mlserver,
    }
    made = []
    for name, peer in peers.items():
        if arguments.only is None or name in arguments.only:
            try:
                made.append(peer(arguments.cache.resolve()))
            except NotInstalled as error:
                print(f"{name} is left out, it cannot be installed here: {error}")
    return [servers.gateway(scratch), servers.echo(), servers.onnx(scratch), *made]


def _load(running: Running, rows: int, seconds: int, scratch: Path) -> tuple[float, float]:
    """Return answers per second, and per second of the server's CPU time."""
    (scratch / "body").write_bytes(running.server.body(rows))
    script = scratch / "post.lua"
    script.write_text(
        'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
        f'local file = io.open("{scratch / "body"}")\nwrk.body = file:read("*a")\nfile:close()\n'
    )
    asked = ["-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s", "-s", str(script), running.url]
    before = cpu_seconds(running.process)
    said = subprocess.run(["wrk", *asked], capture_output=True, text=True, check=True).stdout
    used = cpu_seconds(running.process) - before
    answered = re.search(r"(\d+) requests in", said)
    if answered is None or "Non-2xx" in said:
        raise SystemExit(f"{running.server.name} refuses some requests of {rows} rows:\n{said}")
    return int(answered[1]) / seconds, int(answered[1]) / used


def _latency(running: Running, rate: float, scratch: Path) -> float:
    """Return the 99th percentile in milliseconds at a fixed rate of single rows."""
    body = scratch / "body"
    body.write_bytes(running.server.body(1))
    asked = [running.url, str(body), str(rate), str(_LATENCY_SECONDS)]
    loop = [sys.executable, str(Path(__file__).with_name("open_loop.py")), *asked]
    found = json.loads(subprocess.run(loop, capture_output=True, text=True, check=True).stdout)
    return (
        float(found["p99"]) if found["answered"] == found["asked"] and not found["refused"] else float("inf")
    )


def _report(started: list[Running], found: dict[str, Figures], rate: float) -> None:
    echo = found["limit: echo"]
    mlflow = found.get("mlflow models serve")
    print(f"{'requests per CPU second':20}   1 row  × mlflow   of echo   100 rows  × mlflow", end="")
    print(f"   p99 at {_GENTLE_RATE:.0f}/s  at {rate:.0f}/s     PSS   ready")
    for each in started:
        figures = found[each.server.name]
        times = [f"{figures.typical(n) / mlflow.typical(n):.1f}" if mlflow else "-" for n in _ROWS]
        p99 = [f"{figures.p99[r]:.2f} ms" if r in figures.p99 else "-" for r in (_GENTLE_RATE, rate)]
        print(
            f"{each.server.name:20} {figures.typical(1):10,.0f} {times[0]:>9} "
            f"{figures.typical(1) / echo.typical(1):9.1%} {figures.typical(100):10,.0f} {times[1]:>9} "
            f"{p99[0]:>14} {p99[1]:>11} {figures.megabytes:4.0f} MB {each.seconds:5.1f} s"
        )


if __name__ == "__main__":
    main()
