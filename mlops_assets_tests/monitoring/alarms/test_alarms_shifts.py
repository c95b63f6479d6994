"""What goes wrong is named: the column, what of it moved, and by how much."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from mlops_assets.monitoring.alarms.baseline import Baseline
from mlops_assets.monitoring.alarms.decision import Movement, alpha_of, movements
from mlops_assets.monitoring.profiles.column import ColumnProfile, of_numbers
from mlops_assets.monitoring.profiles.profile import Profile
from mlops_assets_tests.monitoring.alarms.stable_streams import (
    SIX,
    Column,
    Windows,
    autocorrelated,
    counts,
    named,
    numbers,
    of_texts,
    skewed,
    stream,
    texts,
    watched,
)

HISTORY, ROWS = 42, 2000
ALPHA = alpha_of(1, "day", 1)


def moved(normal: Column, wrong: Column, seed: int = 0, **drawn: Any) -> list[list[Movement]]:
    """Return what is said in fourteen days in which the column "x" is wrong, beside five that are not."""
    history = stream(seed, HISTORY, {**SIX, "x": normal}, rows=ROWS, **drawn)
    later = stream(seed + 1, 14, {**SIX, "x": wrong}, rows=ROWS, **drawn)
    return watched(history, [(start + HISTORY * timedelta(days=1), each) for start, each in later], ALPHA)


def delay(said: list[list[Movement]]) -> int:
    """Return in which window "x" is named first, from 0."""
    return next((number for number, each in enumerate(said) if "x" in named(each)), 99)


def scaled(factor: float) -> Column:
    return lambda normal: of_numbers(factor * np.exp(normal))


def with_missing(normal: np.ndarray[Any, Any]) -> ColumnProfile:
    return of_numbers(np.where(np.arange(len(normal)) % 20 == 0, np.nan, normal))


def spikes(normal: np.ndarray[Any, Any]) -> ColumnProfile:
    return of_numbers(np.where(np.arange(len(normal)) % 100 == 0, 1000.0, normal))


def another_text(normal: np.ndarray[Any, Any]) -> ColumnProfile:
    """Six points more of the second text, which the others lack."""
    counted = np.bincount(np.searchsorted([-0.2533, 0.5244, 1.2816], normal), minlength=4)
    return of_texts(counted + np.array([-60, 120, -60, 0]))


def new_text(normal: np.ndarray[Any, Any]) -> ColumnProfile:
    counted = np.bincount(np.searchsorted([-0.2533, 0.5244, 1.2816], normal), minlength=5)
    return of_texts(counted + np.array([-20, 0, 0, 0, 20]))


@pytest.mark.parametrize(
    ("normal", "wrong", "figure", "within"),
    [
        pytest.param(numbers, lambda z: numbers(z + 0.1), "location", 3, id="mean + .1 sd"),
        pytest.param(numbers, lambda z: numbers(z + 0.3), "location", 0, id="mean + .3 sd"),
        pytest.param(skewed, lambda z: skewed(z + 0.3), "location", 0, id="skewed, + .3 sd of its logarithm"),
        pytest.param(counts, lambda z: counts(z + 0.3), "location", 0, id="counts + .3 sd"),
        pytest.param(numbers, lambda z: numbers(z * 1.5**0.5), "spread", 0, id="variance x 1.5"),
        pytest.param(numbers, with_missing, "missing", 0, id="5 % missing"),
        pytest.param(skewed, scaled(2.54), "location", 0, id="centimetres for inches"),
        pytest.param(numbers, spikes, "out of range", 0, id="1 % where none was before"),
        pytest.param(texts, another_text, "= b", 0, id="one category + 6 points"),
        pytest.param(texts, new_text, "new values", 0, id="1 % of a new category"),
    ],
)
def test_what_moved_is_named_soon_and_for_what_it_is(
    normal: Column, wrong: Column, figure: str, within: int
) -> None:
    said = moved(normal, wrong)
    found = delay(said)
    assert found <= within
    movement = next(each for each in said[found] if each.column == "x")
    assert movement.figure == figure
    # What is named beside it is rarely wrong.
    assert sum(len(named(each) - {"x"}) for each in said) <= 1


@pytest.mark.parametrize("deviations", [0.1, 0.3])
def test_an_effect_is_told_in_standard_deviations_with_its_sign(deviations: float) -> None:
    said = moved(numbers, lambda normal: numbers(normal - deviations))
    movement = next(each for each in said[-1] if each.column == "x")
    assert movement.effect == pytest.approx(-deviations, abs=0.06)


def test_a_shift_within_what_days_differ_by_is_none_and_one_beyond_it_is() -> None:
    within = moved(numbers, lambda normal: numbers(normal + 0.1), level=autocorrelated)
    beyond = moved(numbers, lambda normal: numbers(normal + 1), level=autocorrelated)
    assert delay(within[:3]) == 99
    assert delay(beyond) <= 2


def test_a_shift_too_small_to_matter_is_quiet_however_many_rows_show_it() -> None:
    columns: Mapping[str, Column] = {"x": numbers, "y": numbers}
    shifted: Mapping[str, Column] = {"x": lambda z: numbers(z + 0.03), "y": lambda z: numbers(z + 0.15)}
    history = stream(0, 10, columns, rows=100_000)
    later = stream(1, 2, shifted, rows=100_000)
    assert named(watched(history, later, ALPHA)[-1]) == {"x", "y"}
    assert named(watched(history, later, ALPHA, least_effect=0.1)[-1]) == {"y"}


def test_where_something_is_wrong_what_moved_less_is_named_beside_it() -> None:
    columns: Mapping[str, Column] = {"a": numbers, "b": numbers, "c": numbers}
    history = stream(0, HISTORY, columns, rows=ROWS)

    def said(of_a: float) -> set[str]:
        shifted = {**columns, "a": lambda z: numbers(z + of_a), "b": lambda z: numbers(z + 0.09)}
        return named(watched(history, stream(5, 1, shifted, rows=ROWS), 1e-4)[0])

    assert said(0) == set()
    assert said(1) == {"a", "b"}


def test_few_columns_are_enough_to_find_a_shift() -> None:
    for count in (1, 3):
        columns: Mapping[str, Column] = {f"c{number}": numbers for number in range(count)}
        delays = []
        for seed in range(5):
            history = stream(seed, HISTORY, columns, rows=ROWS)
            shifted = {**columns, "c0": lambda normal: numbers(normal + 0.1)}
            said = watched(history, stream(seed + 100, 14, shifted, rows=ROWS), ALPHA)
            delays.append(next((at for at, each in enumerate(said) if "c0" in named(each)), 99))
        assert max(delays) <= 6, delays


def test_too_few_rows_say_not_enough_data_and_are_no_alarm() -> None:
    history = stream(0, HISTORY, {"x": numbers, "y": texts})
    columns: Mapping[str, Column] = {"x": lambda normal: numbers(normal[:15] + 5), "y": texts}
    x, y = sorted(watched(history, stream(1, 1, columns), ALPHA)[0], key=lambda each: each.column)
    assert (x.enough_data, x.alarm, x.p_value, x.effect) == (False, False, 1.0, 0.0)
    assert y.enough_data


def test_a_column_that_a_window_lacks_says_nothing_and_keeps_nothing_else_from_being_said() -> None:
    history = stream(0, HISTORY, {"x": numbers, "y": numbers})
    start, profile = stream(1, 1, {"y": lambda normal: numbers(normal + 1)})[0]
    (first, second) = watched(history, [(start, profile)], ALPHA)[0]
    assert (first.column, first.alarm) == ("y", True)
    assert (second.column, second.alarm, second.enough_data) == ("x", False, False)


def test_a_column_that_hardly_had_rows_in_the_history_is_not_judged() -> None:
    windows = stream(0, HISTORY, {"x": numbers, "y": numbers})

    def without(first: int) -> Windows:
        nothing = {"x": of_numbers(np.empty(0))}
        lacking = [(start, Profile({**profile.columns, **nothing})) for start, profile in windows[:first]]
        return [*lacking, *windows[first:]]

    later = stream(1, 1, {"x": lambda normal: numbers(normal + 5), "y": numbers})
    few, enough = (watched(without(HISTORY - known), later, ALPHA)[0] for known in (5, 12))
    assert not next(each for each in few if each.column == "x").enough_data
    assert next(each for each in enough if each.column == "x").alarm


def test_a_history_of_too_few_windows_is_an_error_that_says_how_many_it_needs() -> None:
    with pytest.raises(ValueError, match="7 windows; a history needs 8"):
        Baseline.of("day", stream(0, 7))


def test_a_column_that_never_varied_is_no_alarm_until_it_does() -> None:
    constant: Column = lambda normal: of_numbers(np.ones(len(normal)))  # noqa: E731
    assert delay(moved(constant, constant)) == 99
    assert delay(moved(constant, lambda normal: of_numbers(np.full(len(normal), 2.0)))) == 0


def test_weeks_are_watched_by_a_history_of_days() -> None:
    baseline = Baseline.of("day", stream(0, HISTORY, rows=300))
    week = timedelta(days=7)

    def said(shift: float) -> list[Movement]:
        profiles = stream(1, 3, {**SIX, "normal": lambda z: numbers(z + shift)}, rows=2100, length=week)
        figures = [baseline.figures(start + 6 * week, profile) for start, profile in profiles]
        return movements(baseline, "week", figures, alpha_of(1, "week", 1), least_effect=0)

    assert named(said(0)) == set()
    assert named(said(0.2)) == {"normal"}


def test_the_units_of_a_column_make_no_difference_if_they_are_always_the_same() -> None:
    """Ranks are compared, not values; by a power of two, no digit is lost."""

    def in_units(factor: float) -> list[Movement]:
        columns: Mapping[str, Column] = {"a": lambda z: of_numbers(factor * z), "b": numbers}
        later: Mapping[str, Column] = {"a": lambda z: of_numbers(factor * (z + 0.2)), "b": numbers}
        return watched(stream(3, 20, columns), stream(4, 1, later), ALPHA)[0]

    assert in_units(1) == in_units(2.0**20)
