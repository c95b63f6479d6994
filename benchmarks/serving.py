"""What a prediction over HTTP costs, beside other servers and beside what is possible at all.

    python benchmarks/serving.py [PART ...] [--rounds N] [--seconds N] [--rate N] [--cache FOLDER]

    throughput  one row and 100 a request, beside `mlflow models serve`, LitServe, MLServer, an echo and ONNX
    rate        latency at a fixed rate (5,000 a second), with one worker, beside an echo, also one that works
    native      a model without ONNX, which takes text, beside `mlflow models serve`
    fleet       300 models in one gateway beside one model in one gateway

The model is gradient boosting on 30 features. Ours does all that it can be asked to do for a request: callers
are known by their key, values are checked and held against ranges and the training's, a rollout sends a
quarter to a challenger and asks the other arm unseen, everything is in a durable log and counted. The limits
are two applications on uvicorn with uvloop and httptools: one echoes the request and one does nothing but
predict with ONNX Runtime. Each server has one worker and one thread for numerics. The other servers do not
install beside our pins: each has an environment of its own below the cache, made at the first run with plain
`pip install`; where that fails it is said, and the server is left out.

Throughput is the median over interleaved rounds of requests per second of CPU time of the server's whole
process tree, under wrk with 64 connections. Latencies are from an open loop (benchmarks/open_loop.py), which
spins: for these, two cores are needed that nothing else uses. Figures stand beside what is aimed at.
"""

import argparse
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import gateways
import servers
from loads import p99_milliseconds, per_cpu_second
from process_tree import megabytes
from servers import NotInstalled, Running, Server

_MODELS = 300
_FLEET_RATE = 500.0


def main() -> None:
    arguments = _arguments()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk makes the load and is not on the path; install it, as with apt-get install wrk")
    for part in arguments.parts or _PARTS:
        with tempfile.TemporaryDirectory() as folder:
            print(f"\n{part}", flush=True)
            _PARTS[part](arguments, Path(folder))


def _throughput(arguments: argparse.Namespace, scratch: Path) -> None:
    cache = arguments.cache.resolve()
    peers = _installed(
        *(partial(peer, cache) for peer in (servers.mlflow, servers.litserve, servers.mlserver))
    )
    ours, limits = gateways.every_feature(scratch), (servers.echo(), servers.onnx(scratch))
    with _running([ours, *limits, *peers], scratch) as started:
        one, hundred = (
            per_cpu_second(started, rows, arguments.rounds, arguments.seconds, scratch) for rows in (1, 100)
        )
        print(f"{'requests per CPU second':24} {'1 row':>10} {'100 rows':>10} {'PSS':>9} {'ready':>8}")
        for each in started:
            name, memory = each.server.name, megabytes(each.process)
            print(
                f"{name:24} {one[name]:10,.0f} {hundred[name]:10,.0f} {memory:6.0f} MB {each.seconds:6.1f} s"
            )
        _tell_unasked(started[0])
    _against("1 row, × mlflow", one, ours, "mlflow models serve", least=100.0)
    _against("1 row, of the echo", one, ours, "limit: echo", least=0.4)
    _against("100 rows, × mlflow", hundred, ours, "mlflow models serve", least=15.0)


def _rate(arguments: argparse.Namespace, scratch: Path) -> None:
    limits = servers.echo(), servers.echo_and_work()
    with _running([gateways.every_feature(scratch), *limits], scratch) as started:
        p99: dict[str, list[float]] = {each.server.name: [] for each in started}
        for _ in range(arguments.rounds):
            for each in started:
                p99[each.server.name].append(p99_milliseconds(each, arguments.rate, scratch))
        _tell_unasked(started[0])
    for name, found in p99.items():
        every = " ".join(f"{figure:.2f}" for figure in found)
        print(f"{name:24} p99 at {arguments.rate:,.0f} a second: {statistics.median(found):.2f} ms ({every})")
    print("aim: at most 3 ms; the echoes' is what the machine itself makes of it")


def _native(arguments: argparse.Namespace, scratch: Path) -> None:
    peer = partial(servers.mlflow, arguments.cache.resolve(), "text_mlflow", servers.split_texts)
    ours = gateways.without_onnx(scratch)
    with _running([ours, *_installed(peer)], scratch) as started:
        found = per_cpu_second(started, 1, arguments.rounds, arguments.seconds, scratch)
    for name, figure in found.items():
        print(f"{name:24} {figure:10,.0f} requests per CPU second")
    _against("1 row, × mlflow", found, ours, "mlflow models serve", least=40.0)


def _fleet(arguments: argparse.Namespace, scratch: Path) -> None:
    with _running([gateways.many(scratch, models) for models in (1, _MODELS)], scratch) as (one, all_of_them):
        gateways.wait_until_loaded(all_of_them, _MODELS)
        p99: dict[str, list[float]] = {"one": [], "all": []}
        for _ in range(arguments.rounds):
            p99["one"].append(p99_milliseconds(one, _FLEET_RATE, scratch))
            paths = [f"/models/model_{number}/invocations" for number in range(_MODELS)]
            p99["all"].append(p99_milliseconds(all_of_them, _FLEET_RATE, scratch, paths))
        memory = (megabytes(all_of_them.process) - megabytes(one.process)) / (_MODELS - 1)
    of_one, of_all = (statistics.median(figures) for figures in p99.values())
    print(f"p99 at {_FLEET_RATE:.0f} a second: {of_one:.2f} ms of one model, {of_all:.2f} ms of {_MODELS}")
    print(f"{of_all / of_one:.2f} × that of one model; aim: at most 1.5")
    print(f"{memory:.2f} MB a model more")


_PARTS: dict[str, Callable[[argparse.Namespace, Path], None]] = {
    "throughput": _throughput,
    "rate": _rate,
    "native": _native,
    "fleet": _fleet,
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", choices=[[], *_PARTS])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rate", type=float, default=5_000.0)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "mlops_assets" / "benchmarks")
    return parser.parse_args()


def _installed(*peers: Callable[[], Server]) -> Iterator[Server]:
    for peer in peers:
        try:
            yield peer()
        except NotInstalled as error:
            print(f"a server is left out, it cannot be installed here: {error}")


@contextmanager
def _running(asked_for: Sequence[Server], scratch: Path) -> Iterator[list[Running]]:
    with ExitStack() as ending:
        logs = [scratch / f"{place}.log" for place in range(len(asked_for))]
        yield [
            ending.enter_context(servers.running(server, log))
            for server, log in zip(asked_for, logs, strict=True)
        ]


def _tell_unasked(ours: Running) -> None:
    dropped, requests = gateways.unasked(ours)
    print(f"the shadow was not asked {dropped:,} of {requests:,} requests, because too many waited")


def _against(what: str, found: dict[str, float], ours: Server, peer: str, *, least: float) -> None:
    if peer in found:
        print(f"{what}: {found[ours.name] / found[peer]:.2f}; aim: at least {least}")


if __name__ == "__main__":
    main()
