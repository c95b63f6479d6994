"""A schedule for each length of windows watches every model that serves, a run for each window."""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from mlops_assets.home import Home
from mlops_assets.prediction_log.compaction import compact
from mlops_assets.prediction_log.instants import microseconds
from mlops_assets.prediction_log.prediction import Label, Prediction
from mlops_assets.prediction_log.prediction_ids import PredictionIds
from mlops_assets.registry.port import CHAMPION
from mlops_assets_tests.automation.conftest import Fleet, MakeFleet
from mlops_assets_tests.conftest import MakeSpec
from mlops_assets_tests.whole_fleets import whole_fleet
from mlops_assets_tests.written_log import SECRET, WrittenLog

AT = datetime(2024, 6, 3, 6, tzinfo=UTC)
DAY = timedelta(days=1)


def enthrone(fleet: Fleet, *models: str) -> None:
    for model in models:
        run = fleet.registry.client.create_run(fleet.registry.experiment(model))
        version = fleet.registry.register(model, run.info.run_id, "c" * 64, {})
        fleet.registry.set_alias(model, CHAMPION, version.version)


def watched(request: Any) -> list[str]:
    return [key.to_user_string() for key in request.asset_selection]


def windows(tick: Any) -> dict[str, list[str]]:
    """Return by partition what a tick asks for."""
    return {request.partition_key: watched(request) for request in tick.run_requests}


def test_each_length_of_windows_has_a_schedule_that_runs_without_being_switched_on(
    make_spec: MakeSpec,
) -> None:
    lengths = ("day", "week", "week", "hour")
    specs = [make_spec(name=f"m{i}", monitoring={"window": each}) for i, each in enumerate(lengths)]
    definitions = whole_fleet(*specs)
    names = {s.name for s in definitions.get_repository_def().schedule_defs}
    assert names == {
        "monitoring_hour", "monitoring_day", "monitoring_week", "compact_prediction_log", "drills",
    }  # fmt: skip
    for length in lengths:
        schedule = definitions.resolve_schedule_def(f"monitoring_{length}")
        assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
        assert schedule.execution_timezone == "UTC"
    job = definitions.resolve_job_def("monitor_week")
    assert {key.path[0] for key in job.asset_layer.selected_asset_keys} == {"m1", "m2"}


def test_a_tick_is_one_run_for_all_models_that_serve_and_for_no_other(fleet: Fleet) -> None:
    enthrone(fleet, "a", "c", "of_another_project")
    (request,) = fleet.scheduled(AT).run_requests
    assert watched(request) == ["a/monitoring_report", "c/monitoring_report"]
    assert request.partition_key == "2024-06-02"
    job = fleet.definitions.resolve_job_def("monitor_day").get_subset(
        asset_selection=set(request.asset_selection)
    )
    assert dg.validate_run_config(job, request.run_config)


def test_a_tick_looks_as_of_its_own_time_however_late_the_daemon_is(fleet: Fleet) -> None:
    enthrone(fleet, "a")
    (request,) = fleet.scheduled(AT).run_requests
    assert request.run_config["ops"] == {"monitoring_day": {"config": {"as_of": "2024-06-03T06:00:00"}}}


def test_a_window_is_looked_at_when_it_is_over_and_again_when_its_labels_are_due(
    make_fleet: MakeFleet,
) -> None:
    fleet = make_fleet("a", data={"label_delay": "2d"})
    enthrone(fleet, "a")
    report, first, second = ["a/monitoring_report"], datetime(2024, 5, 31), datetime(2024, 6, 2)
    assert windows(fleet.scheduled(AT)) == {"2024-05-31": report, "2024-06-02": report}
    for start in (first, first + DAY, second):
        fleet.file("a", start, AT)
    assert not fleet.scheduled(AT).run_requests
    later = fleet.scheduled(AT + 2 * DAY)
    assert windows(later) == dict.fromkeys(["2024-06-01", "2024-06-02", "2024-06-03", "2024-06-04"], report)
    for start in (first + DAY, second, second + DAY):
        fleet.file("a", start, AT + 2 * DAY)
    assert windows(fleet.scheduled(AT + 2 * DAY)) == {"2024-06-04": report}


