"""What clients notice of versions that change under them.

    python benchmarks/swaps.py [--swaps N] [--rate N] [--only WAY ...]

A model goes from version 1 to version 2 and back, 100 times each by default, while an open loop asks at a
fixed rate (benchmarks/open_loop.py). Version 1 answers 1 and version 2 answers 2, so an answer that names a
version which did not compute it shows. Counted are answers that fail and that are mixed, and answers by an
older version to requests that were sent after a newer one had answered. Timed is from the decision to the
last answer by the version before. A decision is, in process, the call that has another table answer; through
the registry, the call that moves the alias. Both with one process and with two workers. Limits: nothing
fails, is mixed or goes back; the 99th percentile is at most 50 ms in process and 1 s through the registry.
The loop spins, which takes a core: run nothing beside it.
"""

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from bisect import bisect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import open_loop

from mlops_assets.gateway_client import GatewayClient
from mlops_assets.gateway_process import start_gateway, stop
from mlops_assets.home import Home
from mlops_assets.registry.port import CHAMPION
from mlops_assets.serving.kept import Kept
from mlops_assets.serving.meters import Meters
from mlops_assets.serving.proving import Prover
from mlops_assets.serving.routing import Router
from mlops_assets.serving.settings import Settings
from mlops_assets.serving.supervisor import Supervisor
from mlops_assets.serving.table import Table
from mlops_assets.specs.policy_file import load_policy
from mlops_assets_tests.fleets import Fleet, Listening, constant, in_process

_ASKED_FOR = {"paths": ["/models/m/invocations"], "headers": {}, "body": '{"instances":[[1.0]]}'}
_PAUSE_SECONDS = 0.05
_PATIENCE_SECONDS = 60.0
IN_PROCESS_MS, REGISTRY_MS = 50.0, 1_000.0

Swap = Callable[[str], float]
"""Has a version answer; returns when that was decided, by ``time.monotonic()``."""


def main() -> None:
    """Measure and print; exit with 1 if a limit is not kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--swaps", type=int, default=100)
    parser.add_argument("--rate", type=float, default=3_000.0)
    parser.add_argument("--only", nargs="*", choices=list(_WAYS), default=list(_WAYS))
    parser.add_argument("--load", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.load is not None:
        return _load(*arguments.load, arguments.rate)
    good = True
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.only:
            way, limit = _WAYS[name]
            fleet = _fleet(Path(folder) / name.replace(" ", "_"))
            with way(fleet) as (url, swap):
                good &= _measure(name, url, swap, arguments.swaps, arguments.rate, limit)
    sys.exit(not good)


def _fleet(root: Path) -> Fleet:
    fleet = Fleet(Home(root))
    for value in (1.0, 2.0):
        fleet.add(constant("m", value))
    fleet.hand_over("m", "2")
    fleet.hand_over("m", "1")
    return fleet


@contextmanager
def _in_one_process(fleet: Fleet) -> Iterator[tuple[str, Swap]]:
    """A gateway in this process, whose table is exchanged."""
    with in_process(fleet) as inside:
        inside.settle()
        tables = _tables(inside.router)

        def swap(version: str) -> float:
            decided = time.monotonic()
            inside.router.table = tables[version]
            return decided

        with Listening(inside) as listening:
            yield listening.url, swap


@contextmanager
def _in_two_workers(fleet: Fleet) -> Iterator[tuple[str, Swap]]:
    """Two workers of a supervisor in this process, which publishes tables."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    supervisor = Supervisor(fleet.home, Settings("127.0.0.1", workers=2), listener, Meters())
    fleet.home.prepare()
    kept = Kept(fleet.home.kept)
    prover = Prover(fleet.signer.verifier, load_policy)
    router = Router(fleet.registry, prover, kept=kept, load_with=supervisor.load, publish=supervisor.publish)
    supervisor.start()
    try:
        while not (router.looked.is_set() and supervisor.is_complete):
            router.follow()
            time.sleep(0.05)
        tables = _tables(router)

        def swap(version: str) -> float:
            decided = time.monotonic()
            supervisor.publish(tables[version])
            return decided

        yield "http://{}:{}".format(*listener.getsockname()), swap
    finally:
        listener.close()
        supervisor.stop()


