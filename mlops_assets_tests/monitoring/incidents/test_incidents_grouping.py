"""One fault is one group with the right cause; two are two; a lone alarm claims nothing about others."""

from datetime import timedelta
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.monitoring.incidents.alarm import Alarm
from mlops_assets.monitoring.incidents.assumptions import Assumptions
from mlops_assets.monitoring.incidents.cause import cause_of
from mlops_assets.monitoring.incidents.change import Change
from mlops_assets.monitoring.incidents.grouping import Standing, group
from mlops_assets.monitoring.incidents.suspects import Suspect
from mlops_assets.monitoring.incidents.upstream import Lineage
from mlops_assets_tests.alarmed_fleet import DAY, ORDERS, START, WEATHER, AlarmedFleet

GIVEN = Assumptions()


def found(fleet: AlarmedFleet, alarms: list[Alarm], standing: tuple[Standing, ...] = ()) -> dict[str, int]:
    """Return how many alarms each suspect was given."""
    groups = group(alarms, standing, fleet.lineage, GIVEN)
    assert sorted(a.stream for g in groups for a in g.alarms) == sorted(a.stream for a in alarms)
    assert len({g.suspect for g in groups}) == len(groups)
    return {g.suspect.place: len(g.alarms) for g in groups}


FAULTS = {
    "a unit": (lambda f: f.column_fault(ORDERS, "price"), f"column price of {ORDERS}"),
    "a category": (lambda f: f.column_fault(WEATHER, "kind", "new_values"), f"column kind of {WEATHER}"),
    "nulls": (lambda f: f.column_fault(ORDERS, "region", "missing"), f"column region of {ORDERS}"),
    "a late table": (lambda f: f.late_table(WEATHER), WEATHER),
    "labels": (lambda f: f.labels_jump(ORDERS), f"labels late of {ORDERS}"),
    "a deployment": (lambda f: f.bad_deploy("m06"), "m06 version 2"),
    "the gateway": (lambda f: f.slow_gateway(), "the gateway"),
    "all columns": (
        lambda f: [a for column in f.columns for a in f.column_fault(ORDERS, column, "location")],
        ORDERS,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_one_fault_is_one_group_with_its_cause(name: str) -> None:
    fleet = AlarmedFleet()
    make, place = FAULTS[name]
    alarms = make(fleet)
    if name == "labels":  # all models of the source have the same labels: the feed is the one column of it
        place = next(iter(found(fleet, alarms)))
        assert place in (f"labels late of {ORDERS}", f"labels of {ORDERS}")
    assert found(fleet, alarms) == {place: len(alarms)}


@pytest.mark.parametrize(("one", "other"), combinations(FAULTS, 2))
def test_two_faults_at_once_stay_two(one: str, other: str) -> None:
    """But what a fault of a source, or of the platform, may cause in the models that it hits."""
    fleet = AlarmedFleet()
    alarms = [*FAULTS[one][0](fleet), *FAULTS[other][0](fleet)]
    if {one, other} & {"all columns"} and {one, other} & {"a unit", "nulls"}:
        return  # one is part of the other
    assert len(found(fleet, alarms)) == 2


def test_most_models_suffice_and_each_missing_one_speaks_against() -> None:
    fleet = AlarmedFleet()
    alarms = fleet.column_fault(ORDERS, "price")
    assert found(fleet, alarms[:6]) == {f"column price of {ORDERS}": 6}
    one = found(fleet, alarms[:1])
    assert one == {"model m00": 1}


def test_who_was_not_judged_speaks_neither_for_nor_against() -> None:
    fleet = AlarmedFleet()
    fleet.readers[ORDERS] = ("m00", "m01", "m02")
    alone = fleet.column_fault(ORDERS, "price")[:1]
    models = [
        each.model_copy(update={"judged_until": None}) if each.model in ("m01", "m02") else each
        for each in fleet.models()
    ]
    (lonely,) = group(alone, (), Lineage(models), GIVEN)
    assert lonely.suspect.kind == "column"
    (spoken_against,) = group(alone, (), fleet.lineage, GIVEN)
    assert spoken_against.suspect.kind == "model"


def test_consequences_go_with_their_cause() -> None:
    fleet = AlarmedFleet()
    fault = fleet.column_fault(ORDERS, "price")
    follows = [
        fleet.alarm("m01", "prediction_drift", "prediction"),
        fleet.alarm("m01", "performance", "roc_auc", harm="measured"),
        fleet.alarm("m05", "estimated_performance", "roc_auc", harm="estimated"),
    ]
    elsewhere = fleet.alarm("m11", "performance", "roc_auc")
    assert found(fleet, [*fault, *follows, elsewhere]) == {
        f"column price of {ORDERS}": len(fault) + 3,
        "model m11": 1,
    }


def test_a_bad_deployment_is_not_hidden_by_a_fault_of_what_the_model_reads() -> None:
    fleet = AlarmedFleet()
    fault, deployed = fleet.column_fault(ORDERS, "price"), fleet.bad_deploy("m02")
    slow = [fleet.alarm("m02", "errors")]
    assert found(fleet, [*fault, *deployed, *slow]) == {f"column price of {ORDERS}": 8, "m02 version 2": 3}


def test_an_old_version_is_no_suspect() -> None:
    fleet = AlarmedFleet(day=20)
    fleet.deployed["m06"] = START
    alarms = [
        fleet.alarm("m06", "prediction_drift", "prediction"),
        fleet.alarm("m06", "performance", "roc_auc"),
    ]
    assert found(fleet, alarms) == {"model m06": 2}


def test_what_began_at_another_time_is_another_matter() -> None:
    fleet = AlarmedFleet(day=10)
    alarms = fleet.column_fault(ORDERS, "price")
    early = [
        alarm.model_copy(update={"start": alarm.start - 8 * DAY, "end": alarm.end - 8 * DAY})
        for alarm in alarms[:4]
    ]
    groups = group([*early, *alarms[4:]], (), fleet.lineage, GIVEN)
    assert sorted(len(g.alarms) for g in groups) == [4, 4]


def test_a_known_fault_takes_what_comes_later_and_shared_faults_swallow_small_ones() -> None:
    fleet = AlarmedFleet()
    first = fleet.column_fault(ORDERS, "price")[:1]
    alone = Standing(1, Suspect(kind="model", model="m00"), START, tuple(first))
    fleet.day = 1
    later = fleet.column_fault(ORDERS, "price")[1:]
    (grown,) = group(later, [alone], fleet.lineage, GIVEN)
    assert grown.suspect == Suspect(kind="column", source=ORDERS, column="price")
    assert grown.absorbs == (1,)
    settled = Standing(1, alone.suspect, START, alone.alarms, settled=True)
    (beside,) = group(later, [settled], fleet.lineage, GIVEN)
    assert beside.absorbs == ()
    known = Standing(2, grown.suspect, START, tuple(first))
    (joined,) = group(later[:1], [known], fleet.lineage, GIVEN)
    assert joined.joins == 2


def test_the_cause_is_told_in_words_and_figures() -> None:
    fleet = AlarmedFleet()
    change = Change(move="scaled", factor=1000.0)
    alarms = fleet.column_fault(ORDERS, "price", change=change)[:7]
    cause = cause_of(Suspect(kind="column", source=ORDERS, column="price"), alarms, fleet.lineage, GIVEN)
    assert cause.title == f"column price of {ORDERS}: values are multiplied by about 1000"
    assert cause.since == START
    assert cause.hit == tuple(f"m{n:02}" for n in range(7))
    assert cause.spared == ("m07",)
    assert "7 of 8 models downstream judged since show it, where chance would make 0.008" in cause.why
    assert "7 of 7 moved in the same way" in cause.why
    assert cause.figures["signs"] == 7
    assert cause.figures["could"] == 8
    assert cause.figures["ratio"] > 15


@given(
    st.lists(st.sampled_from(sorted(set(FAULTS) - {"labels"})), min_size=1, max_size=4, unique=True),
    st.randoms(use_true_random=False),
)
def test_the_order_of_alarms_does_not_matter_and_each_is_in_one_group(
    names: list[str], random: object
) -> None:
    fleet = AlarmedFleet()
    alarms = list({a.stream: a for name in names for a in FAULTS[name][0](fleet)}.values())
    shuffled = list(alarms)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert found(fleet, alarms) == found(fleet, shuffled)


def test_hours_and_weeks_are_held_together_by_their_own_measure() -> None:
    fleet = AlarmedFleet()
    alarms = fleet.column_fault(ORDERS, "price")
    week = alarms[0].model_copy(update={"start": START - timedelta(days=6)})
    assert found(fleet, [week, *alarms[1:]]) == {f"column price of {ORDERS}": 8}
