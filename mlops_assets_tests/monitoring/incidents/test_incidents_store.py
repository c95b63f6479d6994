"""Incidents live as promised, on both databases: told once, never twice the same, and ended by quiet."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mlops_assets.errors import IncidentError
from mlops_assets.monitoring.incidents import life, tables
from mlops_assets.monitoring.incidents.alarm import Alarm
from mlops_assets.monitoring.incidents.incident import STATES, Incident
from mlops_assets.monitoring.incidents.intake import Taken
from mlops_assets.monitoring.incidents.store import IncidentStore
from mlops_assets.monitoring.incidents.suspects import Suspect
from mlops_assets.specs.alert_rules import Alerts
from mlops_assets_tests.alarmed_fleet import DAY, ORDERS, START, WEATHER, AlarmedFleet, rules
from mlops_assets_tests.together import together

PAGER = {"owner": "*", "severity": "page", "url_env": "PAGER"}
MAIL = {"owner": "*", "severity": "information", "url_env": "MAIL"}


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[IncidentStore]:
    if request.param == "sqlite":
        yield IncidentStore(f"sqlite:///{tmp_path / 'fleet.db'}")
        return
    url = os.environ.get("MLOPS_TEST_POSTGRES_URL")
    if not url:
        pytest.skip("MLOPS_TEST_POSTGRES_URL names no database")
    names = (tables.INCIDENTS, tables.HIT, tables.STREAMS, tables.EVENTS, tables.NOTICES)
    with sa.create_engine(url).begin() as connection:
        connection.execute(sa.text("; ".join(f"DROP TABLE IF EXISTS {name}" for name in names)))
    yield IncidentStore(url)


@pytest.fixture
def fleet() -> AlarmedFleet:
    return AlarmedFleet()


def passed(
    store: IncidentStore, fleet: AlarmedFleet, alarms: list[Alarm], given: Alerts | None = None
) -> Taken:
    """Run a pass after the fleet's day, and begin the next day."""
    taken = store.take_in(alarms, fleet.models(), given or rules(routes=(PAGER,)), fleet.now)
    fleet.day += 1
    return taken


def quiet(
    store: IncidentStore, fleet: AlarmedFleet, days: int = 3, given: Alerts | None = None
) -> list[Taken]:
    return [passed(store, fleet, [], given) for _ in range(days)]


def what(store: IncidentStore, number: int) -> list[str]:
    return [event.what for event in store.timeline(number)]


def everything(store: IncidentStore) -> Any:
    found = store.incidents(states=STATES)
    return [(each, store.timeline(each.id), store.streams(each.id)) for each in found]


def only(store: IncidentStore) -> Incident:
    (incident,) = store.incidents(states=STATES)
    return incident


def test_a_fault_is_one_incident_and_the_same_pass_again_changes_nothing(
    store: IncidentStore, fleet: AlarmedFleet
) -> None:
    alarms = fleet.column_fault(ORDERS, "price")
    taken = passed(store, fleet, alarms)
    assert (len(taken.opened), taken.notices) == (1, 1)
    before = everything(store)
    fleet.day -= 1
    again = passed(store, fleet, list(reversed(alarms)))
    assert again == Taken((), (), (), (), 0)
    assert everything(store) == before
    incident = only(store)
    assert (incident.severity, incident.state) == ("page", "open")
    assert incident.cause.suspect == Suspect(kind="column", source=ORDERS, column="price")
    assert len(incident.models) == 8
    assert set(incident.owners) == {"team:a", "team:b", "team:c"}


def test_while_it_goes_on_nobody_is_told_again_before_the_cooldown(
    store: IncidentStore, fleet: AlarmedFleet
) -> None:
    given = rules(routes=(PAGER,), cooldown="3d")
    told = [passed(store, fleet, fleet.column_fault(ORDERS, "price"), given).notices for _ in range(7)]
    assert told == [1, 0, 0, 1, 0, 0, 1]
    assert {stream.windows for stream in store.streams(only(store).id)} == {7}
    assert what(store, only(store).id) == ["opened"]


