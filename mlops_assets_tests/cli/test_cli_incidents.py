"""``mlops-assets incidents``: what is wrong is found, taken charge of, silenced and ended by its number."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.actor import os_user
from mlops_assets.cli.main import main
from mlops_assets.monitoring.incidents.store import IncidentStore
from mlops_assets_tests.alarmed_fleet import ORDERS, WEATHER, AlarmedFleet, rules


class Incidents:
    """The command on a home with two incidents: 1 is a page and 2 a warning."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Return exit code, output and errors."""
        self._monkeypatch.setattr(sys, "argv", ["mlops-assets", "incidents", *arguments])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *self._capsys.readouterr()

    def json(self, *arguments: str) -> Any:
        """Return the one JSON document."""
        return json.loads(self(*arguments, "--json")[1])


@pytest.fixture
def incidents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Incidents:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    monkeypatch.delenv("MLOPS_STATE_URL", raising=False)
    store, fleet = IncidentStore(f"sqlite:///{tmp_path / 'fleet.db'}"), AlarmedFleet()
    store.take_in(fleet.column_fault(ORDERS, "price"), fleet.models(), rules(), fleet.now)
    fleet.day += 1
    store.take_in(fleet.late_table(WEATHER), fleet.models(), rules(), fleet.now)
    return Incidents(monkeypatch, capsys)


def test_the_list_shows_the_worst_first_and_an_open_page_is_a_finding(incidents: Incidents) -> None:
    code, out, _ = incidents()
    assert code == 1
    _, first, second = out.splitlines()
    assert f"page      open   2026-03-02 00:00  column price of {ORDERS}: values are multiplied" in first
    assert f"warning   open   2026-03-03 00:00  {WEATHER}: rows are missing or late" in second
    assert [each["id"] for each in incidents.json("list")["incidents"]] == [1, 2]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--model", "m00"], [1]),
        (["--model", "m11"], [2]),
        (["--owner", "team:b"], [1, 2]),
        (["--owner", "team:z"], []),
        (["--state", "resolved"], []),
        (["--state", "all"], [1, 2]),
        (["--since", "2026-03-04"], [2]),
    ],
)
def test_the_list_can_be_narrowed(incidents: Incidents, options: list[str], found: list[int]) -> None:
    assert [each["id"] for each in incidents.json(*options)["incidents"]] == found
    assert incidents.json("list", *options) == incidents.json(*options)


def test_one_is_shown_with_cause_models_alarms_and_timeline(incidents: Incidents) -> None:
    code, out, _ = incidents("show", "1")
    assert code == 0
    for words in (
        "incident 1: column price of",
        "8 of 8 models downstream judged since show it",
        "models hit: m00, m01, m02",
        "runbook:    docs/runbooks/data_drift.md",
        "no route of the policy takes a page of team:a",
    ):
        assert words in out, words
    told = incidents.json("show", "1")
    assert len(told["alarms"]) == 8
    assert told["timeline"][0]["what"] == "opened"
    assert told["cause"]["figures"]["signs"] == 8


def test_it_is_acknowledged_silenced_and_resolved_with_actor_and_reason(incidents: Incidents) -> None:
    assert incidents("ack", "1", "--reason", "the loader is ours")[:2] == (
        0,
        f"incident 1 is acknowledged: column price of {ORDERS}: values are multiplied by about 1000\n",
    )
    assert incidents()[0] == 0
    assert incidents.json("silence", "1", "--until", "12h", "--reason", "mended tonight")["silenced_until"]
    assert "acknowledged, silenced" in incidents()[1]
    assert incidents("resolve", "1", "--reason", "mended")[0] == 0
    *_, acknowledged, silenced, resolved = incidents.json("show", "1")["timeline"]
    assert [each["actor"] for each in (acknowledged, silenced, resolved)] == [os_user()] * 3
    assert acknowledged["text"] == "the loader is ours"
    assert silenced["text"].endswith(": mended tonight")
    assert [each["id"] for each in incidents.json()["incidents"]] == [2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "9"], "there is no incident 9"),
        (["ack", "9", "--reason", "x"], "there is no incident 9"),
        (["ack", "1", "--reason", " "], "--reason must say why"),
        (["ack", "1"], "Missing option"),
        (["silence", "1", "--until", "soon", "--reason", "x"], "--until: 'soon' is neither a time"),
        (["silence", "1", "--until", "2020-01-01", "--reason", "x"], "2020-01-01 00:00 UTC is past"),
        (["--since", "yesterday"], "--since: 'yesterday' is not a time"),
        (["--owner", "team:a", "list"], "write options after list"),
        (["--state", "broken"], "Invalid value"),
    ],
)
def test_bad_input_is_told_and_changes_nothing(incidents: Incidents, arguments: list[str], said: str) -> None:
    before = incidents.json("show", "1")
    code, _, error = incidents(*arguments)
    assert code == 2
    assert said in error
    assert "Traceback" not in error
    assert incidents.json("show", "1") == before
