"""What the front answers at once is what the application behind it would have answered; the rest passes."""

from collections.abc import Iterator
from typing import Any

import anyio
import orjson
import pytest
from starlette.testclient import TestClient

from mlops_assets.serving.front import Front
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

    def __init__(self, inside: Any) -> None:
        self.inside, self.passed = inside, 0
        self.behind = TestClient(inside.gateway.behind(), raise_server_exceptions=False)
        behind = inside.gateway.behind()

        async def noted(scope: Any, receive: Any, send: Any) -> None:
            self.passed += scope["type"] == "http"
            await behind(scope, receive, send)

        front = Front(noted, lambda: inside.router.table, inside.recorder, inside.meters)
        self.front = TestClient(front, raise_server_exceptions=False)

    def post(self, path: str, content: Any, **headers: str) -> tuple[Any, Any, bool]:
        """Return the answers of the front and of what is behind it, and whether it was passed on."""
        before = self.passed
        content = content if isinstance(content, bytes) else orjson.dumps(content)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        asked = self.front.post(path, content=content, headers=sent)
        return asked, self.behind.post(path, content=content, headers=sent), self.passed > before


@pytest.fixture(scope="module")
def watched(
    gateway_in_process: Any, fleet: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watched]:
    with gateway_in_process(fleet, tmp_path_factory.mktemp("log")) as made:
        made.settle()
        yield Watched(made)


def without_ids(answer: Any) -> Any:
    """Return an answer's JSON without what differs from request to request."""
    content = answer.json()
    content.pop("prediction_ids", None)
    content.pop("parameters", None)
    return {name: value for name, value in content.items() if name != "id" or value == "mine"}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("count", [1, 3, 64])
def test_a_usual_request_is_answered_at_once_and_alike(watched: Watched, path: str, count: int) -> None:
    front, behind, passed = watched.post(path, body(path, [FLOWER] * count))

    assert not passed
    assert front.status_code == behind.status_code == 200
    assert without_ids(front) == without_ids(behind)
    assert front.headers["content-type"] == behind.headers["content-type"]


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
    "many rows": (PATHS[0], body(PATHS[0], [FLOWER] * 65), {}),
    "a wrong value": (PATHS[2], body(PATHS[2], [{**FLOWER, "sepal_width": "wide"}]), {}),
    "a column too few": (PATHS[2], {"instances": [[1, 2, 3]]}, {}),
    "no JSON": (PATHS[0], b"{", {}),
    "another version": ("/v2/models/iris/versions/9/infer", body(PATHS[0], [FLOWER]), {}),
    "another model": ("/v2/models/irises/infer", body(PATHS[0], [FLOWER]), {}),
    "text and features": (INFER, oip(VISITS), {}),
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


def test_a_body_that_comes_in_pieces_is_passed_on_whole(watched: Watched) -> None:
    content = orjson.dumps(body(PATHS[2], [FLOWER]))
    messages = [
        {"type": "http.request", "body": content[:10], "more_body": True},
        {"type": "http.request", "body": content[10:]},
    ]
    passed: list[Any] = []

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        passed.extend([await receive(), await receive()])

    arriving = iter(messages)

    async def receive() -> Any:
        return next(arriving)

    async def send(message: Any) -> None:
        raise AssertionError(message)

    scope = {"type": "http", "method": "POST", "path": PATHS[2], "headers": []}
    front = Front(behind, lambda: watched.inside.router.table, watched.inside.recorder, watched.inside.meters)
    anyio.run(front, scope, receive, send)

    assert passed == messages


def test_nothing_is_answered_that_cannot_be_logged(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        problem = "the disk is full"

    monkeypatch.setattr(watched.inside.recorder, "writer", Broken())

    front, _, passed = watched.post(PATHS[0], body(PATHS[0], [FLOWER]))

    assert passed
    assert front.status_code == 503
    assert "the disk is full" in front.json()["error"]
