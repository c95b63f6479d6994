"""Intervals grow as far as the audits ask, whatever the world does."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.monitoring.estimation.audit import AuditedWindow, audit
from mlops_assets.monitoring.estimation.estimate import Estimate, reach
from mlops_assets.monitoring.estimation.widening import STEP, widen

OWN = Estimate("mae", 10.0, 0, 0, 0.95, 1.0, 0.0, 0.0, 1e9, 1000.0).within(reach(1e9, 0.95))


def audited(off: list[float]) -> list[AuditedWindow]:
    """Return windows that were measured so many standard errors off, each widened by those before it."""
    found: list[AuditedWindow] = []
    for each in off:
        found.append(audit(widen(OWN, found), OWN.value + each))
    return found


@given(st.lists(st.one_of(st.floats(-9, 9), st.sampled_from([0.0, 2.5, 50.0, 1e6])), max_size=80))
@settings(max_examples=60, deadline=None)
def test_misses_are_bounded_whatever_is_measured(off: list[float]) -> None:
    windows = audited(off)
    assert sum(not window.covered for window in windows) <= 0.05 * len(off) + (0.05 + STEP) / STEP


def test_misses_are_bounded_when_the_world_goes_where_the_interval_ends() -> None:
    windows: list[AuditedWindow] = []
    for _ in range(400):
        given_out = widen(OWN, windows)
        windows.append(audit(given_out, given_out.high + 0.01 if math.isfinite(given_out.high) else 1e9))
    assert sum(not window.covered for window in windows) <= 0.05 * 400 + (0.05 + STEP) / STEP


@given(st.lists(st.floats(-5, 5), max_size=40))
@settings(deadline=None)
def test_an_interval_is_never_narrower_than_the_estimators_own(off: list[float]) -> None:
    found = widen(OWN, audited(off))
    assert found.low <= OWN.low
    assert found.high >= OWN.high
    assert found.value == OWN.value


def test_as_long_as_intervals_hold_they_stay_as_they_are() -> None:
    assert widen(OWN, []).high == pytest.approx(OWN.high)
    assert widen(OWN, audited([1.0, -1.5, 0.2] * 10)).high == pytest.approx(OWN.high)


def test_an_estimator_that_is_off_by_a_lot_soon_says_so() -> None:
    assert widen(OWN, audited([8.0])).high - OWN.value > 1.2 * (OWN.high - OWN.value)
    found = widen(OWN, audited([7.0, 8.0, 7.5]))
    assert found.low <= OWN.value - 7 < OWN.value + 7 <= found.high
