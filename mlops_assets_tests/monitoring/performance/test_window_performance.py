"""A window's performance: every metric with an interval and what it rests on, or what is missing."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np

from mlops_assets.monitoring.performance.window_performance import WindowPerformance, measure_window
from mlops_assets_tests.monitoring.performance.conftest import Answered

RULES: dict[str, Any] = {"label_delay": timedelta(days=1), "min_labels": 200}


def measured(part: Answered, as_of: datetime, target: Any = None, **more: Any) -> WindowPerformance:
    target = part.target if target is None else target
    return measure_window(
        "binary_classification", part.outputs, target, part.times, as_of=as_of, **{**RULES, **more}
    )


def test_a_month_of_flights(flights: Answered) -> None:
    found = measured(flights.between("2013-07-01", "2013-08-01"), datetime(2013, 8, 2))
    assert found.missing == ""
    assert found.rests_on == "31 days"
    assert set(found.metrics) == {"roc_auc", "brier", "log_loss", "accuracy"}
    for figure in found.metrics.values():
        assert figure.low < figure.value < figure.high
    assert found.arrival.share == 1.0


def test_a_day_says_that_it_rests_on_hours(flights: Answered) -> None:
    found = measured(flights.between("2013-07-03", "2013-07-04"), datetime(2013, 8, 2))
    assert "hours; what a whole day has in common is not in it" in found.rests_on
    assert found.metrics["brier"].blocks > 5


def test_too_few_labels_say_how_many_and_when_there_will_be_more(flights: Answered) -> None:
    day = flights.between("2013-07-03", "2013-07-04")
    waiting = measured(day, datetime(2013, 7, 4, 8))
    assert waiting.missing.endswith("become due until 2013-07-04 23:59")
    assert "a judgement needs 200" in waiting.missing
    late = np.where(np.arange(len(day.target)) < 50, day.target, np.nan)
    found = measured(day, datetime(2013, 7, 9), late)
    assert found.missing.startswith("50 labels of ")
    assert found.missing.endswith("these labels are late or nobody sends them")
    none = measured(day, datetime(2013, 7, 9), np.full(len(day.target), np.nan))
    assert none.metrics == {}
    assert none.missing.startswith("0 labels")


def test_a_window_without_rows_lacks_labels() -> None:
    nothing = np.empty(0)
    found = measure_window(
        "regression", nothing, nothing, nothing.astype("datetime64[us]"), as_of=datetime(2024, 1, 1), **RULES
    )
    assert found.missing
    assert found.metrics == {}


def test_a_selection_is_weighted_away(flights: Answered) -> None:
    month = flights.between("2013-06-01", "2013-07-01")
    known = np.random.default_rng(0).random(len(month.target)) < np.where(month.outputs < 0.25, 0.9, 0.2)
    whole = measured(month, datetime(2013, 7, 5)).metrics["brier"].value
    found = measured(month, datetime(2013, 7, 5), np.where(known, month.target, np.nan))
    assert "labels look selective" in found.arrival.told
    assert found.metrics["brier"].low < whole < found.metrics["brier"].high
