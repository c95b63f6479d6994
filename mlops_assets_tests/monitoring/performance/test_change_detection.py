"""A change of level: found soon, dated, and not seen where there is none, however often anybody looks."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.monitoring.performance.change_detection import (
    FEWEST_STABLE,
    HOURS_A_QUARTER,
    Change,
    rise,
    stable_level,
)

DAYS = 183
QUARTERS = DAYS * 24 / HOURS_A_QUARTER
WITHIN = 0.15**2
SPREAD = 0.02  # standard deviation from day to day beyond chance
ROWS = 150
DEVIATION = float(np.sqrt(SPREAD**2 + WITHIN / ROWS))


def stream(
    generator: np.random.Generator, days: int, correlation: float = 0.0, shape: str = "normal"
) -> tuple[Any, Any]:
    """Return daily losses and rows a day."""
    shocks = generator.normal(size=days)
    weather = np.empty(days)
    state = 0.0
    for day in range(days):
        state = correlation * state + np.sqrt(1 - correlation**2) * shocks[day] if day else shocks[0]
        weather[day] = state
    if shape == "skewed":
        weather = (np.exp(0.7 * weather) - np.exp(0.245)) / 1.02
    rows = generator.integers(50, 300, days).astype(float)
    chance = generator.normal(size=days) * np.sqrt(WITHIN / rows)
    return 0.15 + SPREAD * weather + chance, rows


def watched(figures: Any, rows: Any, stable: int, **more: Any) -> Change:
    level = stable_level(figures[:stable], rows[:stable], WITHIN)
    return rise(
        level,
        figures[stable:],
        rows[stable:],
        **{"hours": np.full(len(figures) - stable, 24.0), "budget": 0.25, **more},
    )


@pytest.mark.parametrize("shape", ["normal", "skewed"])
@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("stable", [21, 60])
def test_false_alarms_stay_within_the_budget(stable: int, correlation: float, shape: str) -> None:
    generator = np.random.default_rng(stable)
    alarms, quarters = 0, 0.0
    for _ in range(100):
        found = watched(*stream(generator, stable + DAYS, correlation, shape), stable)
        alarms += found.alarm is not None
        quarters += QUARTERS if found.alarm is None else (found.alarm + 1) * 24 / HOURS_A_QUARTER
    assert alarms / quarters <= 0.25


@pytest.mark.parametrize(
    ("shift", "stable", "within"), [(1.0, 60, 30), (2.0, 60, 12), (2.0, 21, 16), (5.0, 21, 7)]
)
def test_a_rise_is_found_within_days_and_dated(shift: float, stable: int, within: int) -> None:
    generator = np.random.default_rng(0)
    delays, began, sizes = [], [], []
    for _ in range(60):
        figures, rows = stream(generator, stable + 120)
        figures[stable + 20 :] += shift * DEVIATION
        found = watched(figures, rows, stable)
        assert found.began is not None or found.alarm is None
        delays.append(200 if found.alarm is None else found.alarm - 20 + 1)
        if found.alarm is not None and found.alarm >= 20:
            began.append(found.began - 20)
            sizes.append((found.size - shift * DEVIATION) / found.error)
    assert np.median(delays) <= within
    assert abs(np.median(began)) <= 3
    assert np.mean(np.abs(sizes) < 3) > 0.8


def test_what_is_looked_at_by_the_hour_has_no_more_false_alarms_than_by_the_day() -> None:
    generator = np.random.default_rng(0)
    alarms = 0
    for _ in range(60):
        figures, rows = stream(generator, 24 * 45, 0.0)
        found = watched(figures, rows, 24 * 14, hours=np.full(24 * 31, 1.0), budget=1.0)
        alarms += found.alarm is not None
    assert alarms / (60 * 31 * 24 / HOURS_A_QUARTER) <= 1.0


@given(st.integers(0, 999), st.integers(0, 60))
def test_a_look_says_of_the_past_what_looks_in_the_past_said(seed: int, days: int) -> None:
    figures, rows = stream(np.random.default_rng(seed), 80)
    figures[50:] += 0.05
    whole, part = (watched(figures[:end], rows[:end], 20) for end in (80, 20 + days))
    # The rows of a usual block are those of all blocks unless they are given.
    level = stable_level(figures[:20], rows[:20], WITHIN)
    hours = np.full(60, 24.0)
    whole = rise(level, figures[20:], rows[20:], hours=hours, budget=0.25, stable_rows=ROWS)
    part = rise(
        level, figures[20:][:days], rows[20:][:days], hours=hours[:days], budget=0.25, stable_rows=ROWS
    )
    np.testing.assert_allclose(part.evidence, whole.evidence[:days])
    if part.alarm is not None:
        assert (part.alarm, part.began) == (whole.alarm, whole.began)


def test_less_than_matters_is_none() -> None:
    figures, rows = stream(np.random.default_rng(0), 260)
    figures[60:] += DEVIATION
    assert watched(figures, rows, 60).alarm is not None
    assert watched(figures, rows, 60, least=1.5 * DEVIATION).alarm is None


def test_an_improvement_is_no_rise() -> None:
    figures, rows = stream(np.random.default_rng(0), 260)
    figures[60:] -= 3 * DEVIATION
    assert watched(figures, rows, 60).alarm is None


def test_one_terrible_day_is_one_day() -> None:
    figures, rows = stream(np.random.default_rng(0), 160)
    figures[100] += 100 * DEVIATION
    assert watched(figures, rows, 60).alarm is None


def test_a_longer_stable_past_makes_it_quicker() -> None:
    evidence = {}
    for stable in (10, 100):
        generator, found = np.random.default_rng(0), []
        for _ in range(30):
            figures, rows = stream(generator, stable + 30)
            figures[stable:] += 1.5 * DEVIATION
            change = watched(figures, rows, stable)
            found.append(31 if change.alarm is None else change.alarm)
        evidence[stable] = np.mean(found)
    assert evidence[100] < evidence[10]


def test_a_stable_past_has_to_be_one() -> None:
    with pytest.raises(ValueError, match=f"a stable past needs {FEWEST_STABLE}"):
        stable_level(np.zeros(3), np.ones(3), 1.0)
    nothing = watched(*stream(np.random.default_rng(0), 20), 20)
    assert (nothing.alarm, len(nothing.evidence)) == (None, 0)


def test_a_figure_that_never_varied_is_no_trouble() -> None:
    figures, rows = np.full(60, 0.1), np.full(60, 100.0)
    level = stable_level(figures[:20], rows[:20], 0.0)
    found = rise(level, figures[20:], rows[20:], hours=np.full(40, 24.0), budget=0.25)
    assert found.alarm is None
    figures[40:] = 0.2
    assert rise(level, figures[20:], rows[20:], hours=np.full(40, 24.0), budget=0.25).alarm is not None


def test_neighbours_that_resemble_each_other_are_told_from_those_that_do_not() -> None:
    generator = np.random.default_rng(0)
    runs = []
    for correlation in (0.0, 0.8):
        figures, rows = stream(generator, 400, correlation)
        runs.append(stable_level(figures, rows * 1e6, 0.0).run)
    assert 1 <= runs[0] < 1.5
    assert runs[1] > 4
