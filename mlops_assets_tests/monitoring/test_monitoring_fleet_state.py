"""The fleet's state: filed once, in order, and read in one question whatever the database."""

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mlops_assets.errors import StorageError
from mlops_assets.monitoring.assessment.record import Assessment
from mlops_assets.monitoring.fleet_state import FleetState
from mlops_assets.monitoring.retraining import Decision
from mlops_assets_tests.together import together

DAY = datetime(2024, 1, 1)


def assessment(model: str = "m", day: int = 0, **found: Any) -> Assessment:
    at = DAY + timedelta(days=day)
    return Assessment(
        **{"model": model, "version": "1", "as_of": at, "start": at, "end": at, "served": 1, **found}
    )


@pytest.fixture(params=["sqlite", "postgresql"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FleetState]:
    if request.param == "sqlite":
        yield FleetState(f"sqlite:///{tmp_path / 'deep' / 'fleet.db'}")
        return
    url = os.environ.get("MLOPS_TEST_POSTGRES_URL")
    if not url:
        pytest.skip("MLOPS_TEST_POSTGRES_URL names no database")
    tables = ("assessed_windows", "window_history", "decisions_to_retrain", "trainings")
    drop = "; ".join(f"DROP TABLE IF EXISTS {table}" for table in tables)
    with sa.create_engine(url).begin() as connection:
        connection.execute(sa.text(drop))
    yield FleetState(url)


def test_an_assessment_is_filed_once_and_a_new_one_of_its_time_takes_its_place(state: FleetState) -> None:
    first = state.record_assessment(assessment(served=1))
    assert state.record_assessment(assessment(served=1)) == first
    second = state.record_assessment(assessment(served=2))
    assert second > first
    assert [a.served for a in state.assessments("m")] == [2]
    assert state.latest_assessments()["m"].served == 2


def test_the_sensor_reads_on_from_its_cursor(state: FleetState) -> None:
    ids = [state.record_assessment(assessment(f"m{i}", day=i % 3)) for i in range(10)]
    assert ids == sorted(ids)
    seen = state.assessments_after(0, limit=4)
    assert [i for i, _ in seen] == ids[:4]
    rest = state.assessments_after(seen[-1][0])
    assert [a.model for _, a in rest] == [f"m{i}" for i in range(4, 10)]
    assert state.assessments_after(ids[-1]) == []


def test_an_id_is_never_given_twice(state: FleetState) -> None:
    """A sensor's cursor would pass over an assessment that took a deleted one's id."""
    first = state.record_assessment(assessment(served=1))
    assert state.assessments_after(0)[-1][0] == first
    replaced = state.record_assessment(assessment(served=2))
    assert [i for i, _ in state.assessments_after(first)] == [replaced]


def test_the_newest_assessment_of_each_model_in_one_question(state: FleetState) -> None:
    for day in (2, 0, 1):
        state.record_assessment(assessment("a", day, served=day))
    state.record_assessment(assessment("b", 5, served=5))
    assert {m: a.served for m, a in state.latest_assessments().items()} == {"a": 2, "b": 5}
    assert [a.served for a in state.assessments("a")] == [0, 1, 2]


def test_an_assessment_reads_back_as_it_was(state: FleetState) -> None:
    written = assessment(
        metrics={"auc": (0.5, 0.4, float("inf"))},
        drift=[{"column": "é", "score": 0.1, "drifted": True}],
        harm=True,
    )
    state.record_assessment(written)
    assert state.assessments("m") == [written]


def test_a_decision_is_kept_and_a_second_takes_its_place(state: FleetState) -> None:
    id_ = state.record_assessment(assessment())
    assert state.decision(id_) is None
    for decision in (Decision("harm", True, "worse"), Decision(None, False, "fine")):
        state.record_decision(id_, assessment(), decision)
        assert state.decision(id_) == decision


def test_the_newest_training_never_goes_back(state: FleetState) -> None:
    for day in (5, 9, 2):
        state.record_training("m", DAY + timedelta(days=day))
    state.record_training("n", DAY)
    assert state.last_trainings() == {"m": DAY + timedelta(days=9), "n": DAY}


def _file(arguments: tuple[str, int]) -> int:
    url, worker = arguments
    state = FleetState(url)
    for day in range(5):
        state.record_assessment(assessment(f"m{worker}", day))
        state.record_training("shared", DAY + timedelta(days=worker * 5 + day))
    return worker


def test_processes_that_begin_together_share_one_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'fleet.db'}"
    assert together(_file, [(url, n) for n in range(4)]) == list(range(4))
    state = FleetState(url)
    assert len(state.assessments_after(0)) == 20
    assert state.last_trainings()["shared"] == DAY + timedelta(days=19)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "MLOPS_STATE_URL is not usable"),
        ("nodatabase://x", "MLOPS_STATE_URL is not usable"),
        ("sqlite:////dev/null/fleet.db", "a file is in the way"),
        ("postgresql+psycopg2://u:secret@127.0.0.1:1/x", "check MLOPS_HOME or MLOPS_STATE_URL"),
    ],
)
def test_a_database_that_cannot_be_used_is_one_clear_line(url: str, said: str) -> None:
    with pytest.raises(StorageError, match=said) as raised:
        FleetState(url).last_trainings()
    assert "secret" not in str(raised.value)


def test_the_overview_tells_each_model_s_newest_window_and_its_last_ones(state: FleetState) -> None:
    day, week = timedelta(days=1), timedelta(days=7)
    for n in range(40):
        measured = {"auc": (n / 100, 0.0, 1.0)} if n < 35 else {}
        found = {"metric": "auc", "metrics": measured, "harm": n == 34, "owner": "team:a", "risk": "high"}
        state.record_assessment(assessment("daily", n, end=DAY + (n + 1) * day, served=n, **found))
    for n in range(5):
        state.record_assessment(assessment("weekly", 7 * n, end=DAY + (n + 1) * week, cost=0.5))
    state.record_assessment(assessment("gone", -400))
    told = state.overview(100 * day)
    assert set(told) == {"daily", "weekly"}
    daily, weekly = told["daily"], told["weekly"]
    assert [each.start for each in daily.windows] == [DAY + n * day for n in range(10, 40)]
    newest = daily.newest
    assert (newest.owner, newest.risk, newest.metric, newest.served) == ("team:a", "high", "auc", 39)
    assert daily.harm
    assert daily.measured is not None
    assert (daily.measured.start, daily.measured.measured) == (DAY + 34 * day, 0.34)
    assert daily.estimated is None
    assert [each.start for each in weekly.windows] == [DAY + n * week for n in range(5)]
    assert (weekly.newest.cost, weekly.harm, weekly.measured) == (0.5, False, None)
    assert [len(each.windows) for each in state.overview(30 * day, windows=3).values()] == [3, 3]


def test_the_last_windows_and_decisions_of_a_model(state: FleetState) -> None:
    for n in range(5):
        id_ = state.record_assessment(assessment("m", n))
        state.record_decision(id_, assessment("m", n), Decision("harm", n % 2 == 0, f"because {n}"))
    assert [each.as_of.day for each in state.assessments("m", last=2)] == [4, 5]
    told = state.decisions_about("m", last=2)
    assert [(decision.as_of.day, decision.retrain, decision.reason) for decision in told] == [
        (5, True, "because 4"),
        (4, False, "because 3"),
    ]
    assert state.decisions_about("other", last=2) == []
