"""Harm and broken data wake people, drift that does none informs them, and each owner is judged apart."""

from typing import Any

import pytest

from mlops_assets.monitoring.incidents.alarm import KINDS, Alarm
from mlops_assets.monitoring.incidents.change import Change
from mlops_assets.monitoring.incidents.severity import severity_of
from mlops_assets.monitoring.incidents.suspects import Suspect
from mlops_assets_tests.alarmed_fleet import ORDERS, AlarmedFleet

FLEET = AlarmedFleet()
MODEL = Suspect(kind="model", model="m00")


def drift(move: str = "location", **more: Any) -> Alarm:
    return FLEET.drift("m00", ORDERS, "price", move, **more)


def missing(before: float, now: float, **more: Any) -> Alarm:
    return drift(change=Change(move="missing", before=before, now=now), **more)


@pytest.mark.parametrize(
    ("alarm", "severity"),
    [
        (drift(), "warning"),
        (drift(importance=0.4), "warning"),
        (drift(importance=0.0), "information"),
        (drift(importance=0.4, harm="measured"), "page"),
        (drift(importance=0.4, harm="estimated"), "page"),
        (drift("scaled"), "page"),
        (drift("scaled", importance=0.001), "information"),
        (drift("new_values"), "warning"),
        (missing(0.0, 0.6), "page"),
        (missing(0.5, 0.6), "warning"),
        (missing(0.0, 0.6, importance=0.001), "information"),
        (FLEET.alarm("m00", "prediction_drift"), "information"),
        (FLEET.alarm("m00", "cost"), "information"),
        (FLEET.alarm("m00", "missing_data"), "warning"),
        (FLEET.alarm("m00", "label_shift"), "warning"),
        (FLEET.alarm("m00", "latency"), "warning"),
    ],
)
def test_one_alarm(alarm: Alarm, severity: str) -> None:
    assert severity_of(MODEL, [alarm]) == severity


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_pages_without_harm_and_every_kind_with_it(kind: Any) -> None:
    assert severity_of(MODEL, [FLEET.alarm("m00", kind)]) != "page"
    assert severity_of(MODEL, [FLEET.alarm("m00", kind, harm="measured")]) == "page"


def test_an_estimate_that_broke_its_promise_wakes_nobody_and_labels_still_do() -> None:
    estimated = FLEET.alarm("m00", "estimated_performance", harm="estimated")
    untrusted = FLEET.alarm("m00", "untrusted_estimate")
    measured = FLEET.alarm("m00", "performance", harm="measured")
    assert severity_of(MODEL, [estimated, untrusted]) == "warning"
    assert severity_of(MODEL, [estimated, untrusted, measured]) == "page"
    of_another = FLEET.alarm("m01", "untrusted_estimate")
    assert severity_of(MODEL, [estimated, of_another]) == "page"


def test_the_gateway_pages_if_it_is_more_than_one_model() -> None:
    gateway = Suspect(kind="gateway")
    slow = FLEET.slow_gateway()
    assert severity_of(gateway, slow) == "page"
    assert severity_of(gateway, slow[:1]) == "warning"
