"""Several workers on one port: one view of the routes, whatever becomes of one of them."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from mlops_assets.gateway_client import GatewayClient
from mlops_assets.gateway_process import stop
from mlops_assets.specs.data_spec import Column
from mlops_assets_tests.serving.clients import PATIENCE, Asking, process_on

ASK = {"instances": [[1.0]]}


@dataclass(frozen=True)
class Workers:
    """A gateway of two worker processes."""

    fleet: Any
    url: str
    process: Any

    @property
    def processes(self) -> set[int]:
        """The worker processes that live."""
        threads = Path(f"/proc/{self.process.pid}/task")
        return {
            int(child)
            for thread in threads.iterdir()
            for child in _read(thread / "children").split()
            if b"serving.worker" in _read(Path("/proc") / child.decode() / "cmdline")
        }

    def ready(self) -> Any:
        """Return what one of them tells of all, asked on a connection of its own."""
        return httpx.get(f"{self.url}/v2/health/ready", timeout=PATIENCE).json()

    def problems(self) -> list[str]:
        return [problem["kind"] for problem in self.ready()["problems"]]

    def until(self, reached: Callable[[], bool]) -> None:
        given_up = time.monotonic() + PATIENCE
        while not reached():
            assert time.monotonic() < given_up, (self.fleet.home.root / "gateway.log").read_text()[-3000:]


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory, copy_fleet: Any) -> Iterator[Workers]:
    """One gateway for all tests here; each leaves the model ``m`` with a champion."""
    fleet = copy_fleet(tmp_path_factory.mktemp("workers"))
    fleet.promote("m", "1")
    with process_on(fleet, "--workers", "2") as (process, url):
        yield Workers(fleet, url, process)
        stop(process)


@dataclass(frozen=True)
class Seen:
    """An answer, and when it was asked for and came."""

    asked: float
    came: float
    version: str
    prediction: float


class Clients(Asking):
    """Clients that note every answer and when it came; who is cut off asks anew."""

    def __init__(self, url: str, count: int = 6) -> None:
        super().__init__(url, count)
        self.seen: list[Seen] = []

    def _ask_on(self) -> None:
        while not self._stop.is_set():
            with self._connection() as http:
                try:
                    self._ask(http)
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))

    def _ask(self, http: httpx.Client) -> None:
        while not self._stop.is_set():
            asked = time.monotonic()
            answer = http.post("/models/m/invocations", json=ASK)
            came = time.monotonic()
            if answer.status_code == 200:
                said = answer.json()
                self.seen.append(Seen(asked, came, said["version"], said["predictions"][0]))
            else:
                self.failures.append(answer.text)


def test_no_client_sees_an_older_version_after_a_newer_one_whichever_worker_answers(workers: Workers) -> None:
    watch, order = GatewayClient(workers.url), [*"1231312312"]
    begun, seen_by_watch = [], []
    with Clients(workers.url) as clients:
        for version in order:
            begun.append(time.monotonic())
            workers.fleet.promote("m", version)
            watch.wait_for_champion("m", version, timeout=PATIENCE)
            seen_by_watch.append(time.monotonic())
    watch.close()
    assert clients.failures == []
    assert all(seen.prediction == float(seen.version) for seen in clients.seen)

    def places(seen: Seen) -> list[int]:
        """Return after which promotions it is right: begun by its end, and not over at its beginning."""
        over = [*seen_by_watch[1:], float("inf")]
        return [
            n
            for n, version in enumerate(order)
            if version == seen.version and begun[n] <= seen.came and seen.asked <= over[n]
        ]

    newest, right = 0, [(seen, places(seen)) for seen in clients.seen if seen.asked > seen_by_watch[0]]
    came, asked = (
        [(seen.came, found) for seen, found in right],
        [(seen.asked, found) for seen, found in right],
    )
    for _, is_asked, found in sorted([*((t, False, f) for t, f in came), *((t, True, f) for t, f in asked)]):
        assert found
        if is_asked:
            assert max(found) >= newest
        else:
            newest = max(newest, min(found))
    assert newest == len(order) - 1


def test_every_worker_tells_of_all(workers: Workers) -> None:
    def rows(said: httpx.Response) -> dict[str, int]:
        (model,) = (m for m in said.json()["models"] if m["model"] == "m")
        return {version["version"]: version["rows"] for version in model["versions"]}

    accept = {"accept": "application/json"}
    before = rows(httpx.get(f"{workers.url}/fleet", headers=accept))
    with Clients(workers.url) as clients:
        workers.until(lambda: len(clients.seen) > 100)
    assert clients.failures == []
    asked = {v: sum(seen.version == v for seen in clients.seen) for v in before}
    connections = [httpx.Client(base_url=workers.url, trust_env=False) for _ in range(8)]
    told = [rows(http.get("/fleet", headers=accept)) for http in connections]
    counted = {http.get("/metrics").text for http in connections}
    for http in connections:
        http.close()
    assert all(found == {v: before[v] + asked[v] for v in before} for found in told)
    assert len(counted) == 1


def test_a_worker_that_is_killed_takes_with_it_only_what_it_was_answering(workers: Workers) -> None:
    before = workers.processes
    with Clients(workers.url, 6) as clients:
        workers.until(lambda: len(clients.seen) > 100)
        os.kill(min(before), signal.SIGKILL)
        workers.until(lambda: "worker_ended" in workers.problems())
        workers.until(lambda: not workers.problems())
        then = len(clients.seen)
        workers.until(lambda: len(clients.seen) > then + 100)
    assert len(clients.failures) <= 6
    assert len(workers.processes) == 2
    assert max(before) in workers.processes
    ended = 'mlops_gateway_incidents_total{kind="worker_ended",model=""} 1.0'
    assert ended in httpx.get(f"{workers.url}/metrics").text


def test_a_worker_is_started_anew_although_the_registry_is_down(workers: Workers) -> None:
    database, before = workers.fleet.home.root / "mlflow.db", workers.processes
    database.rename(lost := database.with_suffix(".lost"))
    try:
        workers.until(lambda: workers.problems() == ["registry_unreachable"])
        for process in before:
            os.kill(process, signal.SIGKILL)
        workers.until(lambda: len(workers.processes - before) == 2)
        workers.until(lambda: workers.problems() == ["registry_unreachable"])
        version = workers.ready()["models"]["m"]["champion"]
        answer = httpx.post(f"{workers.url}/models/m/invocations", json=ASK)
        assert (answer.status_code, answer.json()["predictions"]) == (200, [float(version)])
    finally:
        lost.rename(database)
    workers.until(lambda: not workers.problems())


ONLY_IN_ONE = '''
import os


def compute(rows):
    """Fail in every process but the first, once armed."""
    first = {folder!r} + "/first"
    if os.path.exists({folder!r} + "/armed"):
        if not os.path.exists(first):
            open(first, "w").write(str(os.getpid()))
        if open(first).read() != str(os.getpid()):
            raise ValueError("not here")
    return rows
'''
DEADLY = '''
import os


def compute(rows):
    """End the process, once armed."""
    if os.path.exists({folder!r} + "/armed"):
        os._exit(3)
    return rows
'''


@pytest.fixture
def promote_armed(workers: Workers, make_training: Any, constant_model: Any, tmp_path: Path) -> Any:
    """Return what makes a model with a sound version 1, and promotes a version 2 with other features."""

    def promote(model: str, source: str) -> None:
        fleet, watch = workers.fleet, GatewayClient(workers.url)
        fleet.promote(model, fleet.add(constant_model(model, 5.0)).version)
        watch.wait_for_champion(model, "1", timeout=PATIENCE)
        watch.close()
        made = fleet.add(
            make_training(
                model=model,
                task="regression",
                frame=pd.DataFrame({"x": [0.0, 1.0, 2.0], "y": [0.0, 1.0, 2.0]}),
                inputs=(Column(name="x"),),
                target="y",
                estimator=LinearRegression(),
                source=source.format(folder=str(tmp_path)),
            )
        )
        (tmp_path / "armed").touch()
        fleet.promote(model, made.version)

    return promote


def test_what_one_worker_cannot_load_serves_in_none(workers: Workers, promote_armed: Any) -> None:
    promote_armed("picky", ONLY_IN_ONE)
    workers.until(lambda: workers.ready()["problems"] != [])
    (problem,) = workers.ready()["problems"]
    assert (problem["kind"], problem["model"], problem["version"]) == ("load_failed", "picky", "2")
    assert "not here" in problem["message"]
    answers = [httpx.post(f"{workers.url}/models/picky/invocations", json=ASK).json() for _ in range(8)]
    assert [answer["version"] for answer in answers] == ["1"] * 8
    workers.fleet.promote("picky", "1")
    workers.until(lambda: not workers.problems())


def test_a_version_that_ends_its_process_ends_one_worker_and_serves_in_none(
    workers: Workers, promote_armed: Any
) -> None:
    before = workers.processes
    with Clients(workers.url) as clients:
        promote_armed("deadly", DEADLY)
        workers.until(lambda: "load_failed" in workers.problems())
        workers.fleet.promote("deadly", "1")
        workers.until(lambda: not workers.problems())
    assert len(clients.failures) <= 6
    assert len(workers.processes & before) == 1
    assert httpx.post(f"{workers.url}/models/deadly/invocations", json=ASK).json()["version"] == "1"


def test_a_worker_that_hangs_holds_up_a_rollback_only_until_it_is_ended(workers: Workers) -> None:
    fleet, watch, before = workers.fleet, GatewayClient(workers.url), workers.processes
    for version in ("1", "2"):
        fleet.promote("m", version)
        watch.wait_for_champion("m", version, timeout=PATIENCE)
    hangs = max(before)
    os.kill(hangs, signal.SIGSTOP)
    fleet.promote("m", "1")
    workers.until(lambda: hangs not in workers.processes)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except (FileNotFoundError, ProcessLookupError):  # thread or process has ended meanwhile
        return b""
