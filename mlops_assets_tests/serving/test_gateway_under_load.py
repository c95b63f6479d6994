"""What clients see while versions change, the gateway is stopped, the disk fills, or all come at once."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import anyio
import httpx
import orjson
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from mlops_assets.errors import EndpointError
from mlops_assets.gateway_client import GatewayClient
from mlops_assets.gateway_process import running_gateway
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.serving.bodies import Intake
from mlops_assets.serving.inference import answer_each
from mlops_assets.specs.data_spec import Column
from mlops_assets_tests.serving.clients import PATIENCE, Asking, process_on

ASK = {"instances": [{"x": 1.0}, {"x": 2.0}]}


class Clients(Asking):
    """Clients that note every answer of a model, and stop at the first failure."""

    def __init__(self, url: str, count: int) -> None:
        super().__init__(url, count)
        self.answers: list[dict[str, Any]] = []
        self.enough = threading.Event()

    def _ask_on(self) -> None:
        with self._connection() as http:
            while not self._stop.is_set():
                try:
                    answer = http.post("/models/m/invocations", json=ASK)
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                    return
                if answer.status_code != 200:
                    self.failures.append(answer.text)
                    return
                self.answers.append(answer.json())
                if len(self.answers) >= 100:
                    self.enough.set()


def _until(reached: Callable[[], bool]) -> None:
    """Ask again and again until it is so; that it ever will be is what is tested, not when."""
    given_up = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < given_up


def _answers(url: str) -> bool:
    """Return whether anything takes a connection."""
    address = urlparse(url)
    try:
        socket.create_connection((address.hostname, address.port), timeout=5).close()
    except OSError:
        return False
    return True


def test_no_request_fails_or_is_mixed_while_aliases_move(own_fleet: Any, start_gateway_on: Any) -> None:
    own_fleet.promote("m", "1")
    with start_gateway_on(own_fleet) as served, Clients(served.url, 4) as clients:
        watch = GatewayClient(served.url)
        for turn in range(24):
            version = str(turn % 3 + 1)
            own_fleet.promote("m", version)
            watch.wait_for_champion("m", version, timeout=PATIENCE)
        watch.close()
    assert clients.failures == []
    for answer in clients.answers:
        assert answer["predictions"] == [float(answer["version"])] * 2
    assert Counter(a["version"] for a in clients.answers).keys() == {"1", "2", "3"}


@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_acknowledged_survives_a_kill(own_fleet: Any, workers: int) -> None:
    own_fleet.promote("m", "1")
    with process_on(own_fleet, f"--workers={workers}") as (process, url), Clients(url, 4) as clients:
        assert clients.enough.wait(PATIENCE)
        process.kill()
        process.wait()
        _until(lambda: not _answers(url))  # workers do not outlive their supervisor
    ids = [id_ for answer in clients.answers for id_ in answer["prediction_ids"]]
    assert len(ids) >= 200
    log = PredictionLog(own_fleet.home.prediction_log)
    logged = log.window("m", datetime.min, datetime.max, datetime.max)
    assert set(ids) <= set(logged["prediction_id"])


GATED = '''
def compute(rows):
    """Wait for somebody to open the gate; say much about it."""
    print("noise " * 20_000)
    if (rows["x"] > 100).any():
        with open({gate!r}) as gate:
            gate.read()
    return rows
'''


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    path = tmp_path / "gate"
    os.mkfifo(path)
    return path


@pytest.fixture
def gated_fleet(own_fleet: Any, make_training: Any, gate: Path) -> Any:
    """A model that answers a large ``x`` only when the gate opens, and that prints a lot."""
    made = own_fleet.add(
        make_training(
            model="gated",
            task="regression",
            frame=pd.DataFrame({"x": [0.0, 1.0, 2.0], "y": [0.0, 1.0, 2.0]}),
            inputs=(Column(name="x"),),
            target="y",
            estimator=LinearRegression(),
            source=GATED.format(gate=str(gate)),
        )
    )
    own_fleet.promote("gated", made.version)
    return own_fleet


@pytest.mark.parametrize(
    ("number", "workers"), [(signal.SIGTERM, 1), (signal.SIGINT, 1), (signal.SIGTERM, 2)]
)
def test_a_stopped_gateway_finishes_what_it_is_answering(
    gated_fleet: Any, gate: Path, number: signal.Signals, workers: int
) -> None:
    answers: list[httpx.Response] = []
    with process_on(gated_fleet, f"--workers={workers}") as (process, url):
        assert gated_fleet.home.gateway_address.read_text() == url

        def ask() -> None:
            body = {"instances": [{"x": 1000.0}]}
            answers.append(httpx.post(f"{url}/models/gated/invocations", json=body, timeout=PATIENCE))

        asking = threading.Thread(target=ask)
        asking.start()
        with gate.open("w"):  # blocks until the model waits at the gate
            process.send_signal(number)
            _until(lambda: not _answers(url))
            assert process.poll() is None
        asking.join(PATIENCE)
        assert process.wait(PATIENCE) == 0
    assert answers[0].status_code == 200
    assert not gated_fleet.home.gateway_address.exists()
    log = PredictionLog(gated_fleet.home.prediction_log)
    assert log.find(answers[0].json()["prediction_ids"][0]) is not None


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stopped_gateway_refuses_nothing_on_connections_that_were_kept(
    own_fleet: Any, workers: int
) -> None:
    own_fleet.promote("m", "1")
    ends: list[str] = []

    def ask_until_told_to_go(url: str, begun: threading.Semaphore) -> None:
        connection = http.client.HTTPConnection(urlparse(url).netloc, timeout=PATIENCE)
        answered = 0
        try:
            while True:
                connection.request("POST", "/models/m/invocations", orjson.dumps({"instances": [[1.0]]}))
                answer = connection.getresponse()
                assert answer.status == 200, answer.read()
                answer.read()
                answered += 1
                if answered == 20:
                    begun.release()
                if answer.getheader("connection") == "close":
                    ends.append("told")
                    return
        except OSError as error:
            ends.append(repr(error))

    with process_on(own_fleet, f"--workers={workers}") as (process, url):
        begun = threading.Semaphore(0)
        clients = [threading.Thread(target=ask_until_told_to_go, args=[url, begun]) for _ in range(8)]
        for client in clients:
            client.start()
        for _ in clients:
            assert begun.acquire(timeout=PATIENCE)
        process.terminate()
        for client in clients:
            client.join(PATIENCE)
        assert process.wait(PATIENCE) == 0
    assert ends == ["told"] * 8


async def _post(inside: Any, content: Any = None) -> httpx.Response:
    transport = httpx.ASGITransport(inside.gateway.app())
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        return await http.post("/models/m/invocations", content=content or orjson.dumps(ASK))


def test_overload_is_a_503_and_passes(
    own_fleet: Any, gateway_in_process: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, release, answers = threading.Semaphore(0), threading.Event(), []

    def slow_answer(*arguments: Any, **options: Any) -> Any:
        begun.release()
        assert release.wait(PATIENCE)
        return answer_each(*arguments, **options)

    monkeypatch.setattr("mlops_assets.serving.arms.answer_each", slow_answer)
    own_fleet.promote("m", "1")

    async def ask(inside: Any) -> None:
        answers.append(await _post(inside))

    async def scenario(inside: Any) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(ask, inside)
            for _ in range(3):
                assert await anyio.to_thread.run_sync(lambda: begun.acquire(timeout=PATIENCE))
            refused = await _post(inside)
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "1"
            assert refused.json() == {
                "error": "3 requests are being answered; try again in a second",
                "model": "m",
                "version": "1",
            }
            release.set()
        assert [answer.status_code for answer in answers] == [200] * 3
        assert (await _post(inside)).status_code == 200

    with gateway_in_process(own_fleet, most_requests=3) as inside:
        inside.settle()
        anyio.run(scenario, inside)
        ever = datetime.min, datetime.max
        statuses = inside.log.failures("m", *ever)[1]
        assert statuses.tolist() == [], "overload is no error of the model, and not made worse by a log"


class SlowClients:
    """Clients that send the first part of a request and then, until they are let go, nothing."""

    def __init__(self, inside: Any, first: bytes) -> None:
        self._inside, self._first = inside, first
        self._go_on, self._sent = anyio.Event(), anyio.Semaphore(0)
        self.answers: list[httpx.Response] = []

    async def _body(self) -> AsyncIterator[bytes]:
        yield self._first
        self._sent.release()
        await self._go_on.wait()
        yield orjson.dumps(ASK)

    async def _ask(self) -> None:
        self.answers.append(await _post(self._inside, self._body()))

    async def join(self, group: Any, count: int) -> None:
        """Let so many more of them begin, and wait until they have."""
        for _ in range(count):
            group.start_soon(self._ask)
        for _ in range(count):
            await self._sent.acquire()

    def go_on(self) -> None:
        self._go_on.set()


def test_who_is_slow_to_send_keeps_nobody_else_out(own_fleet: Any, gateway_in_process: Any) -> None:
    own_fleet.promote("m", "1")

    async def scenario(inside: Any) -> None:
        slow = SlowClients(inside, b" ")
        async with anyio.create_task_group() as group:
            await slow.join(group, 50)
            assert (await _post(inside)).status_code == 200
            slow.go_on()
        assert all(answer.status_code in (200, 503) for answer in slow.answers)
        assert len(slow.answers) == 50

    with gateway_in_process(own_fleet, most_requests=2) as inside:
        inside.settle()
        anyio.run(scenario, inside)


def test_bodies_on_their_way_may_fill_no_more_memory_than_was_set(
    own_fleet: Any, gateway_in_process: Any
) -> None:
    own_fleet.promote("m", "1")

    async def scenario(inside: Any) -> None:
        slow = SlowClients(inside, b" " * 500)
        async with anyio.create_task_group() as group:
            await slow.join(group, 2)
            refused = await _post(inside, b" " * 500)
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "1"
            assert "too many large requests" in refused.json()["error"]
            slow.go_on()
        assert [answer.status_code for answer in slow.answers] == [200] * 2
        assert (await _post(inside)).status_code == 200

    with gateway_in_process(own_fleet, intake=Intake(most_bytes=1_200)) as inside:
        inside.settle()
        anyio.run(scenario, inside)


def test_a_body_that_does_not_arrive_is_a_408(
    own_fleet: Any, gateway_in_process: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_fleet.promote("m", "1")
    monkeypatch.setattr("mlops_assets.serving.bodies.BODY_SECONDS", 0)

    async def scenario(inside: Any) -> httpx.Response:
        async def stuck_body() -> AsyncIterator[bytes]:
            yield b"{"
            await anyio.sleep_forever()

        transport = httpx.ASGITransport(inside.gateway.app())
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
            return await http.post("/models/m/invocations", content=stuck_body())

    with gateway_in_process(own_fleet) as inside:
        inside.settle()
        answer = anyio.run(scenario, inside)
    assert answer.status_code == 408
    assert answer.json()["error"] == "the body did not arrive within 0 seconds"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if (
        mount is None
        or subprocess.run(
            [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True
        ).returncode
    ):
        pytest.skip("mounting a small file system is not permitted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_a_503_until_there_is_room(
    fleet: Any, gateway_in_process: Any, small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ask = {
        "instances": [{"device": "x" * 2000, "visited_at": "2024-01-01", "member": 1, "pages": 1, "spent": 1}]
    }
    acknowledged = []
    with gateway_in_process(fleet, small_disk / "log") as inside:
        inside.settle()
        filler = small_disk / "filler"
        filler.write_bytes(b"x" * (os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize))
        while (answer := inside.client.post("/models/visits/invocations", json=ask)).status_code == 200:
            acknowledged += answer.json()["prediction_ids"]
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        error = answer.json()
        assert (error["model"], error["version"]) == ("visits", "1")
        assert "nothing is answered that cannot be logged" in error["error"]
        assert "full" in error["error"]
        assert "incident log_unwritable: cannot write the prediction log" in caplog.text
        ready = inside.client.get("/v2/health/ready").json()
        assert [p["kind"] for p in ready["problems"]] == ["log_unwritable"]
        assert (
            'mlops_gateway_problems{kind="log_unwritable",model=""} 1.0' in inside.client.get("/metrics").text
        )
        refused = inside.client.post("/models/visits/invocations", json={})
        assert refused.status_code == 400, "what is wrong with a request can be told without a log"
        labels = {"labels": [{"prediction_id": "x", "label": 1}]}
        assert inside.client.post("/v2/models/visits/feedback", json=labels).status_code in (200, 503)
        filler.unlink()
        inside.recorder.writer.sync()
        answer = inside.client.post("/models/visits/invocations", json=ask)
        assert answer.status_code == 200
        acknowledged += answer.json()["prediction_ids"]
        assert inside.client.get("/v2/health/ready").json()["problems"] == []
        assert [id_ for id_ in acknowledged if inside.log.find(id_) is None] == []


def test_a_log_that_was_closed_under_it_is_a_503(fleet: Any, gateway_in_process: Any, tmp_path: Path) -> None:
    with gateway_in_process(fleet, tmp_path / "log") as inside:
        inside.settle()
        inside.recorder.close()
        row = {"device": "tv", "visited_at": "2024-01-01", "member": 1, "pages": 1, "spent": 1}
        answer = inside.client.post("/models/visits/invocations", json={"instances": [row]})
        assert answer.status_code == 503


def test_a_setting_that_is_none_is_one_line(own_fleet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_WHEN_LOG_FAILS", "never")
    words = "exit code 2.*MLOPS_WHEN_LOG_FAILS must be 'refuse' or 'serve', not 'never'"
    with pytest.raises(EndpointError, match=words), running_gateway(own_fleet.home):
        pass


def test_a_taken_port_is_one_line(own_fleet: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = f"exit code 2.*port {port} is taken on 127.0.0.1"
        with pytest.raises(EndpointError, match=words), running_gateway(own_fleet.home, port):
            pass
    said = (own_fleet.home.root / "gateway.log").read_text().splitlines()
    assert len(said) == 1
    assert said[0].endswith("is taken on 127.0.0.1; stop what holds it or choose another with --port")


def test_serve_says_in_one_line_that_its_port_is_taken(own_fleet: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "-m", "mlops_assets.cli.main", "serve", "--port", str(port)],
            env=os.environ | own_fleet.home.environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr == (
        f"mlops-assets: port {port} is taken on 127.0.0.1; stop what holds it or choose another with --port\n"
    )


def test_a_gateway_ends_with_the_process_that_wanted_it(own_fleet: Any) -> None:
    own_fleet.promote("m", "1")
    code = (
        "from mlops_assets.gateway_process import running_gateway\n"
        "from mlops_assets.home import Home\n"
        "with running_gateway(Home.from_environment()) as client:\n"
        "    print(client.url, flush=True)\n"
        "    input()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | own_fleet.home.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    with parent.stdin, parent.stdout:
        url = parent.stdout.readline().strip()
        assert _answers(url)
        parent.kill()
        parent.wait()
    _until(lambda: not _answers(url))
    _until(lambda: not own_fleet.home.gateway_address.exists())
