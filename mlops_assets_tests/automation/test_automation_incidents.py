"""Between passes a sensor tends incidents: it finds moved aliases, escalates, and sends again what failed."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.monitoring.assessment.record import Assessment
from mlops_assets.monitoring.incidents.alarm import Alarm
from mlops_assets.monitoring.incidents.delivery import deliver
from mlops_assets.monitoring.incidents.notifier import AppriseNotifier
from mlops_assets.monitoring.incidents.outbox import FIRST_PAUSE
from mlops_assets.monitoring.incidents.upstream import WatchedModel
from mlops_assets.registry.port import CHAMPION
from mlops_assets.resources import RESOURCES, Platform
from mlops_assets.specs.durations import utc_now
from mlops_assets.specs.policy_file import current_policy
from mlops_assets.stages.stage import MONITORING
from mlops_assets_tests.automation.conftest import Fleet
from mlops_assets_tests.receivers import Receiver, receiving

HOUR = timedelta(hours=1)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Receiver]:
    """Where the policy sends warnings, and pages that nobody acknowledged for four hours."""
    with receiving() as found:
        policy = tmp_path / "policy.yaml"
        policy.write_text(
            'alerts:\n  routes: [{owner: "*", severity: warning, url_env: TEAM}]\n'
            "  escalate_after: 4h\n  escalate_to_env: BOSS\n"
        )
        monkeypatch.setenv("MLOPS_POLICY", str(policy))
        monkeypatch.setenv("TEAM", found.url)
        monkeypatch.setenv("BOSS", found.url)
        yield found


def tick(fleet: Fleet) -> str:
    """Evaluate the sensor, as the daemon does, and return what it says."""
    sensor = fleet.definitions.resolve_sensor_def("incidents")
    with dg.build_sensor_context(
        instance=fleet.instance, definitions=fleet.definitions, resources=RESOURCES
    ) as context:
        found = sensor.evaluate_tick(context)
    assert not found.run_requests
    return str(found.skip_message)


def alarm(at: datetime, **changes: Any) -> Alarm:
    told = {
        "model": "b", "owner": "team:tests", "risk": "minimal", "version": "1", "kind": "performance",
        "start": at - 24 * HOUR, "end": at, "observed_at": at, "harm": "measured", "says": "worse",
    }  # fmt: skip
    return Alarm.model_validate({**told, **changes})


def raised(at: datetime) -> Platform:
    """Return a platform with a page that a pass raised at a time."""
    platform = Platform()
    models = [WatchedModel(model="b", owner="team:tests", risk="minimal", judged_until=at)]
    platform.incidents.take_in([alarm(at)], models, current_policy().alerts, at)
    return platform


def test_an_alias_that_was_moved_by_hand_is_one_incident_however_often_it_is_seen(
    fleet: Fleet, receiver: Receiver
) -> None:
    assert tick(fleet) == "nothing new; 0 told, 0 to be told later"
    run = fleet.registry.client.create_run(fleet.registry.experiment("b"))
    version = fleet.registry.register("b", run.info.run_id, "c" * 64, {})
    fleet.registry.set_alias("b", CHAMPION, version.version)
    assert tick(fleet) == "1 opened, 1 to be told"
    assert tick(fleet) == "0 opened, 0 to be told"
    (incident,) = Platform().incidents.incidents()
    assert (incident.kind, incident.models, incident.severity) == ("out_of_band", ("b",), "warning")
    (word,) = receiver.received
    assert "alias champion names version 1, and by right none serves" in word["message"]


def test_what_nobody_acknowledges_is_told_on_without_waiting_for_a_pass(
    fleet: Fleet, receiver: Receiver
) -> None:
    raised(utc_now() - 5 * HOUR)
    assert tick(fleet) == "0 opened, 1 to be told"
    told = [word["message"] for word in receiver.received]
    assert ["Nobody has acknowledged it." in each for each in told].count(True) == 1
    assert len(told) == 2, "the team, and whom a page is told on to"
    assert tick(fleet) == "nothing new; 0 told, 0 to be told later"


def test_a_page_that_is_young_is_not_told_on(fleet: Fleet, receiver: Receiver) -> None:
    raised(utc_now() - 3 * HOUR)
    assert tick(fleet) == "nothing new; 1 told, 0 to be told later"
    assert len(receiver.received) == 1


def test_word_that_failed_goes_out_when_the_receiver_is_back(fleet: Fleet, receiver: Receiver) -> None:
    receiver.status = 503
    platform = raised(utc_now() - FIRST_PAUSE)
    rules = current_policy().alerts
    failed = deliver(platform.incidents.outbox, AppriseNotifier(), rules, utc_now() - FIRST_PAUSE)
    assert (failed.sent, failed.failed) == (0, 1)
    receiver.status = 200
    assert tick(fleet) == "nothing new; 1 told, 0 to be told later"
    assert len(receiver.received) == 1


def test_alarms_of_a_killed_pass_are_taken_in_once_no_pass_is_under_way(
    fleet: Fleet, receiver: Receiver
) -> None:
    at = utc_now()
    window = {"as_of": at, "start": at - 24 * HOUR, "end": at}
    found = Assessment.model_validate(
        {"model": "b", "version": "1", "served": 500, **window, "alarms": [alarm(at)]}
    )
    fleet.state.record_assessment(found, told=False)
    job = fleet.definitions.resolve_job_def("monitor_day")
    run = fleet.instance.create_run_for_job(
        job, asset_selection=frozenset([dg.AssetKey(["b", MONITORING])]), status=dg.DagsterRunStatus.STARTED
    )
    assert tick(fleet) == "nothing new; 0 told, 0 to be told later"
    fleet.instance.report_run_failed(run)
    assert tick(fleet) == "1 opened, 1 to be told"
    assert len(receiver.received) == 1


def test_word_goes_out_while_the_registry_is_down(
    fleet: Fleet, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised(utc_now())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert tick(fleet) == "nothing new; 1 told, 0 to be told later"