def test_windows_that_a_killed_pass_or_a_daemon_that_stood_still_left_out_are_made_up_for(
    make_fleet: MakeFleet,
) -> None:
    fleet = make_fleet("a", "b")
    enthrone(fleet, "a", "b")
    for model, day in (("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 2)):
        fleet.file(model, datetime(2024, 5, 31) + day * DAY, AT)
    assert windows(fleet.scheduled(AT)) == {"2024-06-01": ["b/monitoring_report"]}
    assert windows(fleet.scheduled(AT + 2 * DAY)) == {
        "2024-06-01": ["b/monitoring_report"],
        "2024-06-03": ["a/monitoring_report", "b/monitoring_report"],
        "2024-06-04": ["a/monitoring_report", "b/monitoring_report"],
    }


def test_rows_that_come_late_open_their_window_again_once(make_fleet: MakeFleet) -> None:
    fleet = make_fleet("a", "b")
    enthrone(fleet, "a", "b")
    start = datetime(2024, 6, 2)
    folder = Home.from_environment().prediction_log

    def serve(written: datetime, **ids: str) -> None:
        log, at = WrittenLog(folder), written.replace(tzinfo=None)
        log.append(
            [
                Prediction(id_, model, "1", start + DAY / 2, at, {"a": 1}, 0.5, 2.0)
                for model, id_ in ids.items()
            ]
        )
        log.close()
        compact(folder)

    serve(start + DAY / 2, a="first", b="other")
    for model in ("a", "b"):
        fleet.file(model, start, AT)
    assert not fleet.scheduled(AT + timedelta(hours=1)).run_requests
    serve(AT + timedelta(hours=2), a="late")
    assert windows(fleet.scheduled(AT + timedelta(hours=3))) == {"2024-06-02": ["a/monitoring_report"]}
    fleet.file("a", start, AT + timedelta(hours=3), served=2)
    assert not fleet.scheduled(AT + timedelta(hours=4)).run_requests


def test_labels_that_come_late_open_their_window_once_more_after_twice_their_delay(
    make_fleet: MakeFleet,
) -> None:
    fleet = make_fleet("a", "b", data={"label_delay": "2d"})
    enthrone(fleet, "a", "b")
    start = datetime(2024, 6, 2)
    folder, ids = Home.from_environment().prediction_log, PredictionIds(SECRET)
    log = WrittenLog(folder)
    for model, asked in (("a", start + DAY / 2), ("b", start + 3 * DAY)):
        log.append_labels(model, [Label(ids.derived(model, microseconds(asked), "one"), 1, start + 5 * DAY)])
    log.close()
    compact(folder)
    for model in ("a", "b"):
        fleet.file(model, start, AT + 2 * DAY)
    assert "2024-06-02" not in windows(fleet.scheduled(AT + 3 * DAY))
    assert windows(fleet.scheduled(AT + 4 * DAY))["2024-06-02"] == ["a/monitoring_report"]
    fleet.file("a", start, AT + 4 * DAY)
    assert "2024-06-02" not in windows(fleet.scheduled(AT + 5 * DAY))


def test_a_fleet_that_serves_nothing_yet_has_nothing_to_watch(fleet: Fleet) -> None:
    tick = fleet.scheduled(AT)
    assert not tick.run_requests
    assert tick.skip_message == "no model serves yet"


def test_two_hundred_models_are_one_run(make_fleet: MakeFleet) -> None:
    names = [f"m{n:03}" for n in range(200)]
    fleet = make_fleet(*names)
    enthrone(fleet, *names[:3])
    (request,) = fleet.scheduled(AT).run_requests
    assert watched(request) == [f"{name}/monitoring_report" for name in names[:3]]
