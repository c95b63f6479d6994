"""How the endpoint served: quiet Sundays are no outage, outages are, and each request counts once."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlops_assets.monitoring.service.changes import ServiceChange, service_changes
from mlops_assets.monitoring.service.hours import ServiceHours, first_rows, service_hours, summary

MONDAY = datetime(2024, 1, 1)


class Endpoint:
    """Requests with a daily and weekly pattern, and days of their own."""

    def __init__(self, seed: int, start: datetime, hours: int, **trouble: float) -> None:
        generator = np.random.default_rng(seed)
        clock = np.arange(hours) + (start - MONDAY) / timedelta(hours=1)
        usual = 3 + np.sin(2 * np.pi * clock / 24) + np.where(clock // 24 % 7 >= 5, -1.0, 0.0)
        days = 0.15 * generator.normal(size=hours // 24 + 1)[(np.arange(hours) // 24)]
        rate = 20 * np.exp(usual - 2 + days) * trouble.get("requests", 1.0)
        counts = generator.poisson(rate)
        hour = np.repeat(np.arange(hours), counts)
        at = np.datetime64(start, "us") + (hour * 3600 * 10**6 + generator.integers(0, 3.6e9, len(hour)))
        failed = generator.random(len(at)) < trouble.get("failed", 0.002)
        refused = generator.random(len(at)) < trouble.get("refused", 0.01)
        latency = (
            5 * trouble.get("latency", 1.0) * np.exp(0.5 * generator.normal(size=len(at)) + 0.2 * days[hour])
        )
        latency *= np.where(generator.random(len(at)) < trouble.get("stalls", 0.0), 20.0, 1.0)
        good = ~failed & ~refused
        self.hours = service_hours(
            start, start + timedelta(hours=hours), at[good], latency[good], at[failed & ~refused], at[refused]
        )


@pytest.fixture(scope="module")
def history() -> ServiceHours:
    return Endpoint(0, MONDAY, 24 * 42).hours


def window(day: int, seed: int = 1, **trouble: float) -> ServiceHours:
    return Endpoint(seed, MONDAY + timedelta(days=42 + day), 24, **trouble).hours


def alarms(changes: list[ServiceChange]) -> set[str]:
    return {change.figure for change in changes if change.alarm}


def test_days_as_usual_raise_no_alarm_also_on_sundays(history: ServiceHours) -> None:
    raised = sum(bool(alarms(service_changes(history, window(s % 7, s), 0.01))) for s in range(60))
    assert raised <= 3


@pytest.mark.parametrize(
    ("trouble", "figure"),
    [
        ({"requests": 0.3}, "requests"),
        ({"failed": 0.03}, "failed"),
        ({"refused": 0.2}, "refused"),
        ({"latency": 1.6}, "p50"),
    ],
)
def test_trouble_is_found_and_named(history: ServiceHours, trouble: dict[str, float], figure: str) -> None:
    found = service_changes(history, window(2, **trouble), 0.01)
    assert figure in alarms(found)
    first = next(change for change in found if change.figure == figure)
    assert "usually" in first.told
    assert (first.now > first.usual) == (figure != "requests")


def test_more_requests_and_faster_answers_are_no_alarm(history: ServiceHours) -> None:
    assert alarms(service_changes(history, window(2, requests=3.0, latency=0.5), 0.01)) == set()


def test_a_sunday_like_a_monday_is_no_outage_and_a_monday_like_a_sunday_is(history: ServiceHours) -> None:
    sunday, monday = window(6), window(0)
    moved = ServiceHours(
        monday.start, sunday.answered, sunday.failed, sunday.refused, sunday.latency_ms, sunday.latency_error,
        sunday.busy_seconds,
    )  # fmt: skip
    assert "requests" in alarms(service_changes(history, moved, 0.01))
    assert "requests" not in alarms(service_changes(history, sunday, 0.01))


def test_an_hour_is_held_against_the_same_hours(history: ServiceHours) -> None:
    night = Endpoint(3, MONDAY + timedelta(days=44, hours=18), 1).hours
    assert alarms(service_changes(history.before(window(0)).before(window(1)), night, 0.01)) == set()
    none = np.empty(0, "datetime64[us]")
    dead = service_hours(night.start, night.start + timedelta(hours=1), none, np.empty(0), none, none)
    found = service_changes(history, dead, 0.01)
    assert alarms(found) == {"requests"}
    assert {change.figure for change in found} == {"requests"}


def test_a_short_history_says_nothing(history: ServiceHours) -> None:
    assert service_changes(Endpoint(0, MONDAY + timedelta(days=35), 24 * 7).hours, window(0), 0.01) == []
    # Of two weeks weekdays are not told apart, and an outage is found all the same.
    fortnight = Endpoint(0, MONDAY + timedelta(days=28), 24 * 14).hours
    assert "failed" in alarms(service_changes(fortnight, window(2, failed=0.1), 0.01))


def test_hours_count_requests_and_their_quantiles() -> None:
    at = np.datetime64("2024-01-01T00:30", "us") + np.arange(200) * np.timedelta64(1, "s")
    latency = np.arange(1.0, 201.0)
    failed = np.array(["2024-01-01T01:10", "2024-01-01T05:00"], dtype="datetime64[us]")
    found = service_hours(MONDAY, MONDAY + timedelta(hours=2), at, latency, failed, failed[:0])
    assert found.answered.tolist() == [200, 0]
    assert found.failed.tolist() == [0, 1]
    assert found.latency_ms["p50"][0] == 100
    assert found.latency_ms["p95"][0] == 190
    assert np.isnan(found.latency_ms["p99"][0])  # two answers beyond it tell too little
    assert np.isnan(found.latency_ms["p50"][1])
    assert found.busy_seconds[0] == pytest.approx(latency.sum() / 1000)
    told = summary(found)
    assert (told.requests, told.failed_share) == (201, pytest.approx(1 / 201))
    assert told.per_second == pytest.approx(201 / 7200)
    assert told.at_once == pytest.approx(latency.sum() / 1000 / 7200)


def test_errors_of_quantiles_are_those_of_repeated_samples() -> None:
    generator = np.random.default_rng(0)
    at = np.full(2000, np.datetime64("2024-01-01T00:30", "us"))
    none: Any = at[:0]
    drawn = [
        service_hours(
            MONDAY, MONDAY + timedelta(hours=1), at, np.exp(generator.normal(size=2000)), none, none
        )
        for _ in range(60)
    ]
    for name in ("p50", "p99"):
        values = np.log([each.latency_ms[name][0] for each in drawn])
        assert np.mean([each.latency_error[name][0] for each in drawn]) == pytest.approx(
            values.std(), rel=0.3
        )


def test_hours_go_together_with_gaps_between_them() -> None:
    first, second = Endpoint(0, MONDAY, 24).hours, Endpoint(1, MONDAY + timedelta(days=2), 24).hours
    both = first.before(second)
    assert len(both) == 72
    assert np.isnan(both.answered[24:48]).all()
    assert both.starts[48] == MONDAY + timedelta(days=2)
    with pytest.raises(ValueError, match="are known already"):
        first.before(first)


def test_an_empty_window_is_summed_up() -> None:
    none = np.empty(0, "datetime64[us]")
    told = summary(service_hours(MONDAY, MONDAY + timedelta(hours=3), none, np.empty(0), none, none))
    assert (told.requests, told.failed_share, told.refused_share, told.at_once) == (0, 0.0, 0.0, 0.0)
    assert np.isnan(told.latency_ms["p50"])


def test_rows_of_one_request_are_one_request() -> None:
    ids = pa.chunked_array([["abc", "abc-1", "abc-2"], ["abd"]])
    assert first_rows(ids).tolist() == [True, False, False, True]


def test_hours_are_kept_as_bytes() -> None:
    found = Endpoint(0, MONDAY, 24).hours
    again = ServiceHours.from_bytes(found.to_bytes())
    assert again.to_bytes() == found.to_bytes()
    assert again.starts == found.starts
    np.testing.assert_array_equal(again.latency_ms["p50"], found.latency_ms["p50"])
    with pytest.raises(ValueError, match="no hours of service"):
        ServiceHours.from_bytes(b"nonsense")
