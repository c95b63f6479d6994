"""While nothing is wrong, alarms stay within what was promised, however often anybody looks."""

from collections.abc import Mapping
from datetime import timedelta

import numpy as np
import pytest

from mlops_assets.monitoring.alarms.decision import QUARTER, alpha_of
from mlops_assets.monitoring.windows import LENGTH
from mlops_assets_tests.monitoring.alarms.stable_streams import (
    SIX,
    Column,
    Level,
    autocorrelated,
    heavy,
    named,
    numbers,
    steady,
    stream,
    watched,
    weekly,
)

STREAMS, HISTORY, LATER = 20, 42, 40
THREE: Mapping[str, Column] = {"a": numbers, "b": numbers, "c": numbers}
HEAVY: Mapping[str, Column] = dict.fromkeys("abcdef", heavy)


def share_of_windows(columns: Mapping[str, Column], level: Level, alpha: float) -> tuple[float, float]:
    """Return the share of null windows with any alarm, and its standard error over streams."""
    shares = []
    for seed in range(STREAMS):
        windows = stream(seed, HISTORY + LATER, columns, level)
        said = watched(windows[:HISTORY], windows[HISTORY:], alpha)
        shares.append(np.mean([bool(named(each)) for each in said]))
    return float(np.mean(shares)), float(np.std(shares, ddof=1) / STREAMS**0.5)


@pytest.mark.parametrize(
    ("columns", "level", "alpha"),
    [
        pytest.param(SIX, steady, 0.05, id="independent rows"),
        pytest.param(SIX, autocorrelated, 0.05, id="autocorrelated days"),
        pytest.param(SIX, weekly, 0.05, id="weekdays that differ"),
        pytest.param(HEAVY, steady, 0.05, id="heavy tails"),
        pytest.param(THREE, steady, 0.1, id="three columns, and the most that a window may spend"),
    ],
)
def test_a_window_has_a_false_alarm_no_oftener_than_promised(
    columns: Mapping[str, Column], level: Level, alpha: float
) -> None:
    share, error = share_of_windows(columns, level, alpha)
    assert share <= alpha + 2 * error
    # An error bar that holds any share would make this a check that cannot fail.
    assert error < alpha / 3


def test_days_that_swing_as_their_history_did_not_are_an_alarm() -> None:
    """What the test above would find if natural variation were not allowed for."""
    history = stream(0, HISTORY)
    later = stream(1, LATER, level=autocorrelated)
    assert np.mean([bool(named(each)) for each in watched(history, later, 0.05)]) > 0.9


@pytest.mark.parametrize("budget", [0.25, 1.0, 4.0])
def test_looking_every_hour_spends_no_more_than_looking_every_day(budget: float) -> None:
    spent = {
        period: alpha_of(budget, period, 20) * 20 * (QUARTER / LENGTH[period])
        for period in ("hour", "day", "week", "month")
    }
    assert spent == pytest.approx(dict.fromkeys(spent, budget))


def test_a_budget_is_shared_by_the_models_and_no_window_spends_more_than_a_tenth() -> None:
    assert alpha_of(1, "day", 10) == pytest.approx(alpha_of(1, "day", 1) / 10)
    assert alpha_of(1, "month", 1) == 0.1
    assert alpha_of(1, "day", 0) == alpha_of(1, "day", 1)


def test_hours_spend_no_more_than_a_day_though_they_are_looked_at_oftener() -> None:
    columns: Mapping[str, Column] = {"a": numbers, "b": numbers}
    found = 0
    for seed in range(3):
        hours = stream(seed, 24 * 21, columns, rows=40, length=timedelta(hours=1))
        # 91 a quarter are one a day, so that there is something to count.
        said = watched(hours[: 24 * 14], hours[24 * 14 :], alpha_of(91, "hour", 1), period="hour")
        found += sum(bool(named(each)) for each in said)
    days = 3 * 7
    assert found <= days + 2 * days**0.5
