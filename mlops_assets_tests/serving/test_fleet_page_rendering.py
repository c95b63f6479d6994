"""What the fleet pages draw, choose and tell, apart from any gateway."""

import re
from datetime import datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.governance.audit_entry import Entry
from mlops_assets.home import Home
from mlops_assets.monitoring.fleet_state import FiledDecision, ModelOverview, WindowGlance
from mlops_assets.serving.fleet_page.choice import ONLY, SORTS, Choice
from mlops_assets.serving.fleet_page.drawing import Point, chart, in_words, sparkline
from mlops_assets.serving.fleet_page.links import Links
from mlops_assets.serving.fleet_page.platform_records import KnownModel
from mlops_assets.serving.fleet_page.records import watched
from mlops_assets.serving.fleet_page.timeline import timeline
from mlops_assets.serving.refusal import Refusal

DAY = timedelta(days=1)
START = datetime(2026, 3, 1)
VALUES = st.none() | st.floats(-1e150, 1e150) | st.sampled_from([float("nan"), float("inf")])


def points(*values: tuple[float | None, float | None]) -> list[Point]:
    return [Point(START + n * DAY, *value) for n, value in enumerate(values)]


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=40))
def test_whatever_was_measured_can_be_drawn_inside_its_frame(values: list[Any]) -> None:
    for draw, width, height in ((sparkline, 120, 24), (chart, 860, 240)):
        drawn = draw("rmse", points(*values))
        if drawn:
            svg = ElementTree.fromstring(drawn)
            assert svg.attrib["role"] == "img"
            assert svg.findtext("title")
            assert not re.search(r"nan|inf", drawn)
            for path in svg.iter("path"):
                for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path.attrib["d"]):
                    assert 0 <= float(x) <= width
                    assert 0 <= float(y) <= height


def test_a_sparkline_shows_measured_solid_estimated_dashed_and_says_both() -> None:
    course = points((0.8, 0.79), (None, 0.78), (0.7, 0.72))
    svg = ElementTree.fromstring(sparkline("roc_auc", course))
    kinds = [path.attrib["class"] for path in svg.iter("path")]
    assert kinds == ["e", "m"]
    measured = next(path.attrib["d"] for path in svg.iter("path") if path.attrib["class"] == "m")
    assert measured.count("M") == 2, "a window without labels breaks the line"
    assert svg.findtext("title") == (
        "roc_auc over 3 windows to 2026-03-03; measured 0.700 to 0.800, last 0.700; "
        "estimated 0.720 to 0.790, last 0.720"
    )
    assert sparkline("roc_auc", points((None, None))) == ""


def test_harm_is_a_dot_and_a_word() -> None:
    course = [*points((0.8, None)), Point(START + DAY, 0.5, harm=True)]
    assert ElementTree.fromstring(sparkline("auc", course)).find("circle[@class='harm']") is not None
    assert in_words("auc", course).endswith("harm in 1")


def overview(*measured: float | None, metric: str = "roc_auc") -> ModelOverview:
    plain: dict[str, Any] = {
        "model": "m", "owner": "team:a", "risk": "high", "metric": metric, "served": 10, "estimated": None,
        "drifted": 0, "alarms": 0, "harm": False, "cost": None,
    }  # fmt: skip
    days = ((START + n * DAY, value) for n, value in enumerate(measured))
    return ModelOverview(tuple(WindowGlance(start=at, end=at + DAY, measured=v, **plain) for at, v in days))


@pytest.mark.parametrize(
    ("seen", "change"),
    [
        (overview(0.8, 0.8, 0.6), -0.25),
        (overview(0.8, 0.8, 0.6, None), -0.25),
        (overview(0.8, 0.8, 0.6, metric="rmse"), 0.25),
        (overview(0.8, 0.6), None),
        (overview(0.0, 0.0, 0.6), None),
    ],
)
def test_how_much_better_the_newest_window_is_than_those_before(
    seen: ModelOverview, change: float | None
) -> None:
    assert watched(seen)["change"] == (None if change is None else pytest.approx(change))


def record(model: str, **more: Any) -> dict[str, Any]:
    nothing = {"watched": None, "incidents": [], "rollout": None, "as_ordered": True, "last_drill": None}
    return {"model": model, "owner": "team:a", "risk": "limited", "versions": [], **nothing, **more}


FLEET = [
    record("a", owner="team:b", watched={"harm": True, "change": -0.2, "drifted": 0, "cost": None}),
    record("b", risk="high", watched={"harm": False, "change": 0.1, "drifted": 3, "cost": 2.0}),
    record("c", incidents=[{"severity": "warning"}, {"severity": "information"}]),
    record("d", incidents=[{"severity": "page"}], as_ordered=False),
    record("e", owner=None, risk=None, last_drill={"passed": False, "at": "2026-03-01"}),
]


