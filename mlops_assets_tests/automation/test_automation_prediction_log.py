"""One asset compacts the prediction log of the whole fleet, and forgets what policy does not ask to keep."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.job_base import RepoBackedJob
from dagster._core.execution.api import execute_run

from mlops_assets.automation.prediction_log import PREDICTION_LOG
from mlops_assets.home import Home
from mlops_assets.prediction_log.compaction import DAMAGED, LOCK
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.prediction_log.segments import segments_in
from mlops_assets.resources import RESOURCES
from mlops_assets.specs.durations import utc_now
from mlops_assets_tests.automation.conftest import Fleet, MakeFleet
from mlops_assets_tests.prediction_log.histories import T0, History
from mlops_assets_tests.whole_fleets import whole_fleet

# Counted from the histories' own zero.
NOW = (utc_now() - T0) / timedelta(hours=1)
DAY = 24.0


@pytest.fixture
def fleet(make_fleet: MakeFleet) -> Fleet:
    return make_fleet("a", "b")


@pytest.fixture
def history(fleet: Fleet) -> Iterator[History]:
    made = History(Home.from_environment().prediction_log)
    yield made
    made.close()


@pytest.fixture
def log() -> PredictionLog:
    return PredictionLog(Home.from_environment().prediction_log)


def made(fleet: Fleet) -> tuple[dict[str, Any], bool]:
    """Run the job; return what the asset tells, and whether its check passed."""
    repository, name = fleet.definitions.get_repository_def(), "compact_prediction_log"
    run = fleet.instance.create_run_for_job(repository.get_job(name))
    # As a launched run does, which knows the whole code location.
    assert execute_run(RepoBackedJob(name, repository), run, fleet.instance).success
    events = [record.dagster_event for record in fleet.instance.all_logs(run.run_id)]
    (materialized,) = (
        e.step_materialization_data.materialization for e in events if e and e.is_step_materialization
    )
    (check,) = (
        e.asset_check_evaluation_data for e in events if e and e.event_type_value == "ASSET_CHECK_EVALUATION"
    )
    return {name: value.value for name, value in materialized.metadata.items()}, check.passed


def tick(fleet: Fleet) -> Any:
    schedule = fleet.definitions.resolve_schedule_def("compact_prediction_log")
    with dg.build_schedule_context(
        instance=fleet.instance,
        scheduled_execution_time=datetime.now(UTC),
        repository_def=fleet.definitions.get_repository_def(),
        resources=RESOURCES,
    ) as context:
        return schedule.evaluate_tick(context)


def test_the_schedule_runs_without_being_switched_on(fleet: Fleet) -> None:
    schedule = fleet.definitions.resolve_schedule_def("compact_prediction_log")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    assert schedule.cron_schedule == "*/15 * * * *"
    node = fleet.definitions.resolve_asset_graph().get(PREDICTION_LOG)
    assert node.group_name == "fleet"


def test_finished_segments_become_parquet_and_read_the_same(
    fleet: Fleet, history: History, log: PredictionLog
) -> None:
    (one,) = history.answer(served_at=NOW, model="a")
    history.label((one, 1, NOW), model="a")
    history.answer(served_at=NOW, model="b")
    history.rotate()
    told, passed = made(fleet)
    assert passed
    assert (told["segments"], told["rows"], told["losses"], told["deleted_rows"]) == (1, 3, 0, 0)
    assert log.models() == ["a", "b"]
    assert log.label(one) is not None
    assert made(fleet)[0]["rows"] == 0


def test_a_tick_starts_a_run_only_if_there_is_something_to_do(fleet: Fleet, history: History) -> None:
    history.answer(served_at=NOW, model="a")
    assert "nothing to compact" in tick(fleet).skip_message, "the writer is not done with its segment"
    history.rotate()
    assert len(tick(fleet).run_requests) == 1
    made(fleet)
    assert not tick(fleet).run_requests
    history.answer(served_at=NOW - 91 * DAY, model="a")
    history.rotate()
    made(fleet)
    history.answer(served_at=NOW - 91 * DAY, model="b")
    history.rotate()
    made(fleet)
    assert not tick(fleet).run_requests, "what was old when it came was deleted at once"


def test_what_policy_asks_to_keep_is_kept_and_no_longer(
    fleet: Fleet, history: History, log: PredictionLog
) -> None:
    old = history.answer(served_at=NOW - 91 * DAY, model="a")[0]
    kept = history.answer(served_at=NOW - 89 * DAY, model="a")[0]
    # As the demo asks, whose flights were in 2013: that its event is long over is no reason.
    of_old_events = history.answer([-90_000], served_at=NOW, model="a")[0]
    # No spec is called so any more: as long as the strictest risk asks, which is two years.
    retired = history.answer(served_at=NOW - 700 * DAY, model="retired")[0]
    gone = history.answer(served_at=NOW - 740 * DAY, model="retired")[0]
    history.rotate()
    told, _ = made(fleet)
    assert told["deleted_rows"] == 2
    assert "| a | 1 |" in told["deleted"]
    assert "| retired | 1 |" in told["deleted"]
    assert log.find(old) is log.find(gone) is None
    assert None not in (log.find(kept), log.find(retired), log.find(of_old_events))


def test_a_spec_may_keep_longer_than_policy_asks(
    make_spec: Any, fleet: Fleet, history: History, log: PredictionLog
) -> None:
    spec = make_spec(name="a", retention={"predictions": "100d"})
    fleet = Fleet(
        whole_fleet(spec, folder=Home.from_environment().root),
        fleet.instance,
        fleet.state,
        fleet.registry,
    )
    kept, gone = (history.answer(served_at=NOW - days * DAY, model="a")[0] for days in (95, 105))
    history.rotate()
    made(fleet)
    assert log.find(kept) is not None
    assert log.find(gone) is None


def test_damage_fails_the_check_until_somebody_has_seen_it(fleet: Fleet, history: History) -> None:
    history.answer(served_at=NOW, model="a")
    history.answer(served_at=NOW, model="a")
    history.rotate()
    segment = segments_in(history.folder)[0].path
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 0xFF
    segment.write_bytes(content)
    told, passed = made(fleet)
    assert told["losses"] == 1
    assert not passed
    assert not made(fleet)[1], "and not only once"
    (history.folder / DAMAGED / segment.name).unlink()
    assert made(fleet)[1]


def test_a_damaged_segment_is_kept_no_longer_than_any_prediction(fleet: Fleet, history: History) -> None:
    (history.folder / DAMAGED).mkdir()
    for days in (729, 731):
        began = int((datetime.now(UTC) - timedelta(days=days)).timestamp() * 1e6)
        (history.folder / DAMAGED / f"{began:014x}.w.00000000.segment").touch()
    made(fleet)
    (left,) = (history.folder / DAMAGED).iterdir()
    assert int(left.name[:14], 16) > began


def test_while_one_compacts_no_other_is_started(fleet: Fleet, history: History) -> None:
    import fcntl

    history.answer(served_at=NOW, model="a")
    history.rotate()
    with (history.folder / LOCK).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert not tick(fleet).run_requests
    assert tick(fleet).run_requests


def test_a_log_that_nobody_wrote_to_is_nothing_to_do(fleet: Fleet) -> None:
    assert not tick(fleet).run_requests
    told, passed = made(fleet)
    assert (told["segments"], passed) == (0, True)
