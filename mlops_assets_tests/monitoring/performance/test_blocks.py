"""Blocks: the longest stretches of time there are enough of, and a word on what an interval then rests on."""

from typing import Any

import numpy as np
import pytest

from mlops_assets.monitoring.performance.blocks import blocks_of


def times(start: str, step: str, count: int) -> Any:
    return np.datetime64(start, "us") + np.arange(count) * np.timedelta64(1, step)


def test_a_week_rests_on_its_days() -> None:
    found = blocks_of(times("2024-03-04", "m", 7 * 1440))
    assert (found.count, found.rests_on, found.ordered) == (7, "7 days", True)
    assert np.bincount(found.member).tolist() == [1440] * 7
    assert (np.diff(found.member) >= 0).all()


def test_a_day_rests_on_its_hours_and_says_what_that_leaves_out() -> None:
    found = blocks_of(times("2024-03-04", "m", 1440))
    assert found.count == 24
    assert found.rests_on == "24 hours; what a whole day has in common is not in it"
    assert blocks_of(times("2024-03-04T10:00", "s", 3600)).rests_on.startswith("12 stretches of five minutes")


def test_small_stretches_are_put_together() -> None:
    found = blocks_of(times("2024-01-01", "D", 60))
    assert (found.count, found.rests_on) == (10, "60 days, put together to 10")


def test_rows_of_one_entity_stay_together_where_there_is_no_time_to_go_by() -> None:
    entities = np.arange(400) % 80
    found = blocks_of(np.full(400, np.datetime64("2024-03-04", "us")), entities)
    assert found.rests_on == "80 entities; what a time has in common is not in it"
    for entity in range(80):
        assert len(set(found.member[entities == entity].tolist())) == 1
    nobody = blocks_of(np.full(400, np.datetime64("2024-03-04", "us")), np.full(400, -1))
    assert nobody.count == 50


def test_where_there_is_nothing_to_go_by_rows_count_as_independent() -> None:
    found = blocks_of(np.full(300, np.datetime64("2024-03-04", "us")))
    assert found.rests_on == "300 rows, as if no two had anything in common"
    assert found.count == 50


@pytest.mark.parametrize("count", [0, 1, 4])
def test_hardly_any_rows_are_no_trouble(count: int) -> None:
    assert blocks_of(times("2024-03-04", "h", count)).count == count