@pytest.mark.parametrize(
    ("parameters", "models"),
    [
        ({}, "abcde"),
        ({"order": "desc"}, "edcba"),
        ({"q": " B "}, "ab"),
        ({"owner": "team:b"}, "a"),
        ({"risk": "high"}, "b"),
        ({"only": "harm"}, "a"),
        ({"only": "incidents"}, "cd"),
        ({"only": "drift"}, "b"),
        ({"only": "trouble"}, "d"),
        ({"only": "rollout"}, ""),
        ({"sort": "incidents"}, "dcabe"),
        ({"sort": "performance"}, "abcde"),
        ({"sort": "performance", "order": "desc"}, "bacde"),
        ({"sort": "drift"}, "bacde"),
        ({"sort": "drill"}, "eabcd"),
        ({"sort": "risk", "only": "trouble"}, "d"),
        ({"q": "nobody"}, ""),
    ],
)
def test_the_address_chooses_the_models_and_their_order(parameters: dict[str, str], models: str) -> None:
    chosen = Choice.of(parameters).of_models(FLEET)
    assert "".join(model["model"] for model in chosen) == models


@given(st.text(max_size=5), st.text(max_size=5), st.sampled_from(["", *ONLY]), st.sampled_from([*SORTS]))
def test_an_address_says_what_was_chosen(q: str, owner: str, only: str, sort: str) -> None:
    from urllib.parse import parse_qsl, urlsplit

    choice = Choice(q=q, owner=owner, only=only, sort=sort)
    try:
        address = choice.address()
    except UnicodeEncodeError:
        return  # half a character, which no browser sends
    query = dict(parse_qsl(urlsplit(address).query, keep_blank_values=True))
    assert Choice.of(query) == choice


def test_a_column_s_head_shows_the_worst_first_and_then_turns_round() -> None:
    by_cost = Choice(q="x").sorted_by("cost")
    assert (by_cost.descends, by_cost.q) == (True, "x")
    assert not by_cost.sorted_by("cost").descends
    assert not Choice().sorted_by("performance").descends


@pytest.mark.parametrize("parameter", ["risk", "only", "sort", "order"])
def test_a_value_that_there_is_not_is_refused_with_those_that_there_are(parameter: str) -> None:
    with pytest.raises(Refusal, match=f"^{parameter} must be one of ") as refused:
        Choice.of({parameter: "'; DROP TABLE"})
    assert refused.value.status == 400


def entry(action: str, at: str, **detail: Any) -> Entry:
    said = {"seq": 1, "actor": "jo", "model": "m", "reason": "why", "evidence": "", "previous": ""}
    return Entry(action=action, at=at, detail=detail, **said)


def test_the_timeline_tells_what_was_done_by_whom_and_why_newest_first() -> None:
    known = KnownModel(
        entries=[
            entry("register", "2026-03-01T10:00:00.5Z", version="2"),
            entry("compare", "2026-03-01T10:30:00Z"),
            entry("rollout", "2026-03-01T11:00:00Z", version="2", step="canary 5 %"),
            entry("promote", "2026-03-02T10:00:00Z", version="2"),
            entry("drill", "2026-03-03T10:00:00Z", previous="1", passed=False),
            entry("spec_change", "2026-03-04T10:00:00Z"),
            entry("rollback", "2026-03-06T10:00:00Z"),
        ],
        decisions=[
            FiledDecision("m", datetime(2026, 3, 5, 10), "harm", retrain=True, reason="it did harm"),
            FiledDecision("m", datetime(2026, 3, 5, 9), "harm", retrain=False, reason="cooldown"),
            FiledDecision("m", datetime(2026, 3, 5, 8), None, retrain=False, reason="nothing called"),
        ],
    )
    told = timeline(known)
    assert [each.what for each in told] == [
        "rolled back to version ?",
        "retraining was started",
        "retraining was not started",
        "spec change",
        "drill of the way back to version 1 failed",
        "version 2 was promoted to champion",
        "rollout of version 2: canary 5 %",
        "version 2 was registered",
    ]
    assert (told[3].actor, told[3].reason) == ("jo", "why")
    assert [each.what for each in told if each.bad] == ["drill of the way back to version 1 failed"]


def test_links_lead_to_what_is_declared(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    home = Home(tmp_path)
    assert list(Links.of(home).of_model("m")) == []
    monkeypatch.setenv("MLOPS_DAGSTER_UI", "https://dagster.example/")
    monkeypatch.setenv("MLOPS_MLFLOW_UI", "javascript:alert(1)")
    links = Links.of(home)
    assert [address for _, address in links.of_model("a b")] == [
        "https://dagster.example/assets/a%20b/deployed_endpoint",
        "https://dagster.example/assets/a%20b/monitoring_report",
    ]
    monkeypatch.setenv("MLOPS_MLFLOW_UI", "http://mlflow.example")
    assert Links.of(home).version("m", "3") == "http://mlflow.example/#/models/m/versions/3"


@pytest.mark.parametrize("name", ["../secret.html", "..", "x", "a/b.html", "gone.html", "", "a\0.html"])
def test_only_reports_are_read_from_the_home(name: str, tmp_path: Any) -> None:
    home = Home(tmp_path)
    (tmp_path / "secret.html").write_text("no")
    report = home.report("m", "2026-03-01T00")
    report.parent.mkdir(parents=True)
    report.write_text("yes")
    links = Links(home=home)
    assert links.report_file("m", "2026-03-01T00.html") == report
    assert links.report("m", f"/elsewhere/{report.name}") == "/fleet/m/reports/2026-03-01T00.html"
    assert links.report_file("m", name) is None
    assert links.report_file("..", "secret.html") is None
    assert links.report("m", None) == ""
