"""One schedule watches every model that serves, in one run, and no other."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg

from mlops_assets.registry.port import CHAMPION
from mlops_assets_tests.automation.conftest import Fleet, MakeFleet

AT = datetime(2024, 6, 3, 6, tzinfo=UTC)


def enthrone(fleet: Fleet, *models: str) -> None:
    for model in models:
        run = fleet.registry.client.create_run(fleet.registry.experiment(model))
        version = fleet.registry.register(model, run.info.run_id, "c" * 64, {})
        fleet.registry.set_alias(model, CHAMPION, version.version)


def watched(request: Any) -> list[str]:
    return [key.to_user_string() for key in request.asset_selection]


def test_the_schedule_runs_without_being_switched_on(fleet: Fleet) -> None:
    schedule = fleet.definitions.resolve_schedule_def("monitoring")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    assert schedule.execution_timezone == "UTC"
    names = {s.name for s in fleet.definitions.get_repository_def().schedule_defs}
    assert names == {"monitoring", "compact_prediction_log", "drills"}


def test_a_tick_is_one_run_for_all_models_that_serve_and_for_no_other(fleet: Fleet) -> None:
    enthrone(fleet, "a", "c", "of_another_project")
    (request,) = fleet.scheduled(AT).run_requests
    assert watched(request) == ["a/monitoring_report", "c/monitoring_report"]
    job = fleet.definitions.resolve_job_def("monitor").get_subset(
        asset_selection=set(request.asset_selection)
    )
    assert dg.validate_run_config(job, request.run_config)


def test_a_tick_looks_as_of_its_own_time_however_late_the_daemon_is(fleet: Fleet) -> None:
    enthrone(fleet, "a")
    (request,) = fleet.scheduled(AT).run_requests
    assert request.run_config["ops"] == {
        "a__monitoring_report": {"config": {"as_of": "2024-06-03T06:00:00+00:00"}}
    }


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
