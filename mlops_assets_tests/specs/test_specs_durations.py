"""Durations and times as people write them in a spec or on the command line."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.specs.durations import format_duration, parse_duration, parse_time


@given(st.integers(0, 365_000), st.sampled_from("mhd"))
def test_what_was_written_is_what_was_meant(number: int, unit: str) -> None:
    parsed = parse_duration(f"{number}{unit}")
    assert parsed == timedelta(**{{"m": "minutes", "h": "hours", "d": "days"}[unit]: number})
    assert parse_duration(format_duration(parsed)) == parsed


def test_weeks_are_seven_days_and_are_shown_as_days() -> None:
    assert format_duration(parse_duration("2w")) == "14d"


@pytest.mark.parametrize("wrong", ["", "5", 5, "1.5d", "-1d", "d", "1 year", "1d2h", None, "9999999999d"])
def test_what_is_no_duration_is_refused_with_an_example(wrong: object) -> None:
    with pytest.raises(ValueError, match="is not a duration; write a number and m, h, d or w, such as 90d"):
        parse_duration(wrong)


@pytest.mark.parametrize("long", ["365001d", "999999999w"])
def test_a_duration_that_leaves_the_calendar_is_refused(long: str) -> None:
    with pytest.raises(ValueError, match="longer than a thousand years"):
        parse_duration(long)


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2013-04-01", datetime(2013, 4, 1)),
        ("2013-04-01T06:30", datetime(2013, 4, 1, 6, 30)),
        ("2013-04-01T06:30+02:00", datetime(2013, 4, 1, 4, 30)),
        ("2013-04-01T06:30Z", datetime(2013, 4, 1, 6, 30)),
    ],
)
def test_times_are_kept_in_naive_utc(text: str, utc: datetime) -> None:
    assert parse_time(text) == utc


@pytest.mark.parametrize("wrong", ["", "yesterday", "2013-13-01", "01/04/2013", "0001-01-01T00:00+14:00"])
def test_what_is_no_time_is_refused_with_an_example(wrong: str) -> None:
    with pytest.raises(ValueError, match="is not a time; write it like 2013-04-01"):
        parse_time(wrong)