def _through_the_registry(workers: int) -> Callable[[Fleet], Any]:
    @contextmanager
    def running(fleet: Fleet) -> Iterator[tuple[str, Swap]]:
        with ExitStack() as ending:
            log = ending.enter_context((fleet.home.root / "gateway.log").open("ab"))
            process = start_gateway(fleet.home, 0, log, f"--workers={workers}")
            ending.callback(stop, process)
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            watch = GatewayClient(url)
            ending.callback(watch.close)

            def swap(version: str) -> float:
                fleet.release("m", version)
                decided = time.monotonic()
                fleet.registry.set_alias("m", CHAMPION, version)
                watch.wait_for_champion("m", version, timeout=_PATIENCE_SECONDS)
                return decided

            yield url, swap

    return running


def _tables(router: Router) -> dict[str, Table]:
    """Return tables by which version 1 answers, and version 2."""
    route = router.table.routes["m"]
    return {
        version: replace(router.table, routes=MappingProxyType({"m": replace(route, champion=version)}))
        for version in ("1", "2")
    }


_WAYS = {
    "in process, one": (_in_one_process, IN_PROCESS_MS),
    "in process, two workers": (_in_two_workers, IN_PROCESS_MS),
    "registry, one": (_through_the_registry(1), REGISTRY_MS),
    "registry, two workers": (_through_the_registry(2), REGISTRY_MS),
}


def _load(url: str, file: str, rate: float) -> None:
    """Ask until standard input ends; write each answer down."""
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    found = []
    for answer in open_loop.answers(url, _ASKED_FOR, rate, _PATIENCE_SECONDS * 60):
        if not found:
            print("begun", flush=True)
        said = json.loads(answer.content) if answer.status == 200 else {}
        mixed = said.get("predictions") != [float(said.get("version", "nan"))]
        found.append((answer.asked, answer.came, said.get("version"), answer.status == 200, mixed))
        if ended.is_set():
            break
    Path(file).write_text(json.dumps(found))


def _measure(name: str, url: str, swap: Swap, swaps: int, rate: float, limit: float) -> bool:
    """Swap under load and print what came of it; return whether the limits are kept."""
    with tempfile.NamedTemporaryFile() as noted:
        command = [sys.executable, __file__, "--rate", str(rate), "--load", url, noted.name]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
            assert load.stdout is not None
            assert load.stdout.readline() == "begun\n"
            decisions = [(swap("1"), "1")]
            for _ in range(swaps):
                for version in ("2", "1"):
                    time.sleep(_PAUSE_SECONDS)
                    decisions.append((swap(version), version))
            time.sleep(_PAUSE_SECONDS)
            load.communicate()
        answers = json.loads(Path(noted.name).read_text())
    failed = sum(not answered for *_, answered, _ in answers)
    mixed = sum(answered and wrong for *_, answered, wrong in answers)
    swapped = [*_after(decisions, answers)][1:]  # the first changes nothing
    late, back = [ms for ms, _ in swapped], sum(gone for _, gone in swapped)
    p50, p99 = statistics.median(late), sorted(late)[int(0.99 * len(late))]
    seconds = answers[-1][1] - answers[0][1]
    print(
        f"{name:24} {len(late)} swaps, {len(answers)} answers at {len(answers) / seconds:,.0f}/s: "
        f"{failed} failed, {mixed} mixed, {back} gone back; "
        f"to the last old answer p50 {p50:.1f} ms, p99 {p99:.1f} ms (limit {limit:.0f} ms)",
        flush=True,
    )
    return not (failed or mixed or back) and p99 <= limit


def _after(decisions: list[tuple[float, str]], answers: list[Any]) -> Iterator[tuple[float, int]]:
    """Yield of each swap the milliseconds to the last old answer, and how many went back to the old version.

    An answer went back if it was asked for after the new version had answered.
    """
    arrivals = [came for _, came, *_ in answers]
    ends = [at for at, _ in decisions[1:]] + [float("inf")]
    for (decided, version), end in zip(decisions, ends, strict=True):
        window = answers[bisect(arrivals, decided) : bisect(arrivals, end)]
        old = [(asked, came) for asked, came, by, *_ in window if by not in (version, None)]
        # Not what was asked before: it may be late, and by the same version when that served the last time.
        new = min(
            (came for asked, came, by, *_ in window if by == version and asked > decided),
            default=float("inf"),
        )
        last = max((came for _, came in old), default=decided)
        yield 1000 * (last - decided), sum(asked > new for asked, _ in old)


if __name__ == "__main__":
    main()
