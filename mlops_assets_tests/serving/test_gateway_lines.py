"""Requests to a model that takes its time: those that wait are predicted together, and answered apart."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import orjson
import pytest

from mlops_assets.serving.callers import EMBEDDED, Limits
from mlops_assets.serving.inference import answer_together
from mlops_assets_tests.fleets import Listening
from mlops_assets_tests.serving.wires import Wire, request, until

PATH = "/models/visits/invocations"
VISIT = {"device": "mobile", "visited_at": "2024-03-01T10:00", "member": True, "pages": 7, "spent": 1.5}


@pytest.fixture(scope="module")
def inside(gateway_in_process: Any, fleet: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with gateway_in_process(fleet, tmp_path_factory.mktemp("log")) as made:
        made.settle()
        yield made


class Waiting:
    """Requests that come while the first of them is held up, and how many were predicted at a time."""

    def __init__(self, listening: Listening) -> None:
        self._listening, self._go_on = listening, threading.Event()
        self.together: list[int] = []

    @property
    def in_line(self) -> int:
        """How many requests wait or are worked on."""
        return len(self._listening.inside.gateway._lines)

    def go_on(self) -> None:
        self._go_on.set()

    def answer(self, recorder: Any, resident: Any, batch: Any) -> Any:
        self.together.append(len(batch.requests))
        assert self._go_on.wait(30)
        return answer_together(recorder, resident, batch)

    def ask(self, *rows: dict[str, Any]) -> list[httpx.Response]:
        """Return the answers in the order of the requests."""
        with (
            httpx.Client(base_url=self._listening.url, trust_env=False) as http,
            ThreadPoolExecutor(len(rows)) as pool,
        ):
            asked = []
            for row in rows:
                content = orjson.dumps({"dataframe_records": [row]})
                asked.append(pool.submit(http.post, PATH, content=content))
                until(lambda: len(self.together) == 1)
            until(lambda: self.in_line + sum(each.done() for each in asked) == len(rows))
            self.go_on()
            return [each.result() for each in asked]


@pytest.fixture
def waiting(inside: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Waiting]:
    with Listening(inside) as listening:
        made = Waiting(listening)
        monkeypatch.setattr("mlops_assets.serving.inference.answer_together", made.answer)
        yield made


def test_those_who_wait_are_predicted_together(inside: Any, waiting: Waiting) -> None:
    rows = [VISIT | {"pages": pages} for pages in range(1, 9)]
    answers = [answer.json() for answer in waiting.ask(*rows)]

    assert waiting.together == [1, 7]
    for row, answer in zip(rows, answers, strict=True):
        alone = inside.client.post(PATH, json={"dataframe_records": [row]}).json()
        assert answer["predictions"] == pytest.approx(alone["predictions"])
        (logged,) = [inside.log.find(each) for each in answer["prediction_ids"]]
        assert (logged.inputs, logged.output) == (row, answer["predictions"][0])


def test_one_that_is_wrong_spoils_nothing_for_those_who_wait_with_it(waiting: Waiting) -> None:
    wrong = {
        "the model cannot take it": VISIT | {"spent": -1},
        "no number": VISIT | {"spent": "much"},
        "a column too many": VISIT | {"spend": 1.0},
    }
    first, *failed, last = waiting.ask(VISIT, *wrong.values(), VISIT)

    assert [answer.status_code for answer in (first, *failed, last)] == [200, 422, 400, 400, 200]
    assert first.json()["predictions"] == pytest.approx(last.json()["predictions"])
    words = [
        "spent must not be -1",
        "column 'spent', row 0: 'much' is not a number",
        "unknown columns: 'spend'",
    ]
    for answer, said in zip(failed, words, strict=True):
        assert said in answer.json()["error"]


def asked(*fields: str, **changes: Any) -> bytes:
    return request(PATH, orjson.dumps({"dataframe_records": [VISIT | changes]}), *fields)


@pytest.fixture
def wire(waiting: Waiting) -> Iterator[Wire]:
    with Wire(waiting._listening.address) as opened:
        yield opened


def test_those_that_a_client_sends_meanwhile_are_answered_in_their_order(
    waiting: Waiting, wire: Wire
) -> None:
    wire.send(asked(spent=1.0))
    until(lambda: len(waiting.together) == 1)
    wire.send(asked(spent=-1), asked(spent=2.0), asked(spent=3.0))
    waiting.go_on()

    assert [wire.receive().status for _ in range(4)] == [200, 422, 200, 200]


def test_who_goes_away_leaves_nothing_behind(waiting: Waiting, wire: Wire) -> None:
    with Wire(waiting._listening.address) as other:
        other.send(asked())
        until(lambda: waiting.in_line == 1)
    waiting.go_on()
    until(lambda: waiting.in_line == 0)

    assert wire.send(asked()).receive().status == 200


def test_who_waits_is_answered_before_the_gateway_ends(waiting: Waiting, wire: Wire) -> None:
    wire.send(asked())
    until(lambda: waiting.in_line == 1)
    waiting._listening.server.should_exit = True
    until(lambda: not waiting._listening.server.servers[0].is_serving())
    waiting.go_on()

    assert wire.receive().status == 200
    assert wire.is_closed


def test_who_asks_to_close_is_answered_and_let_go(waiting: Waiting, wire: Wire) -> None:
    waiting.go_on()
    answer = wire.send(asked("connection: close")).receive()

    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert wire.is_closed


def test_more_than_may_be_answered_at_once_are_sent_away(
    waiting: Waiting, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting._listening.inside.gateway, "_most_requests", 1)
    with Wire(waiting._listening.address) as other:
        other.send(asked())
        until(lambda: waiting.in_line == 1)
        assert wire.send(asked()).receive().status == 503
        waiting.go_on()
        assert other.receive().status == 200


def test_who_waits_counts_as_a_request_at_a_time_of_its_caller(
    waiting: Waiting, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = replace(EMBEDDED, limits=Limits(concurrent=1))
    monkeypatch.setattr(waiting._listening.inside.gateway._access, "_local", limited)
    with Wire(waiting._listening.address) as other:
        other.send(asked())
        until(lambda: waiting.in_line == 1)
        assert wire.send(asked()).receive().status == 429
        waiting.go_on()
        assert other.receive().status == 200
    assert wire.send(asked()).receive().status == 200


def test_what_fails_unforeseen_is_told_by_the_application(
    waiting: Waiting, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: Any) -> None:
        monkeypatch.undo()
        raise RuntimeError

    monkeypatch.setattr("mlops_assets.serving.arms.answer_each", stumble)

    assert wire.send(asked()).receive().status == 200
    assert waiting._listening.passed_on == [PATH]
