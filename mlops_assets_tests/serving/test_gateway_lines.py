"""Requests to a model that takes its time: those that wait are predicted together, and answered apart."""

import threading
from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import orjson
import pytest

from mlops_assets.serving.inference import answer_together

PATH = "/models/visits/invocations"
VISIT = {"device": "mobile", "visited_at": "2024-03-01T10:00", "member": True, "pages": 7, "spent": 1.5}


@pytest.fixture(scope="module")
def inside(gateway_in_process: Any, fleet: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with gateway_in_process(fleet, tmp_path_factory.mktemp("log")) as made:
        made.settle()
        yield made


class Waiting:
    """Requests that come while the first of them is held up, and how many were predicted at a time."""

    def __init__(self, inside: Any) -> None:
        self._inside, self._go_on = inside, threading.Event()
        self.together: list[int] = []

    def answer(self, recorder: Any, resident: Any, batch: Any) -> Any:
        self.together.append(len(batch.requests))
        assert self._go_on.wait(30)
        return answer_together(recorder, resident, batch)

    def ask(self, *rows: dict[str, Any]) -> list[httpx.Response]:
        """Return the answers in the order of the requests."""
        answers: dict[int, httpx.Response] = {}

        async def post(http: httpx.AsyncClient, place: int, row: dict[str, Any]) -> None:
            answers[place] = await http.post(PATH, content=orjson.dumps({"dataframe_records": [row]}))

        async def all_of_them() -> None:
            transport = httpx.ASGITransport(self._inside.gateway.app())
            async with (
                httpx.AsyncClient(transport=transport, base_url="http://gateway") as http,
                anyio.create_task_group() as group,
            ):
                for place, row in enumerate(rows):
                    group.start_soon(post, http, place, row)
                    await anyio.wait_all_tasks_blocked()
                self._go_on.set()

        anyio.run(all_of_them)
        return [answers[place] for place in range(len(rows))]


@pytest.fixture
def waiting(inside: Any, monkeypatch: pytest.MonkeyPatch) -> Waiting:
    made = Waiting(inside)
    monkeypatch.setattr("mlops_assets.serving.inference.answer_together", made.answer)
    return made


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