def test_what_comes_later_joins_and_owners_it_begins_to_concern_are_told(
    store: IncidentStore, fleet: AlarmedFleet
) -> None:
    routes = [{"owner": f"team:{x}", "severity": "warning", "url_env": x.upper()} for x in "abc"]
    given = rules(routes=tuple(routes), cooldown="30d")
    fault = fleet.column_fault(ORDERS, "price")
    early = [alarm for alarm in fault if alarm.owner != "team:c"]
    assert passed(store, fleet, early, given).notices == 2
    later = passed(store, fleet, fleet.column_fault(ORDERS, "price"), given)
    assert (later.opened, later.notices) == ((), 1)
    incident = only(store)
    assert len(incident.models) == 8
    assert what(store, incident.id) == ["opened", "joined"]
    assert "2 more, of m02, m05" in store.timeline(incident.id)[1].text


def test_small_incidents_that_turn_out_to_be_one_become_one(
    store: IncidentStore, fleet: AlarmedFleet
) -> None:
    fault = fleet.column_fault(ORDERS, "price", "location")
    (small,) = passed(store, fleet, fault[:1]).opened
    assert only(store).cause.suspect.kind == "model"
    fault = fleet.column_fault(ORDERS, "price", "location")
    assert passed(store, fleet, fault).opened == ()
    incident = only(store)
    assert incident.id == small
    assert incident.cause.suspect.kind == "column"
    assert len(incident.models) == 8
    assert "cause" in what(store, small)


def test_two_small_ones_that_are_one_end_as_one_without_a_second_word(
    store: IncidentStore, fleet: AlarmedFleet
) -> None:
    given = rules(routes=(MAIL,), cooldown="30d")
    first = passed(store, fleet, [fleet.drift("m00", ORDERS, "price")], given)
    second = passed(store, fleet, [fleet.drift("m03", ORDERS, "amount")], given)
    assert (len(first.opened), len(second.opened)) == (1, 1)
    every = [a for column in fleet.columns for a in fleet.column_fault(ORDERS, column, "location")]
    taken = passed(store, fleet, every, given)
    assert (taken.opened, taken.merged, taken.notices) == ((), second.opened, 0)
    survivor, gone = store.incident(first.opened[0]), store.incident(second.opened[0])
    assert survivor.cause.suspect == Suspect(kind="broken_source", source=ORDERS)
    assert (gone.state, gone.merged_into) == ("resolved", survivor.id)
    assert what(store, gone.id)[-1] == "merged"
    with pytest.raises(IncidentError, match=f"it is part of incident {survivor.id}"):
        store.change(gone.id, lambda each: life.acknowledged(each, "ada", "mine", fleet.now))


def test_it_ends_after_quiet_windows_of_every_model_and_only_then(
    store: IncidentStore, fleet: AlarmedFleet
) -> None:
    passed(store, fleet, fleet.column_fault(ORDERS, "price"))
    assert [len(taken.ended) for taken in quiet(store, fleet, 2)] == [0, 0]
    passed(store, fleet, fleet.column_fault(ORDERS, "price")[:1])
    not_judged = store.take_in([], fleet.models(judged=False), rules(), fleet.now)
    assert not_judged.ended == ()
    assert [len(taken.ended) for taken in quiet(store, fleet, 3)] == [0, 0, 1]
    assert only(store).state == "resolved"
    assert "3 windows in a row" in store.timeline(only(store).id)[-1].text


def test_a_model_that_left_the_fleet_keeps_no_incident_alive(
    store: IncidentStore, fleet: AlarmedFleet
) -> None:
    passed(store, fleet, [fleet.alarm("m00", "performance", "roc_auc")])
    rest = [each for each in fleet.models() if each.model != "m00"]
    assert len(store.take_in([], rest, rules(), fleet.now).ended) == 1


def test_what_returns_is_the_same_incident_and_what_ended_long_ago_is_not(
    store: IncidentStore, fleet: AlarmedFleet
) -> None:
    given = rules(routes=(PAGER,), cooldown="30d")
    passed(store, fleet, fleet.column_fault(ORDERS, "price"), given)
    quiet(store, fleet, 3, given)
    back = passed(store, fleet, fleet.column_fault(ORDERS, "price"), given)
    assert (back.opened, len(back.reopened), back.notices) == ((), 1, 0)
    assert (only(store).state, only(store).reopened) == ("open", 1)
    quiet(store, fleet, 3, given)
    fleet.day += 8
    assert len(passed(store, fleet, fleet.column_fault(ORDERS, "price"), given).opened) == 1


