"""Calendar windows: the newest that is over, none left out, none twice."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.monitoring.windows import (
    LENGTH,
    Period,
    floor,
    last_complete_window,
    starts_of,
    windows_between,
)

TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1))
PERIODS = st.sampled_from(["day", "week", "month"])


@given(TIMES, PERIODS)
def test_the_newest_window_that_is_over(as_of: datetime, period: Any) -> None:
    start, end = last_complete_window(as_of, period)
    assert start < end <= as_of
    assert last_complete_window(end, period) == (start, end)
    # The next window is not over yet.
    longest = timedelta(days={"day": 1, "week": 7, "month": 31}[period])
    assert last_complete_window(as_of + longest, period)[1] > as_of


@given(TIMES, PERIODS)
def test_windows_follow_each_other_without_gap_or_overlap(as_of: datetime, period: Any) -> None:
    start, _ = last_complete_window(as_of, period)
    for _ in range(14):
        before, end = last_complete_window(start, period)
        assert end == start
        start = before


@given(TIMES)
def test_windows_begin_where_the_calendar_does(as_of: datetime) -> None:
    day, week, month = (last_complete_window(as_of, p)[0] for p in ("day", "week", "month"))  # type: ignore[arg-type]
    for start in (day, week, month):
        assert (start.hour, start.minute, start.second, start.microsecond) == (0, 0, 0, 0)
    assert week.weekday() == 0
    assert month.day == 1


@pytest.mark.parametrize(
    ("as_of", "period", "start", "end"),
    [
        ("2024-03-01T00:00", "month", "2024-02-01", "2024-03-01"),
        ("2024-03-31T23:59", "month", "2024-02-01", "2024-03-01"),
        ("2024-01-01T06:00", "month", "2023-12-01", "2024-01-01"),
        ("2024-01-01T06:00", "week", "2023-12-25", "2024-01-01"),
        ("2024-03-01T00:00", "day", "2024-02-29", "2024-03-01"),
    ],
)
def test_known_windows(as_of: str, period: Any, start: str, end: str) -> None:
    found = last_complete_window(datetime.fromisoformat(as_of), period)
    assert found == (datetime.fromisoformat(start), datetime.fromisoformat(end))


@pytest.mark.parametrize("period", ["hour", "day", "week", "month"])
@given(times=st.lists(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)), min_size=1, max_size=5))
def test_times_lie_in_the_same_windows_one_by_one_and_as_an_array(
    period: Period, times: list[datetime]
) -> None:
    found = starts_of(np.array(times, "datetime64[us]"), period)
    assert found.astype(object).tolist() == [floor(each, period) for each in times]


@pytest.mark.parametrize("period", ["hour", "day", "week", "month"])
def test_windows_between_two_times_follow_each_other_and_end_in_time(period: Period) -> None:
    first, until = floor(datetime(2024, 2, 14, 5), period), datetime(2024, 2, 14, 5) + 5 * LENGTH[period]
    found = windows_between(first, until, period)
    assert found[0][0] == first
    assert found[-1][1] == floor(until, period)
    assert all(end == start for (_, end), (start, _) in pairwise(found))
    assert windows_between(first, first, period) == []
