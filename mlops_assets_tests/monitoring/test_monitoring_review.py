"""The review tells what went wrong, what was done about it, and what is left to do."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from mlops_assets.governance.audit_entry import Entry
from mlops_assets.monitoring.fleet_state import FiledDecision, WindowGlance
from mlops_assets.monitoring.incidents.store import IncidentStore
from mlops_assets.monitoring.review import Declared, Review, review
from mlops_assets_tests.alarmed_fleet import ORDERS, START, AlarmedFleet, rules

SINCE, UNTIL = START, START + timedelta(days=90)
DAY = timedelta(days=1)


def window(model: str, day: int, **found: Any) -> WindowGlance:
    at = START + day * DAY
    plain: dict[str, Any] = {
        "owner": "team:a", "risk": "high", "metric": "roc_auc", "start": at, "end": at + DAY, "served": 100,
        "measured": 0.8, "estimated": 0.79, "drifted": 0, "alarms": 0, "harm": False, "cost": 0.5,
    }  # fmt: skip
    return WindowGlance(model=model, **{**plain, **found})


def entry(action: str, model: str, reason: str = "", seq: int = 1) -> Entry:
    return Entry(
        seq=seq, at="2026-03-20T10:00:00+00:00", actor="ann", action=action, model=model, reason=reason,
        evidence="", detail={}, previous="0" * 64,
    )  # fmt: skip


def reviewed(*declared: Declared, **more: Any) -> Review:
    given: dict[str, Any] = {"windows": [], "incidents": [], "decisions": [], "entries": [], **more}
    return review(declared, since=SINCE, until=UNTIL, **given)


def test_the_worst_comes_first_with_its_figures() -> None:
    declared = [Declared(name, "team:a", "limited") for name in ("calm", "sick")]
    windows = [
        *(window("calm", day) for day in range(3)),
        window("sick", 0, measured=0.7),
        window("sick", 1, measured=0.6, harm=True, alarms=2),
        window("sick", 2, measured=None, estimated=0.65),
        window("of another project", 0),
    ]
    decisions = [FiledDecision("sick", START + DAY, "harm", retrain=True, reason="roc_auc 0.6")]
    found = reviewed(*declared, windows=windows, decisions=decisions, entries=[entry("promote", "sick")])
    sick, calm = found.models
    assert (sick.declared.model, calm.declared.model) == ("sick", "calm")
    assert (sick.windows, sick.last, sick.worst, sick.estimated) == (3, 0.6, 0.6, 0.65)
    assert (sick.harm, sick.alarms, sick.changes, sick.retrained) == (1, 2, 1, 1)
    assert (calm.served, calm.cost) == (300, 0.5)
    assert found.to_do == ()


@pytest.mark.parametrize(
    ("declared", "windows", "told"),
    [
        (Declared("m", "team:a", "high"), [], "no window of it was looked at"),
        (Declared("m", "team:a", "high"), [window("m", 0, served=0, measured=None)], "answered nothing"),
        (Declared("m", "team:a", "high"), [window("m", 0, measured=None)], "no window with labels"),
        (Declared("m", "team:a", "high"), [window("m", 0, harm=True)], "did harm in 1 windows, and nothing"),
        (Declared("m", "team:a", "high", drill_age=30 * DAY), [window("m", 0)], "rehearsed never"),
        (
            Declared("m", "team:a", "high", drilled_at=START, drill_age=30 * DAY),
            [window("m", 0)],
            "rehearsed last on 2026-03-02",
        ),
    ],
)
def test_what_is_left_to_do_is_said_in_a_sentence(
    declared: Declared, windows: list[WindowGlance], told: str
) -> None:
    (sentence,) = reviewed(declared, windows=windows).to_do
    assert told in sentence
    assert reviewed(Declared("m", "team:a", "high", serves=False), windows=windows).to_do == ()


def test_incidents_of_an_owner_are_told_with_what_became_of_them(tmp_path: Any) -> None:
    fleet = AlarmedFleet()
    store = IncidentStore(f"sqlite:///{tmp_path / 'fleet.db'}")
    alarms = [fleet.drift(name, ORDERS, "price", "scaled") for name in ("m00", "m03", "m06")]
    store.take_in(alarms, fleet.models(), rules(), fleet.now)
    incidents = store.incidents()
    ours = [Declared(name, fleet.owner(name), "high") for name in ("m00", "m03", "m06")]
    found = reviewed(*ours, windows=[window(each.model, 0) for each in ours], incidents=incidents)
    assert len(found.incidents) == 1
    assert "waits for somebody" in found.to_do[0]
    others = reviewed(Declared("m20", "team:x", "high"), windows=[window("m20", 0)], incidents=incidents)
    assert others.incidents == []


def test_what_people_wrote_stays_text_in_both_forms() -> None:
    wild = "<script>alert(1)</script> | [x](javascript:1)"
    found = reviewed(Declared("m", "team:a", "high"), entries=[entry("rollback", "m", reason=wild)])
    document = found.document()
    assert "<script>" not in document.html
    assert "&lt;script&gt;" in document.html
    assert "<script>" not in document.markdown
    assert "# Health of the fleet" in document.markdown
    assert datetime.fromisoformat("2026-03-02") == START