def test_who_ended_it_in_person_is_told_at_once_that_it_is_back(
    store: IncidentStore, fleet: AlarmedFleet
) -> None:
    given = rules(routes=(PAGER,), cooldown="30d")
    (number,) = passed(store, fleet, fleet.column_fault(ORDERS, "price"), given).opened
    store.change(number, lambda each: life.resolved(each, "ada", "rolled back the loader", fleet.now))
    fleet.day -= 1
    assert passed(store, fleet, fleet.column_fault(ORDERS, "price"), given) == Taken((), (), (), (), 0)
    back = passed(store, fleet, fleet.column_fault(ORDERS, "price"), given)
    assert (back.reopened, back.notices) == ((number,), 1)


def test_people_act_with_their_reasons_and_nobody_is_reminded_of_what_is_in_hand(
    store: IncidentStore, fleet: AlarmedFleet
) -> None:
    given = rules(routes=(PAGER,), cooldown="1d", escalate_after="1d", escalate_to_env="BOSS")
    (number,) = passed(store, fleet, fleet.column_fault(ORDERS, "price"), given).opened
    store.change(number, lambda each: life.acknowledged(each, "ada", "it is ours", fleet.now))
    assert passed(store, fleet, fleet.column_fault(ORDERS, "price"), given).notices == 0
    event = store.timeline(number)[-1]
    assert (event.what, event.actor, event.text) == ("acknowledged", "ada", "it is ours")
    store.change(number, lambda each: life.resolved(each, "ada", "mended", fleet.now))
    with pytest.raises(IncidentError, match=f"incident {number} is over already"):
        store.change(number, lambda each: life.resolved(each, "ada", "again", fleet.now))
    with pytest.raises(IncidentError, match="there is no incident 99"):
        store.incident(99)


def test_a_page_that_nobody_acknowledges_is_escalated_once(store: IncidentStore, fleet: AlarmedFleet) -> None:
    given = rules(routes=(PAGER,), cooldown="30d", escalate_after="2d", escalate_to_env="BOSS")
    told = [passed(store, fleet, fleet.column_fault(ORDERS, "price"), given).notices for _ in range(5)]
    assert told == [1, 0, 1, 0, 0]
    assert what(store, only(store).id) == ["opened", "escalated"]


def test_silence_holds_until_its_end_and_for_nothing_worse(store: IncidentStore, fleet: AlarmedFleet) -> None:
    given = rules(routes=(MAIL,), cooldown="1d")
    (number,) = passed(store, fleet, fleet.column_fault(ORDERS, "price", "location"), given).opened
    assert store.incident(number).severity == "warning"
    end = fleet.now + 2 * DAY
    store.change(number, lambda each: life.silenced(each, end, "ada", "a sale", fleet.now))
    told = [
        passed(store, fleet, fleet.column_fault(ORDERS, "price", "location"), given).notices for _ in range(3)
    ]
    assert told == [0, 0, 1]
    store.change(number, lambda each: life.silenced(each, fleet.now + 9 * DAY, "ada", "a sale", fleet.now))
    worse = [
        *fleet.column_fault(ORDERS, "price", "location"),
        fleet.alarm("m01", "performance", "auc", harm="measured"),
    ]
    assert passed(store, fleet, worse, given).notices == 1
    assert store.incident(number).severity == "page"
    with pytest.raises(IncidentError, match="is past"):
        store.change(number, lambda each: life.silenced(each, START, "ada", "oops", fleet.now))


def test_whom_no_route_leads_to_is_on_the_timeline_once(store: IncidentStore, fleet: AlarmedFleet) -> None:
    given = rules(routes=({"owner": "team:a", "severity": "page", "url_env": "A"},))
    for _ in range(3):
        passed(store, fleet, fleet.column_fault(ORDERS, "price"), given)
    said = [event.text for event in store.timeline(only(store).id) if event.what == "not_told"]
    assert said == [f"no route of the policy takes a page of team:{x}" for x in "bc"]


