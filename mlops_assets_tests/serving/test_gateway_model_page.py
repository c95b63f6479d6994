"""What the fleet page and a model's page tell of what the platform's database holds, and without it."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from mlops_assets.home import Home
from mlops_assets.monitoring.fleet_state import FleetState
from mlops_assets.serving.fleet_page import reading
from mlops_assets.serving.fleet_page.platform_records import KnownFleet, KnownModel
from mlops_assets_tests.platform_histories import DAY, PlatformHistory, WatchedCourse

COURSE = WatchedCourse("m", "team:a", "high", fell=0.1, drifted=("price",))
NASTY = "<script>alert('x')</script>"


@pytest.fixture
def inside(
    gateway_in_process: Any, own_fleet: Any, monkeypatch: pytest.MonkeyPatch, constant_model: Any
) -> Iterator[Any]:
    """A gateway on ``m``, which is watched and has a past, and on ``quiet``, which has none."""
    monkeypatch.setenv("MLOPS_DAGSTER_UI", "http://dagster.example")
    own_fleet.promote("m", "2")
    own_fleet.promote("quiet", own_fleet.add(constant_model("quiet", 1.0)).version)
    history = PlatformHistory(own_fleet.home)
    report = own_fleet.home.report("m", "2026-03-01T00_2026-03-02T00_v1")
    report.parent.mkdir(parents=True)
    report.write_text("<h1>Evidently</h1>")
    ids = history.windows(COURSE, 29)
    last = history.assessment(COURSE, history.until - DAY, report=str(report), drift=[])
    ids.append(history.state.record_assessment(last.model_copy(update={"alarms": [_alarm(history)]})))
    history.decide(ids[-1], "harm", True, f"it did harm {NASTY}")
    incident = history.incident(COURSE, "performance", "roc_auc", harm="measured")
    history.acknowledge(incident.id, "jo", f"on it {NASTY}")
    history.audit.append("promote", "m", actor="ann", reason="it is better", version="2")
    history.audit.append("drill", "m", actor="schedule", passed=True, version="2", previous="1")
    with gateway_in_process(own_fleet, home=own_fleet.home) as made:
        made.settle()
        yield made


def _alarm(history: PlatformHistory) -> Any:
    return history.alarm(COURSE, "data_drift", "price", says=f"price moved {NASTY}")


def test_the_fleet_page_tells_what_was_found_of_each_model(inside: Any) -> None:
    page = inside.client.get("/fleet").text
    assert "Only what this gateway itself knows" not in page
    rows = page.split("<tbody>")[1].split("</tr>")
    assert 'href="/fleet/m"' in rows[0]
    assert 'href="/fleet/quiet"' in rows[1]
    assert "team:a" in rows[0]
    assert "<title>roc_auc over 29 windows to " in rows[0]
    assert '<b class="bad">harm</b>' in rows[0]
    assert '<span class="bad">1, page</span>' in rows[0]
    assert "svg" not in rows[1]
    assert '<a href="/fleet?only=harm">1 did harm</a>' in page
    only = inside.client.get("/fleet?q=QUI").text
    assert "1 of 2 models" in only
    assert "team:a</td>" not in only
    assert inside.client.get("/fleet?sort=nonsense").status_code == 400


def test_the_same_is_told_to_programs(inside: Any) -> None:
    told = inside.client.get("/fleet", headers={"accept": "application/json"}).json()
    assert told["untold"] is None
    m, quiet = told["models"]
    assert (m["owner"], m["risk"], m["watched"]["harm"], m["watched"]["metric"]) == (
        "team:a",
        "high",
        True,
        "roc_auc",
    )
    assert m["watched"]["change"] < -0.05
    assert [(each["severity"], each["state"]) for each in m["incidents"]] == [("page", "acknowledged")]
    assert m["last_drill"]["passed"]
    assert (quiet["watched"], quiet["incidents"], quiet["last_drill"]) == (None, [], None)
    asked = {"accept": "application/json"}
    harmed = inside.client.get("/fleet?only=harm", headers=asked).json()["models"]
    assert [model["model"] for model in harmed] == ["m"]


def test_a_model_s_page_tells_its_windows_incidents_and_what_was_done(inside: Any) -> None:
    answer = inside.client.get("/fleet/m")
    page = answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    for told in (
        "<dd>version 2 since ",
        "by ann",
        "http://dagster.example/assets/m/monitoring_report",
        "<title>roc_auc over 29 windows to ",
        "price moved &lt;script&gt;",
        '<a href="/fleet/m/reports/2026-03-01T00_2026-03-02T00_v1.html">Evidently</a>',
        "version 2 was promoted to champion</b>, ann: it is better",
        "drill of the way back to version 1 passed</b>, schedule",
        "retraining was started</b>, retraining: it did harm &lt;script&gt;",
        "incident 1 acknowledged</b>, jo: on it &lt;script&gt;",
        "<td>champion</td>",
    ):
        assert told in page, told
    assert "<script" not in page
    timeline = page.split('class="timeline"')[1]
    times = [each.split('"')[0] for each in timeline.split('<time datetime="')[1:]]
    assert times == sorted(times, reverse=True)
    assert len(times) >= 5


def test_a_report_is_shown_as_if_it_were_from_elsewhere(inside: Any) -> None:
    address = "/fleet/m/reports/2026-03-01T00_2026-03-02T00_v1.html"
    report = inside.client.get(address)
    assert report.text == "<h1>Evidently</h1>"
    assert report.headers["content-security-policy"] == "sandbox allow-scripts"
    assert inside.client.get(address.replace("/m/", "/quiet/")).status_code == 404
    assert inside.client.get("/fleet/m/reports/..%2F..%2Ffleet.db").status_code == 404


def test_a_model_that_nobody_watched_has_a_page(inside: Any) -> None:
    page = inside.client.get("/fleet/quiet").text
    for told in ("No window was looked at yet.", "None is known.", "Nothing is on record.", "champion"):
        assert told in page


def test_a_model_that_there_is_not(inside: Any) -> None:
    people = inside.client.get("/fleet/nobody", headers={"accept": "text/html"})
    assert people.status_code == 404
    assert "No such model" in people.text
    programs = inside.client.get("/fleet/nobody")
    assert programs.status_code == 404
    assert programs.json()["model"] == "nobody"


@pytest.mark.parametrize("content", [None, b"no database"])
def test_without_a_database_the_page_says_so_and_shows_what_the_gateway_knows(
    content: bytes | None, gateway_in_process: Any, own_fleet: Any
) -> None:
    own_fleet.promote("m", "2")
    database = own_fleet.home.root / "fleet.db"
    if content is not None:
        database.write_bytes(content)
    with gateway_in_process(own_fleet, home=own_fleet.home) as made:
        made.settle()
        for address in ("/fleet", "/fleet/m"):
            page = made.client.get(address)
            assert page.status_code == 200
            assert "Only what this gateway itself knows is shown" in page.text
            assert "serving" in page.text
        told = made.client.get("/fleet", headers={"accept": "application/json"}).json()
    assert told["untold"]
    assert told["models"][0]["champion"] == "2"
    assert database.exists() == (content is not None), "looking makes no database"


class _Slow:
    """Records of a database that answers when it is let."""

    def __init__(self) -> None:
        self.may, self.asked = threading.Event(), 0

    def fleet(self) -> KnownFleet:
        self.asked += 1
        self.may.wait()
        return KnownFleet()

    def model(self, name: str) -> KnownModel:
        raise ValueError(f"{name} is damaged")


def test_a_database_that_does_not_answer_holds_up_no_page_and_is_asked_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "PATIENCE_SECONDS", 0.01)
    slow = _Slow()
    read = reading.Reading(slow)  # type: ignore[arg-type]
    for _ in range(3):
        assert asyncio.run(read.fleet()).untold == "the database did not answer within 0.01 s"
    monkeypatch.setattr(reading, "PATIENCE_SECONDS", 60.0)
    slow.may.set()
    assert asyncio.run(read.fleet()).untold == ""
    assert slow.asked == 1
    assert asyncio.run(read.model("m")).untold == "ValueError: m is damaged"
    monkeypatch.setattr(reading, "FRESH_SECONDS", 0.0)
    asyncio.run(read.fleet())
    assert slow.asked == 2


def test_a_damaged_record_keeps_no_page_from_being_shown(inside: Any, own_fleet: Any) -> None:
    import sqlalchemy as sa

    state = FleetState(Home(own_fleet.home.root).state_url)
    with state._database.begin() as connection:
        connection.execute(sa.text("UPDATE incidents SET body = '{}'"))
    page = inside.client.get("/fleet/m")
    assert page.status_code == 200
    assert "Only what this gateway itself knows is shown" in page.text
