"""The fleet page: what an owner wants to see at 3 a.m., for people and for programs."""

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest

from mlops_assets.registry.port import CHALLENGER, PREVIOUS_CHAMPION

GOOD = {"instances": [{"x": 1.0}, {"x": 2.0}]}
PICKY = '''
def compute(rows):
    """Refuse some rows whose types are right."""
    if (rows["x"] > 100).any():
        raise ValueError("x must not be more than 100")
    return rows
'''


@pytest.fixture
def inside(gateway_in_process: Any, own_fleet: Any, constant_model: Any, make_training: Any) -> Iterator[Any]:
    """Version 4 of ``m`` refuses a large ``x``; it is the champion, 2 the way back, 3 the challenger."""
    training = vars(constant_model("m", 4.0)) | {"source": PICKY}
    own_fleet.add(make_training(**training))
    own_fleet.promote("m", "4")
    own_fleet.promote("m", "2", PREVIOUS_CHAMPION)
    own_fleet.promote("m", "3", CHALLENGER)
    with gateway_in_process(own_fleet, most_requests=1) as made:
        made.settle()
        yield made


def _model(inside: Any) -> dict[str, Any]:
    models = inside.client.get("/fleet", headers={"accept": "application/json"}).json()["models"]
    return next(m for m in models if m["model"] == "m")


def _versions(inside: Any) -> dict[str, dict[str, Any]]:
    return {v["version"]: v for v in _model(inside)["versions"]}


def _figures(version: dict[str, Any]) -> tuple[int, ...]:
    return tuple(version[k] for k in ("rows", "errors", "refused", "turned_away"))


def test_each_version_tells_rows_errors_and_latency(inside: Any) -> None:
    def post(body: Any, path: str = "/models/m/invocations", **headers: str) -> int:
        return int(inside.client.post(path, json=body, headers=headers).status_code)

    tensor = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1.0]}]}
    assert [post(GOOD) for _ in range(3)] == [200] * 3
    assert post(tensor, "/v2/models/m/versions/2/infer") == 200
    assert post({"instances": [{"x": 101}]}) == 422
    assert post({"instances": [{"y": 1}]}) == 400
    assert post({}) == 400
    assert post(GOOD, **{"x-mlops-probe": "1"}) == 200
    assert post({}, **{"x-mlops-probe": "1"}) == 400
    assert post(GOOD, "/v2/models/m/versions/9/infer") == 404
    inside.gateway._requests = 1  # as if another one were being answered
    assert post(GOOD) == 503
    inside.gateway._requests = 0
    versions = _versions(inside)
    assert {name: v["role"] for name, v in versions.items()} == {
        "4": "champion",
        "3": "challenger",
        "2": "way back",
    }
    assert {name: _figures(v) for name, v in versions.items()} == {
        "4": (6, 1, 2, 1),
        "3": (0, 0, 0, 0),
        "2": (1, 0, 0, 0),
    }
    assert 0 < versions["4"]["p50_ms"] <= versions["4"]["p99_ms"] < 30_000
    assert versions["3"]["p50_ms"] is versions["3"]["p99_ms"] is None


def test_latency_is_that_of_the_recent_answers(inside: Any) -> None:
    from mlops_assets.serving.meters import RECENT

    meters = inside.meters
    for _ in range(RECENT):
        meters.count("m", "4", 200, 9.0, rows=1)
    for n in range(RECENT):
        meters.count("m", "4", 200, (n + 1) / 1000, rows=1)
    meters.count("m", "4", 400, 60.0)
    version = _versions(inside)["4"]
    assert version["rows"] == 2 * RECENT
    assert (version["p50_ms"], version["p99_ms"]) == pytest.approx((RECENT / 2, 0.99 * RECENT), abs=1.5)


def test_a_version_that_answered_stays_on_the_page_when_it_is_let_go(
    inside: Any, own_fleet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlops_assets.serving import loads

    assert inside.client.post("/models/m/invocations", json={"instances": [{"x": 101}]}).status_code == 422
    own_fleet.promote("m", "2")
    now = loads.time.monotonic
    monkeypatch.setattr(loads.time, "monotonic", lambda: now() + 2 * loads.LINGER_SECONDS)
    inside.settle()
    inside.settle()
    versions = _versions(inside)
    assert versions["4"]["role"] == "no longer loaded"
    assert _figures(versions["4"]) == (0, 1, 0, 0)
    assert versions["2"]["role"] == "champion"


class _Page(HTMLParser):
    """What a reader meets: tags with attributes in order, and the cells' text by row."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == [], "every tag is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "input"):
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & {*self._open}:
            self.rows[-1][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_page_shows_the_figures_and_is_accessible(inside: Any) -> None:
    inside.client.post("/models/m/invocations", json=GOOD)
    inside.client.post("/models/m/invocations", json={"instances": [{"x": 101}]})
    text = inside.client.get("/fleet").text
    page = _Page(text)
    head, line = page.rows
    assert [cell.rstrip(" ▲▼") for cell in head] == [
        *("model", "owner", "risk", "champion", "state", "rows served", "errors", "p99 ms"),
        *("performance", "drift", "incidents", "cost of 1,000", "last drill"),
    ]
    assert line[:7] == ["m", "team:tests", "limited", "4", "serving", "2", "1"]
    assert line[8:] == ["–"] * 5
    assert page.all("html") == [{"lang": "en"}]
    assert {t.get("scope") for t in page.all("th")} == {"col", "row"}
    assert page.all("caption")
    assert [tag["id"] for tag in page.all("main")] == ["main"]
    assert page.all("a")[0] == {"class": "skip", "href": "#main"}
    assert [each.get("aria-sort") for each in page.all("th") if "aria-sort" in each] == ["ascending"]
    assert {"name": "color-scheme", "content": "light dark"} in page.all("meta")
    assert "prefers-color-scheme: dark" in text
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img"}, "it depends on nothing"
    assert "http" not in text.replace("http-equiv", ""), "and fetches nothing"
    assert len(text) < 10_000


def test_the_page_reloads_only_when_asked_to(inside: Any) -> None:
    assert 'http-equiv="refresh"' not in inside.client.get("/fleet").text
    assert 'http-equiv="refresh" content="5"' in inside.client.get("/fleet?reload").text


def test_troubles_come_first_and_nothing_is_taken_for_markup(
    gateway_in_process: Any, own_fleet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlops_assets.serving import loads

    def failing(*_: Any) -> Any:
        raise RuntimeError("<script>alert('{x}')</script>")

    monkeypatch.setattr(loads, "load", failing)
    own_fleet.promote("m", "1")
    with gateway_in_process(own_fleet) as made:
        made.settle()
        text = made.client.get("/fleet").text
    _Page(text)
    assert "<script>" not in text
    assert text.index("&lt;script&gt;alert(&#x27;{x}&#x27;)") < text.index("<table>")
    assert "<title>Trouble" in text
    assert "not serving, the registry says 1" in text


def test_an_empty_fleet_says_so(gateway_in_process: Any, own_fleet: Any) -> None:
    with gateway_in_process(own_fleet) as made:
        made.settle()
        text = made.client.get("/fleet").text
    _Page(text)
    assert "No model serves yet." in text
    assert "No problems." in text
