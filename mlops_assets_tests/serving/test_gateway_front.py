"""What the front answers at once is what the application behind it would have answered; the rest passes."""

from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import orjson
import pytest

from mlops_assets_tests.fleets import Listening
from mlops_assets_tests.serving.visits_requests import INFER, VISITS, oip

FLOWER = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
PATHS = [
    "/v2/models/iris/infer",
    "/v2/models/iris/versions/1/infer",
    "/models/iris/invocations",
    "/v1/models/iris:predict",
]


def body(path: str, rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    if path.endswith("infer"):
        tensors = [
            {"name": name, "shape": [len(rows)], "datatype": "FP64", "data": [row[name] for row in rows]}
            for name in FLOWER
        ]
        return {"inputs": tensors, **more}
    return {"instances": [list(row.values()) for row in rows], **more}


class Watched:
    """A gateway whose front tells which requests it passed on."""

    def __init__(self, inside: Any, listening: Any) -> None:
        self.inside, self._listening = inside, listening
        self.front = httpx.Client(base_url=listening.url, trust_env=False)

    def post(self, path: str, content: Any, **headers: str) -> tuple[Any, Any, bool]:
        """Return the answers of the front and of what is behind it, and whether it was passed on."""
        before = len(self._listening.passed_on)
        content = content if isinstance(content, bytes) else orjson.dumps(content)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        asked = self.front.post(path, content=content, headers=sent)
        passed = len(self._listening.passed_on) > before
        return asked, self.inside.client.post(path, content=content, headers=sent), passed


@pytest.fixture(scope="module")
def watched(
    gateway_in_process: Any, fleet: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watched]:
    with gateway_in_process(fleet, tmp_path_factory.mktemp("log")) as made:
        made.settle()
        with Listening(made) as listening:
            yield Watched(made, listening)


def without_ids(answer: Any) -> Any:
    """Return an answer's JSON without what differs from request to request."""
    content = answer.json()
    content.pop("prediction_ids", None)
    content.pop("parameters", None)
    return {name: value for name, value in content.items() if name != "id" or value == "mine"}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("count", [1, 3, 128])
def test_a_usual_request_is_answered_at_once_and_alike(watched: Watched, path: str, count: int) -> None:
    front, behind, passed = watched.post(path, body(path, [FLOWER] * count))

    assert not passed
    assert front.status_code == behind.status_code == 200
    assert without_ids(front) == without_ids(behind)
    assert front.headers["content-type"] == behind.headers["content-type"]


def test_so_is_one_to_a_model_that_takes_its_time(watched: Watched) -> None:
    front, behind, passed = watched.post(INFER, oip(VISITS))

    assert not passed
    assert without_ids(front) == without_ids(behind)


@pytest.mark.parametrize("path", PATHS)
def test_it_is_logged_and_counted_alike(watched: Watched, path: str) -> None:
    answers = watched.post(path, body(path, [FLOWER]))[:2]
    ids = [
        answer.json().get("prediction_ids") or answer.json()["parameters"]["prediction_ids"]
        for answer in answers
    ]

    logged = [watched.inside.log.find(each) for (each,) in ids]
    assert logged[0].inputs == logged[1].inputs == FLOWER
    assert logged[0].output == logged[1].output
    counted = watched.front.get("/metrics").text
    assert 'mlops_gateway_requests_total{model="iris",status="200",version="1"}' in counted


UNUSUAL: dict[str, tuple[str, Any, dict[str, str]]] = {
    "many rows": (PATHS[0], body(PATHS[0], [FLOWER] * 129), {}),
    "a wrong value": (PATHS[2], body(PATHS[2], [{**FLOWER, "sepal_width": "wide"}]), {}),
    "a column too few": (PATHS[2], {"instances": [[1, 2, 3]]}, {}),
    "no JSON": (PATHS[0], b"{", {}),
    "another version": ("/v2/models/iris/versions/9/infer", body(PATHS[0], [FLOWER]), {}),
    "a model's name with a slash": ("/v2/models/a%2Firis/infer", body(PATHS[0], [FLOWER]), {}),
    "another model": ("/v2/models/irises/infer", body(PATHS[0], [FLOWER]), {}),
    "an output of several": (PATHS[0], body(PATHS[0], [FLOWER], outputs=[{"name": "label"}]), {}),
    "an unknown output": (PATHS[0], body(PATHS[0], [FLOWER], outputs=[{"name": "score"}]), {}),
    "an answer in bytes": (PATHS[0], body(PATHS[0], [FLOWER], parameters={"binary_data_output": True}), {}),
    "the platform itself": (PATHS[0], body(PATHS[0], [FLOWER]), {"x_mlops_probe": "1"}),
    "not a prediction": ("/v2/models/iris/feedback", {"labels": []}, {}),
}


@pytest.mark.parametrize("case", UNUSUAL)
def test_what_is_unusual_is_passed_on(watched: Watched, case: str) -> None:
    path, content, headers = UNUSUAL[case]
    front, behind, passed = watched.post(path, content, **headers)

    assert passed
    assert front.status_code == behind.status_code
    if "bytes" not in case:
        assert without_ids(front) == without_ids(behind)


def test_a_requests_own_id_is_repeated(watched: Watched) -> None:
    front, _, passed = watched.post(PATHS[0], body(PATHS[0], [FLOWER], id="mine"))

    assert (front.json()["id"], passed) == ("mine", False)


def test_nothing_is_answered_that_cannot_be_logged(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        problem = "the disk is full"

    monkeypatch.setattr(watched.inside.recorder, "writer", Broken())

    front, _, passed = watched.post(PATHS[0], body(PATHS[0], [FLOWER]))

    assert passed
    assert front.status_code == 503
    assert "the disk is full" in front.json()["error"]


def test_what_fails_unforeseen_is_passed_on(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: Any, **__: Any) -> Any:
        monkeypatch.undo()
        raise ZeroDivisionError

    monkeypatch.setattr("mlops_assets.serving.arms.answer_each", stumble)

    front, _, passed = watched.post(PATHS[0], body(PATHS[0], [FLOWER]))

    assert passed
    assert front.status_code == 200


def test_a_query_and_escapes_are_read_as_behind_it(watched: Watched) -> None:
    for path in ("/models/%69ris/invocations", "/models/iris/invocations?trace=1"):
        front, behind, passed = watched.post(path, body(PATHS[2], [FLOWER]))
        assert (front.status_code, passed) == (200, False)
        assert without_ids(front) == without_ids(behind)


class Asking:
    """Requests that are taken in one turn of the loop, and their replies."""

    def __init__(self, inside: Any) -> None:
        self._front = inside.gateway.front()
        self.replies: dict[str, Any] = {}

    def ask(self, **bodies: bytes) -> dict[str, Any]:
        """Return the replies by name."""

        async def one_turn() -> None:
            for name, content in bodies.items():
                assert self.take(name, content)
            assert self.replies == {}
            await anyio.lowlevel.checkpoint()

        anyio.run(one_turn)
        return self.replies

    def take(self, name: str, content: bytes) -> bool:
        path = PATHS[0] if b'"shape"' in content else PATHS[2]
        scope = {"headers": []}
        target = self._front.target(path.encode(), scope)
        return self._front.take(target, scope, content, lambda reply: self.replies.update({name: reply}))


def flower(width: float) -> bytes:
    return orjson.dumps(body(PATHS[2], [{**FLOWER, "petal_width": width}]))


def test_what_came_together_is_answered_as_if_each_came_alone(watched: Watched) -> None:
    widths = {f"{width}": flower(width) for width in (0.1, 0.2, 1.5, 2.5)}
    tensors = orjson.dumps(body(PATHS[0], [FLOWER] * 3, id="mine"))

    together = Asking(watched.inside).ask(**widths, tensors=tensors)

    for name, content in widths.items():
        alone = watched.inside.client.post(PATHS[2], content=content).json()
        answer = orjson.loads(together[name])
        assert answer["predictions"] == [pytest.approx(alone["predictions"][0], abs=1e-6)]
        (id_,) = answer["prediction_ids"]
        assert watched.inside.log.find(id_).inputs["petal_width"] == float(name)
    assert orjson.loads(together["tensors"])["outputs"][0]["shape"] == [3, 3]


def test_one_that_is_wrong_spoils_nothing_for_those_who_came_with_it(watched: Watched) -> None:
    wrong = orjson.dumps({"instances": [[5.1, 3.5, None, 0.2]]})

    together = Asking(watched.inside).ask(first=flower(0.1), wrong=wrong, last=flower(0.2))

    assert together["wrong"] is None
    assert orjson.loads(together["first"])["predictions"] != orjson.loads(together["last"])["predictions"]


def test_requests_that_are_many_together_are_not_kept_waiting(watched: Watched) -> None:
    asking = Asking(watched.inside)
    content = orjson.dumps(body(PATHS[2], [FLOWER] * 64))

    async def one_turn() -> None:
        assert asking.take("first", content)
        assert asking.replies == {}
        assert asking.take("second", content)
        assert asking.replies.keys() == {"first", "second"}

    anyio.run(one_turn)


def test_where_one_model_is_served_it_need_not_be_named(own_fleet: Any, gateway_in_process: Any) -> None:
    own_fleet.promote("m", "2")
    with gateway_in_process(own_fleet) as inside:
        inside.settle()
        with Listening(inside) as listening:
            answer = httpx.post(f"{listening.url}/invocations", json={"instances": [[1.0]]})
    assert (answer.json()["model"], answer.json()["predictions"]) == ("m", [2.0])
    assert listening.passed_on == []


def test_where_several_are_it_is_told_that_one_has_to_be_named(watched: Watched) -> None:
    front, behind, passed = watched.post("/invocations", body(PATHS[2], [FLOWER]))
    assert passed
    assert front.status_code == behind.status_code == 404
    assert front.json() == behind.json()