def test_a_slow_gateway_wakes_the_platforms_people_and_no_others(
    store: IncidentStore, fleet: AlarmedFleet
) -> None:
    platform = {"owner": "platform", "severity": "page", "url_env": "PLATFORM"}
    teams = [{"owner": f"team:{x}", "severity": "page", "url_env": x.upper()} for x in "abc"]
    assert passed(store, fleet, fleet.slow_gateway(), rules(routes=(platform, *teams))).notices == 1
    incident = only(store)
    assert (incident.owner, incident.severity) == ("platform", "page")
    assert [each.id for each in store.incidents(owner="platform")] == [incident.id]


def test_incidents_are_found_by_owner_model_state_and_time(store: IncidentStore, fleet: AlarmedFleet) -> None:
    (column,) = passed(store, fleet, fleet.column_fault(ORDERS, "price")).opened
    (late,) = passed(store, fleet, fleet.late_table(WEATHER)).opened

    def ids(**query: Any) -> list[int]:
        return [each.id for each in store.incidents(**query)]

    assert ids() == [column, late]
    assert ids(model="m00") == [column]
    assert ids(model="m11") == [late]
    assert ids(model="m05") == [column, late]
    assert ids(owner="team:a") == [column, late]
    assert ids(owner="team:z") == []
    assert ids(since=START + 2 * DAY) == [late]
    assert ids(states=("resolved",)) == []
    assert [each.id for each in store.by_model()["m05"]] == [column, late]


def test_a_window_that_is_judged_anew_brings_its_new_figures_and_no_second_incident(
    store: IncidentStore, fleet: AlarmedFleet
) -> None:
    alarm = fleet.alarm("m00", "performance", "auc")
    passed(store, fleet, [alarm])
    fleet.day -= 1
    taken = passed(store, fleet, [alarm.model_copy(update={"harm": "measured"})])
    assert (taken.opened, taken.notices) == ((), 1)
    assert only(store).severity == "page"
    assert [stream.windows for stream in store.streams(only(store).id)] == [1]


def test_a_late_label_says_nothing_about_quiet_since(store: IncidentStore, fleet: AlarmedFleet) -> None:
    """Performance of a window that is a month over is told today; it ends by windows from now on."""
    fleet.day = 30
    old = fleet.alarm("m00", "performance", "auc", start=START, end=START + DAY)
    passed(store, fleet, [old])
    assert [len(taken.ended) for taken in quiet(store, fleet, 3)] == [0, 0, 1]


def _take_in(arguments: tuple[str, int]) -> int:
    url, _ = arguments
    fleet = AlarmedFleet()
    store = IncidentStore(url)
    return len(store.take_in(fleet.column_fault(ORDERS, "price"), fleet.models(), rules(), fleet.now).opened)


def test_passes_that_run_together_open_one_incident(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'fleet.db'}"
    assert sum(together(_take_in, [(url, n) for n in range(2)])) == 1


def test_ten_thousand_incidents_do_not_slow_down_the_few_that_go_on(tmp_path: Path) -> None:
    """By the work that the database does, which no busy machine alters."""
    store, fleet = IncidentStore(f"sqlite:///{tmp_path / 'fleet.db'}"), AlarmedFleet()
    passed(store, fleet, fleet.column_fault(ORDERS, "price"))
    incident = only(store)
    database = store._database
    with database.begin() as connection:
        table = database.tables[tables.INCIDENTS]
        body = incident.model_dump_json(exclude={"id"})
        row = {
            "suspect": "x",
            "state": "resolved",
            "resolved_at": START,
            "last_alarm_at": START,
            "body": body,
        }
        connection.execute(table.insert(), [row] * 10_000)
        for query in (
            table.select().where(table.c.state.in_(["open", "acknowledged"])),
            table.select().where((table.c.state == "resolved") & (table.c.resolved_at >= START + DAY)),
        ):
            text = str(query.compile(connection, compile_kwargs={"literal_binds": True}))
            plan = " ".join(str(row) for row in connection.execute(sa.text(f"EXPLAIN QUERY PLAN {text}")))
            assert "USING INDEX incidents_by_state" in plan
    assert [each.id for each in store.incidents()] == [incident.id]
